import JSON
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

private typealias Agent = BranchConfiguration.Agent

/// A branch with these agents.
private func branch(
    _ agents: [BranchConfiguration.Agent], in context: Context, name: String = "core",
    queueMessages: Int = 100_000, log: Log = Log()
) throws -> ProxyThread {
    try ProxyThread.branch(
        BranchConfiguration(name: name, queueMessages: queueMessages, agents: agents), in: context,
        log: log.append)
}

@Suite("Branch proxy", .timeLimit(.minutes(2)))
struct BranchTests {
    let context: Context

    init() throws { context = try Context() }

    @Test("Envelopes arrive as they were sent, in order, both ways")
    func routes() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try one.attach(window: 1_000)
        try two.attach(window: 1_000)
        let sent = (1...200).map { agentEnvelope("a", "b", $0) }
        for envelope in sent { try one.send(envelope) }
        #expect(try two.receive(200) == sent)
        let answer = agentEnvelope("b", "a", 1, content: (0...255).map { UInt8($0) })
        try two.send(answer)
        #expect(try one.receive() == answer)
        #expect(try proxy.status("messages").integer == 201)
        #expect(proxy.stop() == nil)
    }

    @Test("What is addressed to nobody is a dead letter, named in the log")
    func unknownDestination() throws {
        let log = Log()
        let proxy = try branch([Agent(name: "a")], in: context, log: log)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        try one.send(agentEnvelope("a", "nobody", 4))
        try one.passMarker()
        #expect(try proxy.deadLetters(.unknownDestination) == 1)
        #expect(log.lines.contains("DEAD LETTER: 1 x unknown destination, last: a -> nobody #1.4"))
    }

    @Test("What comes before the first hello waits for it")
    func waitsForHello() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        for sequence in 1...20 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        try one.passMarker()
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try two.attach(window: 1_000)
        #expect(try two.receive(20).map(\.sequence) == Array(1...20))
    }

    @Test("What waits for an agent that never came is named when the proxy ends")
    func neverAttached() throws {
        let log = Log()
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], in: context, log: log)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        try one.send(agentEnvelope("a", "b", 1))
        try one.passMarker()
        #expect(proxy.stop() == nil)
        #expect(log.lines.contains { $0.contains("never attached at shutdown, last: a -> b #1.1") })
        #expect(log.lines.contains("Dead Letters: 1 (never attached at shutdown 1)"))
    }

    @Test("A queue keeps to its bound, the rest is named, and the receiver is told the gap")
    func queueBound() throws {
        let proxy = try branch(
            [Agent(name: "a"), Agent(name: "b")], in: context, queueMessages: 10)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        for sequence in 1...25 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        try one.passMarker()
        #expect(try proxy.deadLetters(.queueFull) == 15)
        #expect(try proxy.status("agents", "b", "queued").integer == 10)
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try two.attach(window: 1_000)
        #expect(try two.receive(10).map(\.sequence) == Array(1...10))
        let gap = try two.receive()
        #expect(gap.kind == .gap)
        #expect(gap.identity.flow == Flow(source: "a", destination: .agent("b")))
        let content = try Value(parsing: gap.content)
        #expect(content == ["from": 11, "through": 25, "reason": "queue full"])
        try one.send(agentEnvelope("a", "b", 26))
        #expect(try two.receive().sequence == 26)
    }

    @Test("An agent that gives credit gets no more than it takes; another is not held up by it")
    func credit() throws {
        let proxy = try branch(
            [Agent(name: "a"), Agent(name: "b"), Agent(name: "c")], in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let slow = try Dealer("b", at: proxy.endpoints["router"], in: context)
        let quick = try Dealer("c", at: proxy.endpoints["router"], in: context)
        try slow.attach(window: 5)
        try quick.attach(window: 1_000)
        for sequence in 1...50 {
            try one.send(agentEnvelope("a", "b", UInt64(sequence)))
            try one.send(agentEnvelope("a", "c", UInt64(sequence)))
        }
        try one.passMarker()
        #expect(try quick.receive(50).count == 50)
        #expect(try slow.receive(5).map(\.sequence) == Array(1...5))
        #expect(try proxy.status("agents", "b", "queued").integer == 45)
        try slow.sendToProxy(.credit, "3")
        #expect(try slow.receive(3).map(\.sequence) == Array(6...8))
        #expect(try eventually("credit") { try proxy.status("agents", "b", "credit").integer } == 0)
        #expect(try proxy.status("agents", "b", "queued").integer == 42)
        // Never more than the window, whatever is said.
        try slow.sendToProxy(.credit, "1000")
        #expect(try slow.receive(5).map(\.sequence) == Array(9...13))
        #expect(try proxy.status("agents", "b", "queued").integer == 37)
    }

    @Test("A second connection of the same name takes over")
    func handover() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let first = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try first.attach(window: 2)
        for sequence in 1...4 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        #expect(try first.receive(2).map(\.sequence) == [1, 2])
        let second = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try second.attach(window: 10, incarnation: 2)
        #expect(try second.receive(2).map(\.sequence) == [3, 4])
        #expect(try proxy.status("agents", "b", "incarnation").integer == 2)
        try one.send(agentEnvelope("a", "b", 5))
        #expect(try second.receive().sequence == 5)
    }

    @Test("A restarted proxy finds its agents again, although they say hello only once")
    func restart() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], in: context)
        let endpoint = try #require(proxy.endpoints["router"])
        let one = try Dealer("a", at: endpoint, in: context)
        let two = try Dealer("b", at: endpoint, in: context)
        try two.attach(window: 10)
        proxy.stop()
        let again = try eventually("the endpoint to be free") {
            try? ProxyThread.branch(
                BranchConfiguration(
                    name: "core", endpoint: endpoint, agents: [Agent(name: "a"), Agent(name: "b")]),
                in: context, incarnation: 2)
        }
        // What the sender's socket gave to the old connection is lost; what comes after is not.
        var sequence: UInt64 = 0
        _ = try eventually("an envelope for b") {
            sequence += 1
            try one.send(agentEnvelope("a", "b", sequence))
            return try two.frames(within: .milliseconds(100))
        }
        again.stop()
    }

    @Test("Whoever says hello is answered, registered or not")
    func hello() throws {
        let proxy = try branch([Agent(name: "a")], in: context)
        let endpoint = try #require(proxy.endpoints["router"])
        #expect(helloProbe(endpoint: endpoint, timeout: patience) == "core")
        #expect(helloProbe(endpoint: endpoint, timeout: patience) == "core")
        proxy.stop()
        #expect(helloProbe(endpoint: endpoint, timeout: .milliseconds(50)) == nil)
        #expect(helloProbe(endpoint: "nonsense", timeout: patience) == nil)
    }

    @Test("An envelope that passed too many bridges goes no further")
    func hopLimit() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try two.attach(window: 10)
        try one.send(agentEnvelope("a", "b", 1, hops: 5))
        try one.send(agentEnvelope("a", "b", 2, hops: 4))
        #expect(try two.receive().sequence == 2)
        #expect(try proxy.deadLetters(.hopLimit) == 1)
    }

    @Test("Linked branches carry each other's agents, markers go through, nothing goes further")
    func links() throws {
        let core = try branch([Agent(name: "a")], in: context, name: "core")
        let edge = try branch([Agent(name: "b")], in: context, name: "edge")
        let far = try branch([Agent(name: "c")], in: context, name: "far")
        func link(_ from: ProxyThread, _ name: String, _ to: ProxyThread, _ agents: Value...) throws
        {
            let endpoint = Value.string(try #require(to.endpoints["router"]))
            let peer: Value = [
                "name": .string(name), "endpoint": endpoint, "agents": .array(agents),
            ]
            try from.command("link", ["peers": [peer]])
        }
        try link(core, "edge", edge, "b", "c")
        try link(edge, "core", core, "a")
        // Known at the edge; but what came over a link is delivered there or nowhere.
        try link(edge, "far", far, "c")
        let one = try Dealer("a", at: core.endpoints["router"], in: context)
        let two = try Dealer("b", at: edge.endpoints["router"], in: context)
        try one.attach(window: 1_000)
        try two.attach(window: 1_000)
        for sequence in 1...100 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        #expect(try two.receive(100).map(\.sequence) == Array(1...100))
        try two.send(agentEnvelope("b", "a", 1))
        #expect(try one.receive().source == "b")
        try one.send(agentEnvelope("a", "c", 1))
        try one.passMarker()
        #expect(try edge.deadLetters(.unknownDestination) == 1)
        try two.send(agentEnvelope("b", "c", 1))
        try two.passMarker()
        #expect(try far.status("messages").integer == 1)
    }

    @Test("Commands that make no sense are refused with a reason")
    func refusals() throws {
        let proxy = try branch([Agent(name: "a")], in: context)
        func reason(_ name: String, _ arguments: Value) -> String {
            do throws(RoutingError) {
                try proxy.command(name, arguments)
                return "none"
            } catch {
                return error.description
            }
        }
        #expect(reason("dance", [:]).contains("unknown command"))
        #expect(reason("hold", [:]).contains("'agent' is needed"))
        #expect(reason("hold", ["agent": "x"]).contains("no agent of branch 'core'"))
        #expect(reason("release", ["agent": "a"]).contains("'epoch'"))
        #expect(
            reason("release", ["agent": "a", "transport": "nats", "epoch": 1])
                .contains("NATS is not connected"))
        #expect(reason("link", ["peers": [["name": "x"]]]).contains("'endpoint'"))
        #expect(
            reason("link", ["peers": [["name": "x", "endpoint": "nonsense"]]])
                .contains("could not connect"))
    }

    @Test("Random bytes never end the proxy, and the next good envelope arrives")
    func hostile() throws {
        let proxy = try branch([Agent(name: "a"), Agent(name: "b")], in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try two.attach(window: 1_000_000)
        var generator = SeededGenerator(seed: 42)
        let good = agentEnvelope("a", "b", 1)
        for _ in 0..<10_000 {
            try one.send(hostileFrames(good, &generator))
        }
        try one.send(agentEnvelope("a", "b", 1_000_000, type: "good"))
        var last = try two.receive()
        while last.type != "good" { last = try two.receive() }
        #expect(last.sequence == 1_000_000)
        #expect(try proxy.deadLetters(.malformed) > 1_000)
    }

    /// Random frames, or a good message with something wrong about it.
    private func hostileFrames(
        _ good: Envelope, _ generator: inout SeededGenerator
    ) -> [[UInt8]] {
        func random(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
        let destinations: [[UInt8]] = [[], Array("b".utf8), Array("a".utf8), random(3)]
        let destination = destinations.randomElement(using: &generator) ?? []
        switch Int.random(in: 0..<6, using: &generator) {
        case 0:
            return (0..<Int.random(in: 1...6, using: &generator)).map { _ in
                random(Int.random(in: 0..<40, using: &generator))
            }
        case 1:
            let header = good.header.prefix(
                Int.random(in: 0...good.header.count, using: &generator))
            return [destination, Array(header), good.content]
        case 2: return [destination, good.header + random(2), good.content]
        case 3: return [Array(#"{"to":"b","type":"x","content":"#.utf8) + random(10)]
        case 4: return [destination, random(80), random(8)]
        default:
            var header = good.header
            header[Int.random(in: 0..<header.count, using: &generator)] = UInt8.random(
                in: 0...255, using: &generator)
            return [destination, header, random(8)]
        }
    }
}
