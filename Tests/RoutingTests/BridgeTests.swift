import DequeModule
import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

private typealias Agent = BranchConfiguration.Agent

@Suite("Bridge", .timeLimit(.minutes(2)))
struct BridgeTests {
    let context: Context

    init() throws { context = try Context() }

    private func branch(
        _ agents: [BranchConfiguration.Agent], _ server: NATSServer, name: String = "core",
        queueMessages: Int = 100_000, isChunking: Bool = true, log: Log = Log()
    ) throws -> ProxyThread {
        var configuration = BranchConfiguration(
            name: name, nats: server.url, queueMessages: queueMessages, agents: agents)
        configuration.isChunking = isChunking
        return try ProxyThread.branch(configuration, in: context, log: log.append)
    }

    private func topics(_ server: NATSServer) throws -> ProxyThread {
        try ProxyThread.topics(
            TopicConfiguration(name: "tot", nats: server.url, prefixes: ["tot"]), in: context)
    }

    @Test("Envelopes cross between ZeroMQ and NATS, both ways, one bridge counted")
    func bothWays() throws {
        let server = try NATSServer()
        let proxy = try branch([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
        let dealer = try Dealer("a", at: proxy.endpoints["router"], in: context)
        try dealer.attach(window: 1_000)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: "agent.n.>")
        for sequence in 1...200 {
            try dealer.send(agentEnvelope("a", "n", UInt64(sequence)))
            try connection.publish(agentEnvelope("n", "a", UInt64(sequence)))
        }
        for sequence in 1...200 {
            #expect(
                try subscription.envelope() == agentEnvelope("a", "n", UInt64(sequence), hops: 1))
            #expect(try dealer.receive() == agentEnvelope("n", "a", UInt64(sequence), hops: 1))
        }
        try dealer.passMarker()
        #expect(try proxy.status("messages").integer == 400)
    }

    @Test("What came from NATS never goes back: not to the sender, not round two branches")
    func noLoops() throws {
        let server = try NATSServer()
        let core = try branch([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
        let edge = try branch([Agent(name: "b")], server, name: "edge")
        let peer: Value = [
            "name": "edge", "endpoint": .string(try #require(edge.endpoints["router"])),
            "agents": ["b"],
        ]
        try core.command("link", ["peers": [peer]])
        let one = try Dealer("a", at: core.endpoints["router"], in: context)
        let two = try Dealer("b", at: edge.endpoints["router"], in: context)
        try one.attach(window: 100)
        try two.attach(window: 100)
        let observer = try Connection(server, name: "observer")
        let all = try observer.listen(to: ">")
        let sender = try Connection(server, name: "n")
        try sender.publish(agentEnvelope("n", "a", 1))
        try sender.publish(agentEnvelope("n", "b", 1))
        // One to an agent that says it is on NATS, and hops that are used up.
        try sender.publish(agentEnvelope("n", "a", 2, hops: Envelope.hopsMax))
        #expect(try one.receive().sequence == 1)
        #expect(try two.receive().sequence == 1)
        try one.send(agentEnvelope("a", "b", 1))
        #expect(try two.receive().source == "a")
        try one.send(agentEnvelope("a", "n", 1, hops: Envelope.hopsMax))
        try one.passMarker()
        try two.passMarker()
        _ = try eventually("the hop limit") {
            try core.deadLetters(.hopLimit) == 2 ? () : nil
        }
        // Everything that anybody published: the three above, and nothing by a bridge.
        try observer.flush(timeout: patience)
        #expect(all.pending == 3)
        #expect(try core.status("messages").integer == 3)
        #expect(try edge.status("messages").integer == 2)
    }

    @Test("Programs that know nothing of envelopes are understood on NATS and answered there")
    func plain() throws {
        let server = try NATSServer()
        let proxy = try branch(
            [
                Agent(name: "a"), Agent(name: "old", wire: .json),
                Agent(name: "web", transport: .nats, wire: .json),
            ], server)
        let dealer = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let old = try Dealer("old", at: proxy.endpoints["router"], in: context)
        try dealer.attach(window: 10)
        let web = try Connection(server, name: "web")
        let subscription = try web.listen(to: "agent.web.>")
        let message = SeedMessage(from: "web", to: "a", type: "note", content: ["n": 1])
        try web.publish("agent.a.note", content: message.bytes)
        let envelope = try dealer.receive()
        #expect(envelope.source == "web")
        #expect(envelope.sequence == 1)
        #expect(envelope.incarnation >= 0x4000_0000)
        #expect(envelope.content == Array(#"{"n":1}"#.utf8))
        // Straight through to another of its kind.
        let second = SeedMessage(from: "web", to: "old", type: "note", content: 2)
        try web.publish("agent.old.note", content: second.bytes)
        #expect(try old.receiveSeed() == second)
        try old.sendSeed(to: "web", type: "note", [3])
        let answer = try #require(try subscription.next(timeout: patience))
        #expect(answer.subject == "agent.web.note")
        #expect(answer.header("ce-source") == nil)
        #expect(
            try SeedMessage(parsing: answer.content)
                == SeedMessage(from: "old", to: "web", type: "note", content: [3]))
        // Neither one nor the other is named, and does not hurt.
        try web.publish("agent.a.note", content: [0xFF, 0x00])
        try web.publish(
            "agent.a.x", headers: [("ce-source", "web"), ("ce-kind", "9")], content: [])
        try web.publish(agentEnvelope("web", "a", 9))
        #expect(try dealer.receive().sequence == 9)
        #expect(try proxy.deadLetters(.malformed) == 2)
    }

    @Test("Content above the server's limit is named, and the receiver is told")
    func oversize() throws {
        let server = try NATSServer()
        let proxy = try branch(
            [Agent(name: "a"), Agent(name: "n", transport: .nats)], server, isChunking: false)
        let dealer = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: "agent.n.>")
        let large = [UInt8](repeating: 1, count: 2 << 20)
        try dealer.send(agentEnvelope("a", "n", 1, content: large))
        try dealer.send(agentEnvelope("a", "n", 2))
        let received = try [subscription.envelope(), subscription.envelope()]
        #expect(Set(received.map(\.kind)) == [.content, .gap])
        #expect(try proxy.deadLetters(.oversize) == 1)
    }

    @Test("Content above the server's limit goes on in chunks, and comes back whole")
    func chunks() throws {
        let server = try NATSServer()
        let proxy = try branch([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
        let dealer = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: "agent.n.>")
        let large = (0..<2 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 7) }
        try dealer.send(agentEnvelope("a", "n", 1, content: large))
        var chunks = ChunkAssembly()
        var whole: Envelope?
        while whole == nil {
            guard let message = try subscription.nextReceived(timeout: patience) else { break }
            guard case .whole(let envelope) = chunks.take(message) else { continue }
            whole = envelope
        }
        #expect(whole?.content == large)
        // The other way, from a program on NATS to the agent on ZeroMQ.
        try dealer.attach(window: 10)
        let back = agentEnvelope("n", "a", 1, content: large)
        var lines: [UInt8] = []
        back.appendAttributeLines(to: &lines)
        try large.withUnsafeBytes { content in
            try connection.publishInChunks("agent.a.x", attributeLines: lines, content: content)
        }
        #expect(try dealer.receive().content == large)
        // One that lacks a chunk is named, and the agent is told before what comes next.
        var number = 0
        try large.withUnsafeBytes { content in
            var lines: [UInt8] = []
            agentEnvelope("n", "a", 2).appendAttributeLines(to: &lines)
            try connection.publishInChunks("agent.a.x", attributeLines: lines, content: content) {
                number += 1
                return number == 2 ? .lose : nil
            }
        }
        let next = agentEnvelope("n", "a", 3)
        try connection.publish("agent.a.x", headers: next.headers, content: next.content)
        let after = try dealer.receive(2)
        #expect(after.map(\.kind) == [.gap, .content])
        #expect(try proxy.deadLetters(.incomplete) == 1)
    }

    @Test("A server that freezes or dies holds up nothing on ZeroMQ, and gets the rest later")
    func frozenServer() throws {
        let server = try NATSServer()
        let proxy = try branch(
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
        let proxy = try branch(
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
        let proxy = try branch([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
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

    @Test("Topics cross between ZeroMQ and NATS, both ways, and never back")
    func topicsBothWays() throws {
        let server = try NATSServer()
        let proxy = try topics(server)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let subscriber = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot", "other")
        let connection = try Connection(server, name: "n")
        let all = try connection.listen(to: ">")
        for sequence in 1...100 {
            try publisher.publish(topicEnvelope("p", "tot.x", UInt64(sequence)))
        }
        #expect(try subscriber.receive(100) == Array(1...100))
        for sequence in 1...100 {
            let envelope = try all.envelope()
            #expect(envelope.sequence == UInt64(sequence))
            #expect(envelope.hops == 1)
        }
        let other = try Connection(server, name: "other")
        try other.publish(topicEnvelope("n", "tot.y", 1))
        try other.publish(topicEnvelope("n", "other", 1))
        try other.publish("tot.z", content: Array("{}".utf8))
        // Not under the proxy's prefixes: it stays where it was published.
        try publisher.publish(topicEnvelope("p", "other", 2))
        var seen: [String] = []
        for _ in 0..<3 {
            let frames = try #require(try subscriber.frames())
            seen.append(String(decoding: frames[0], as: UTF8.self))
        }
        #expect(seen.sorted() == ["other", "tot.y", "tot.z"])
        proxy.stop()
        try connection.flush(timeout: patience)
        #expect(all.pending == 3)
    }

    @Test("A moving subscriber comes back although the server freezes in the middle")
    func topicMoveBack() throws {
        let server = try NATSServer()
        let proxy = try topics(server)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        try proxy.command("hold", ["agent": "mover", "topics": ["tot"]])
        try publisher.publish(topicEnvelope("p", "tot.x", 1))
        _ = try eventually("a copy") {
            try proxy.status("held", "mover").integer == 1 ? () : nil
        }
        let mover = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try mover.confirm("tot", "_marker.mover", as: "mover")
        server.freeze()
        defer { server.thaw() }
        #expect(throws: RoutingError.self) {
            try proxy.command("release", ["agent": "mover", "transport": "nats", "epoch": 1])
        }
        #expect(
            try proxy.command("release", ["agent": "mover", "transport": "zmq", "epoch": 2])
                == ["released": 1])
        #expect(try mover.receive() == topicEnvelope("p", "tot.x", 1))
    }

    @Test("A moving subscriber gets on NATS what was published since the hold")
    func topicMove() throws {
        let server = try NATSServer()
        let proxy = try topics(server)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let hold: Value = ["agent": "mover", "topics": ["tot"]]
        #expect(try proxy.command("hold", hold) == ["held": 0, "nats": true])
        try publisher.publish(topicEnvelope("p", "tot.x", 1))
        let other = try Connection(server, name: "other")
        try other.publish(topicEnvelope("n", "tot.y", 1))
        _ = try eventually("two copies") {
            try proxy.status("held", "mover").integer == 2 ? () : nil
        }
        let connection = try Connection(server, name: "mover")
        let inbox = try connection.listen(to: "agent.mover.>")
        let release: Value = ["agent": "mover", "transport": "nats", "epoch": 1]
        #expect(try proxy.command("release", release) == ["released": 2])
        let received = try [inbox.envelope(), inbox.envelope()]
        #expect(Set(received.map(\.destination)) == [.topic("tot.x"), .topic("tot.y")])
        try publisher.publish(topicEnvelope("p", "tot.x", 2))
        #expect(try proxy.command("release", release) == ["released": 0])
    }
}
