import DequeModule
import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

private typealias Agent = BranchConfiguration.Agent

/// A server that freezes, dies or comes late.
@Suite("Bridge, without a server", .timeLimit(.minutes(2)))
struct BridgeOutageTests {
    let context: Context

    init() throws { context = try Context() }

    private func bridged(
        _ agents: [BranchConfiguration.Agent], _ server: NATSServer,
        queueMessages: Int = 100_000, log: Log = Log()
    ) throws -> ProxyThread {
        let configuration = BranchConfiguration(
            name: "core", nats: server.url, queueMessages: queueMessages, agents: agents)
        return try ProxyThread.branch(configuration, in: context, log: log.append)
    }

    @Test("A server that freezes or dies holds up nothing on ZeroMQ, and gets the rest later")
    func frozenServer() throws {
        let server = try NATSServer()
        let proxy = try bridged(
            [Agent(name: "a"), Agent(name: "b"), Agent(name: "n", transport: .nats)], server)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try two.attach(window: 1_000_000)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: "agent.n.>")
        server.freeze()
        defer { server.thaw() }
        // More than the sockets' buffers take, so that a write to the server would block.
        let content = [UInt8](repeating: 1, count: 100_000)
        for sequence in 1...200 {
            try one.send(agentEnvelope("a", "n", UInt64(sequence), content: content))
            try one.send(agentEnvelope("a", "b", UInt64(sequence)))
            #expect(try two.receive().sequence == UInt64(sequence))
        }
        server.thaw()
        var sequences: Set<UInt64> = []
        for _ in 0..<200 { sequences.insert(try subscription.envelope().sequence) }
        #expect(sequences == Set(1...200))
        #expect(try proxy.deadLetters(.natsUnavailable) == 0)
        server.stop()
        try one.send(agentEnvelope("a", "b", 201))
        #expect(try two.receive().sequence == 201)
    }

    @Test("While NATS is away the queue keeps to its bound; at the end what waits is named")
    func deadServer() throws {
        let server = try NATSServer()
        let log = Log()
        let proxy = try bridged(
            [Agent(name: "a"), Agent(name: "n", transport: .nats)], server, queueMessages: 10,
            log: log)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        server.stop()
        _ = try eventually("the proxy to notice") {
            try proxy.status("nats", "connected").bool == false ? () : nil
        }
        for sequence in 1...25 { try one.send(agentEnvelope("a", "n", UInt64(sequence))) }
        _ = try eventually("25 messages") {
            try proxy.status("messages").integer == 25 ? () : nil
        }
        #expect(try proxy.deadLetters(.natsUnavailable) == 15)
        #expect(try proxy.status("nats", "queued").integer == 10)
        // A move to a server that is not there is refused, and changes nothing.
        #expect(throws: RoutingError.self) {
            try proxy.command("release", ["agent": "a", "transport": "nats", "epoch": 1])
        }
        #expect(try proxy.status("agents", "a", "transport").string == "zmq")
        #expect(proxy.stop() == nil)
        #expect(log.lines.contains("Dead Letters: 25 (nats unavailable 25)"))
    }

    @Test("A bridge that starts before its server subscribes and publishes once it is there")
    func lateServer() throws {
        let port = try {
            let early = try NATSServer()
            return early.url.split(separator: ":").last.map(String.init) ?? ""
        }()
        let inbox = try Inbox()
        let bridge = try NATSBridge(
            .init(
                url: "nats://127.0.0.1:\(port)", name: "late",
                limits: QueueLimits(messages: 10, bytes: 10_000)), inbox: inbox)
        #expect(try !bridge.start(waiting: .milliseconds(1)))
        defer { _ = bridge.stop(within: .zero) }
        bridge.subscribe(tag: "a", to: ["agent.a.>"], token: 1)
        bridge.flush(token: 2)
        var done: [UInt64: Bool] = [:]
        var arrived: [Envelope] = []
        func look(until isEnough: @escaping () -> Bool) throws {
            _ = try eventually("the bridge") {
                for event in inbox.takeAll() {
                    if case .done(let token, let isDone) = event { done[token] = isDone }
                    if case .envelope("a", let envelope) = event { arrived.append(envelope) }
                }
                return isEnough() ? () : nil
            }
        }
        try look { done.count == 2 }
        #expect(done == [1: false, 2: false])
        let envelope = agentEnvelope("b", "n", 1)
        #expect(
            bridge.publish(
                Publication(
                    subject: "agent.n.test", envelope: envelope, plain: nil,
                    parcel: Parcel(envelope), agent: "n")))
        let server = try NATSServer(arguments: ["-p", port])
        let connection = try Connection(server, name: "n")
        try look { bridge.isConnected && bridge.queued == 0 }
        _ = try eventually("the subscription") {
            try connection.publish(agentEnvelope("n", "a", 1))
            try connection.flush(timeout: patience)
            try look { true }
            return arrived.isEmpty ? nil : ()
        }
        #expect(arrived.first == agentEnvelope("n", "a", 1))
        bridge.flush(token: 3)
        try look { done[3] != nil }
        #expect(done[3] == true)
    }

    @Test("An agent that comes back from a dead server gets what was queued for it")
    func takeBack() throws {
        let server = try NATSServer()
        let proxy = try bridged([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        server.stop()
        _ = try eventually("the proxy to notice") {
            try proxy.status("nats", "connected").bool == false ? () : nil
        }
        for sequence in 1...20 { try one.send(agentEnvelope("a", "n", UInt64(sequence))) }
        _ = try eventually("20 messages") {
            try proxy.status("nats", "queued").integer == 20 ? () : nil
        }
        let held = try proxy.command("hold", ["agent": "n", "topics": []])
        #expect(held["nats"] == false)
        try one.send(agentEnvelope("a", "n", 21))
        let back = try Dealer("n", at: proxy.endpoints["router"], in: context)
        try back.attach(window: 1_000, incarnation: 2)
        let release: Value = ["agent": "n", "transport": "zmq", "epoch": 1]
        let released = try eventually("the last to be held") {
            try proxy.status("agents", "n", "held").integer == 21
                ? try proxy.command("release", release) : nil
        }
        #expect(released == ["released": 21])
        #expect(try back.receive(21).map(\.sequence) == Array(1...21))
        try one.send(agentEnvelope("a", "n", 22))
        #expect(try back.receive().sequence == 22)
    }
}
