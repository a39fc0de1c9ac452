import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

private typealias Agent = BranchConfiguration.Agent

private func batch(_ source: String, _ destination: String, _ range: ClosedRange<UInt64>)
    -> Envelope
{
    var draft = Batch.Draft()
    for sequence in range { draft.append(agentEnvelope(source, destination, sequence)) }
    return draft.take() ?? agentEnvelope(source, destination, 0)
}

@Suite("Batches in proxies", .timeLimit(.minutes(2)))
struct BatchTests {
    let context: Context

    init() throws { context = try Context() }

    private func branch(
        _ agents: [BranchConfiguration.Agent], queueMessages: Int = 100_000, nats: String? = nil,
        log: Log = Log()
    ) throws -> ProxyThread {
        try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: nats, queueMessages: queueMessages, agents: agents),
            in: context, log: log.append)
    }

    @Test("A batch goes whole to who takes it, and in parts to who does not; both are counted")
    func split() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b"), Agent(name: "c")])
        let a = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let b = try Dealer("b", at: proxy.endpoints["router"], in: context)
        let c = try Dealer("c", at: proxy.endpoints["router"], in: context)
        try a.attach(window: 1_000)
        try b.attach(window: 1_000, batches: true)
        try c.attach(window: 1_000)
        try a.send(batch("a", "b", 1...50))
        try a.send(batch("a", "c", 1...50))
        #expect(try b.receive() == batch("a", "b", 1...50))
        #expect(try c.receive(50) == (1...50).map { agentEnvelope("a", "c", $0) })
        #expect(try proxy.status("messages").integer == 100)
    }

    @Test("The seed's wire gets one frame for each envelope of a batch")
    func seed() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "old", wire: .json)])
        let a = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let old = try Dealer("old", at: proxy.endpoints["router"], in: context)
        try a.attach(window: 1_000)
        try old.sendSeed(to: "a", ["n": 1])
        _ = try a.receive()
        try a.send(batch("a", "old", 1...3))
        for _ in 0..<3 { #expect(try old.receiveSeed().from == "a") }
    }

    @Test("Credit is counted by envelopes: a batch may overdraw it, and then nothing goes")
    func credit() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")])
        let a = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let b = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try a.attach(window: 1_000)
        try b.attach(window: 10, batches: true)
        for start in [UInt64(1), 21, 41] { try a.send(batch("a", "b", start...(start + 19))) }
        try a.passMarker()
        #expect(try b.receive().envelopeCount == 20)
        // Ten more than it said: with nine of them consumed it is still owed one.
        try b.sendToProxy(.credit, "10")
        try b.passMarker()
        try b.sendToProxy(.credit, "1")
        #expect(try b.receive().sequence == 21)
        #expect(try proxy.status("agents")["b"]?["queued"]?.integer == 20)
    }

    @Test("A batch that does not fit the queue is dropped envelope by envelope, in one notice")
    func dropped() throws {
        let log = Log()
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], queueMessages: 30, log: log)
        let a = try Dealer("a", at: proxy.endpoints["router"], in: context)
        try a.attach(window: 1_000)
        try a.send(batch("a", "b", 1...20))
        try a.send(batch("a", "b", 21...40))
        try a.passMarker()
        #expect(try proxy.deadLetters(.queueFull) == 20)
        let b = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try b.attach(window: 1_000, batches: true)
        #expect(try b.receive().envelopeCount == 20)
        let notice = try b.receive()
        #expect(notice.kind == .gap)
        let said = try Value(parsing: notice.content)
        #expect(said["from"] == 21 && said["through"] == 40)
    }

    @Test("What says that it is a batch and is none is unreadable, and the proxy goes on")
    func hostile() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b"), Agent(name: "c")])
        let a = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let b = try Dealer("b", at: proxy.endpoints["router"], in: context)
        let c = try Dealer("c", at: proxy.endpoints["router"], in: context)
        try a.attach(window: 1_000)
        try b.attach(window: 1_000, batches: true)
        try c.attach(window: 1_000)
        for content in [
            [], [1, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 99),
        ] {
            var envelope = batch("a", "b", 1...2)
            envelope.content = content
            try a.send(envelope)
        }
        // One whose number can be right, and whose rest is nonsense, to who takes no batches.
        var envelope = batch("a", "c", 1...2)
        envelope.content = [2, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 40)
        try a.send(envelope)
        try a.passMarker()
        #expect(try proxy.deadLetters(.malformed) == 5)
        try a.send(agentEnvelope("a", "b", 3))
        #expect(try b.receive().sequence == 3)
        let notice = try c.receive()
        #expect(notice.kind == .gap && notice.sequence == 1)
    }

    @Test("Batches cross the bridge whole, or in parts where the topology says so")
    func bridge() throws {
        let server = try NATSServer()
        let agents = [
            Agent(name: "a"), Agent(name: "n", transport: .nats),
            Agent(name: "old", transport: .nats, takesBatches: false),
        ]
        let proxy = try branch(agents, nats: server.url)
        let a = try Dealer("a", at: proxy.endpoints["router"], in: context)
        try a.attach(window: 1_000, batches: true)
        let connection = try Connection(server, name: "n")
        let new = try connection.listen(to: "agent.n.>")
        let old = try connection.listen(to: "agent.old.>")
        try a.send(batch("a", "n", 1...5))
        try a.send(batch("a", "old", 1...5))
        let whole = try new.envelope()
        #expect(whole.kind == .batch && whole.hops == 1)
        #expect(try whole.unbatched.map(\.sequence) == Array(1...5))
        for sequence in 1...5 {
            #expect(try old.envelope() == agentEnvelope("a", "old", UInt64(sequence), hops: 1))
        }
        try connection.publish(batch("n", "a", 1...5))
        #expect(try a.receive().envelopeCount == 5)
    }

    @Test("What NATS does not take together goes one by one")
    func oversize() throws {
        let folder = try TemporaryDirectory()
        try folder.write("max_payload: 20000", to: "nats.conf")
        let server = try NATSServer(arguments: ["-c", folder.path + "/nats.conf"])
        let proxy = try branch(
            [Agent(name: "a"), Agent(name: "n", transport: .nats)], nats: server.url)
        let a = try Dealer("a", at: proxy.endpoints["router"], in: context)
        try a.attach(window: 1_000)
        let subscription = try Connection(server, name: "n").listen(to: "agent.n.>")
        var draft = Batch.Draft()
        for sequence in 1...3 {
            draft.append(
                agentEnvelope(
                    "a", "n", UInt64(sequence), content: [UInt8](repeating: 1, count: 10_000)))
        }
        if let batch = draft.take() { try a.send(batch) }
        for sequence in 1...3 { #expect(try subscription.envelope().sequence == UInt64(sequence)) }
        #expect(try proxy.deadLetters(.oversize) == 0)
    }
}
