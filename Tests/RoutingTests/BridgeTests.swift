import Chunking
import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

private typealias Agent = BranchConfiguration.Agent

/// What crosses between ZeroMQ and NATS, and what does not.
@Suite("Bridge", .timeLimit(.minutes(2)))
struct BridgeTests {
    let context: Context

    init() throws { context = try Context() }

    private func bridged(
        _ agents: [BranchConfiguration.Agent], _ server: NATSServer, name: String = "core",
        isChunking: Bool = true
    ) throws -> ProxyThread {
        var configuration = BranchConfiguration(name: name, nats: server.url, agents: agents)
        configuration.isChunking = isChunking
        return try ProxyThread.branch(configuration, in: context)
    }

    @Test("Envelopes cross between ZeroMQ and NATS, both ways, one bridge counted")
    func bothWays() throws {
        let server = try NATSServer()
        let proxy = try bridged([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
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
        let core = try bridged([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
        let edge = try bridged([Agent(name: "b")], server, name: "edge")
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
        let proxy = try bridged(
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
        let proxy = try bridged(
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
        let proxy = try bridged([Agent(name: "a"), Agent(name: "n", transport: .nats)], server)
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
        try connection.publishInChunks(back, on: "agent.a.x")
        #expect(try dealer.receive().content == large)
        // One that lacks a chunk is named, and the agent is told before what comes next.
        var number = 0
        let broken = agentEnvelope("n", "a", 2, content: large)
        try connection.publishInChunks(broken, on: "agent.a.x") {
            number += 1
            return number == 2 ? .lose : nil
        }
        let next = agentEnvelope("n", "a", 3)
        try connection.publish("agent.a.x", headers: next.headers, content: next.content)
        let after = try dealer.receive(2)
        #expect(after.map(\.kind) == [.gap, .content])
        #expect(try proxy.deadLetters(.incomplete) == 1)
    }
}
