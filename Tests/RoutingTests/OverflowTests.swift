import JSON
import Testing
import Wire
import ZeroMQ

@testable import Routing

@Suite("Full queues", .timeLimit(.minutes(2)))
struct OverflowTests {
    let context: Context

    init() throws { context = try Context() }

    private func branch(
        _ overflow: QueueOverflow, messages: Int, stallTimeout: Duration = .seconds(60),
        log: Log = Log()
    ) throws -> ProxyThread {
        var configuration = BranchConfiguration(
            name: "core", queueMessages: messages,
            agents: ["a", "b", "c", "d"].map { .init(name: $0) })
        configuration.overflow = overflow
        configuration.stallTimeout = stallTimeout
        return try ProxyThread.branch(configuration, in: context, log: log.append)
    }

    private func dealer(
        _ name: String, _ proxy: ProxyThread, highWaterMark: Int = 1_000
    ) throws -> Dealer {
        try Dealer(
            name, at: proxy.endpoints["router"], in: context, highWaterMark: highWaterMark)
    }

    /// Large enough that the sockets between two peers take a few hundred of them.
    private func large(_ sequence: Int) -> Envelope {
        agentEnvelope(
            "a", "b", UInt64(sequence), content: [UInt8](repeating: 7, count: 20_000))
    }

    private func waits(_ proxy: ProxyThread) throws {
        _ = try eventually("the proxy to wait for b") {
            try proxy.status("waiting_for") == ["b"] ? () : nil
        }
    }

    @Test("drop_oldest keeps the newest, and the receiver is told of the rest before them")
    func dropOldest() throws {
        let proxy = try branch(.dropOldest, messages: 10)
        let (one, two) = (try dealer("a", proxy), try dealer("c", proxy))
        for sequence in 1...25 {
            try one.send(agentEnvelope("a", "b", UInt64(sequence)))
            if sequence == 20 {
                try one.passMarker()
                try two.send(agentEnvelope("c", "b", 1))
                try two.passMarker()
            }
        }
        try one.passMarker()
        #expect(try proxy.deadLetters(.queueFull) == 16)
        #expect(try proxy.status("agents", "b", "queued").integer == 10)
        let receiver = try dealer("b", proxy)
        try receiver.attach(window: 1_000)
        let notice = try receiver.receive()
        #expect(notice.kind == .gap)
        #expect(notice.source == "a")
        #expect(
            try Value(parsing: notice.content)
                == ["from": 1, "through": 16, "reason": "queue full"])
        let rest = try receiver.receive(10)
        #expect(rest.filter { $0.source == "a" }.map(\.sequence) == Array(17...25))
        #expect(rest.filter { $0.source == "c" }.map(\.sequence) == [1])
        // Whatever comes next has nothing left to say.
        try one.send(agentEnvelope("a", "b", 26))
        #expect(try receiver.receive().sequence == 26)
    }

    @Test("drop_oldest is told once, behind credit that was used up")
    func dropOldestBehindCredit() throws {
        let proxy = try branch(.dropOldest, messages: 4)
        let (one, two) = (try dealer("a", proxy), try dealer("b", proxy))
        try two.attach(window: 2)
        for sequence in 1...12 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        try one.passMarker()
        #expect(try two.receive(2).map(\.sequence) == [1, 2])
        try two.sendToProxy(.credit, "2")
        let notice = try two.receive()
        #expect(
            try Value(parsing: notice.content)
                == ["from": 3, "through": 8, "reason": "queue full"])
        #expect(try two.receive(2).map(\.sequence) == [9, 10])
    }

    @Test(
        "pause: nothing is lost, however much waits for a receiver that does not read for a while")
    func pause() throws {
        let proxy = try branch(.pause, messages: 50)
        let (one, slow) = (try dealer("a", proxy), try dealer("b", proxy, highWaterMark: 1))
        let (third, fourth) = (try dealer("c", proxy), try dealer("d", proxy))
        try slow.attach(window: 100)
        try fourth.attach()
        let count = 2_500
        for sequence in 1...count { try one.send(large(sequence)) }
        try waits(proxy)
        try third.send(agentEnvelope("c", "d", 1))
        // It goes past its credit, which nobody hears of now.
        for sequence in 1...count {
            #expect(try slow.receive().sequence == UInt64(sequence))
            if sequence % 50 == 0 { try slow.sendToProxy(.credit, "50") }
        }
        #expect(try fourth.receive().sequence == 1)
        try one.passMarker()
        #expect(try proxy.status("dead_letters") == [:])
        #expect(try proxy.status("waits").integer ?? 0 > 0)
        // What went past the credit was owed, and is paid.
        try slow.passMarker()
        #expect(try proxy.status("agents", "b", "credit") == 100)
    }

    @Test("pause: who takes nothing for the stall timeout is named, and loses alone")
    func stall() throws {
        let log = Log()
        let proxy = try branch(.pause, messages: 50, stallTimeout: .milliseconds(100), log: log)
        let (one, stalled) = (try dealer("a", proxy), try dealer("b", proxy, highWaterMark: 1))
        let (third, fourth) = (try dealer("c", proxy), try dealer("d", proxy))
        try stalled.attach(window: 100)
        try fourth.attach()
        let count = 2_500
        for sequence in 1...count { try one.send(large(sequence)) }
        // While all wait for it this waits too, and then comes.
        try third.send(agentEnvelope("c", "d", 1))
        #expect(try fourth.receive().sequence == 1)
        _ = try eventually("the stall to be named") {
            log.lines.contains { $0.hasPrefix("STALLED: b takes nothing") } ? () : nil
        }
        try one.passMarker()
        let lost = try proxy.deadLetters(.stalled)
        #expect(lost > 0)
        // All that is not lost comes, in order, and the rest is told.
        var expected: UInt64 = 1
        while expected <= count {
            let envelope = try stalled.receive()
            #expect(envelope.sequence == expected)
            if expected % 50 == 0 { try stalled.sendToProxy(.credit, "50") }
            guard envelope.kind == .gap else {
                expected += 1
                continue
            }
            let notice = try Value(parsing: envelope.content)
            #expect(notice["reason"] == "stalled")
            expected = UInt64(notice["through"]?.integer ?? 0) + 1
        }
        _ = try eventually("its return") {
            log.lines.contains { $0.hasPrefix("UNSTALLED: b") } ? () : nil
        }
        try one.send(agentEnvelope("a", "b", UInt64(count) + 1))
        #expect(try stalled.receive().sequence == UInt64(count) + 1)
    }

    @Test("pause: for an agent that is not there nobody waits; its bound holds, the rest is named")
    func absent() throws {
        let proxy = try branch(.pause, messages: 10)
        let one = try dealer("a", proxy)
        for sequence in 1...25 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        try one.passMarker()
        #expect(try proxy.deadLetters(.queueFull) == 15)
        #expect(try proxy.status("waits") == 0)
        let two = try dealer("b", proxy)
        try two.attach()
        #expect(try two.receive(11).map(\.kind) == Array(repeating: .content, count: 10) + [.gap])
    }

    @Test("pause: a sender that understands it is asked to hold back, and to go on")
    func requests() throws {
        let proxy = try branch(.pause, messages: 20)
        let (one, slow) = (try dealer("a", proxy), try dealer("b", proxy))
        try one.sendToProxy(.hello, #"{"incarnation":1,"pauses":true}"#)
        #expect(try one.receive().kind == .hello)
        try slow.attach(window: 5)
        for sequence in 1...15 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        let request = try one.receive()
        #expect(request.kind == .credit)
        #expect(request.type == "pause")
        #expect(request.content == Array(#"{"agent":"b"}"#.utf8))
        // Nobody is held up, and it is said once.
        try one.passMarker()
        #expect(try proxy.status("waiting_for") == [])
        #expect(try slow.receive(5).count == 5)
        try slow.sendToProxy(.credit, "5")
        #expect(try slow.receive(5).count == 5)
        try slow.sendToProxy(.credit, "5")
        let release = try one.receive()
        #expect(release.type == "resume")
        #expect(release.content == request.content)
    }
}
