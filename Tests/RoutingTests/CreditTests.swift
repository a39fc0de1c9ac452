import Glibc
import JSON
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// An agent that keeps to the rule of credit, in all its incarnations.
private final class Taker {
    let name: String
    let endpoint: String?
    let window: Int
    private(set) var incarnation = 0
    private var dealer: Dealer?
    private var owed = 0
    /// The sequences that this incarnation was handed, and those before it.
    private(set) var taken: [UInt64] = []
    private(set) var earlier: [[UInt64]] = []
    /// How often it was asked to say hello again.
    private(set) var asked = 0

    init(window: Int, named name: String = "b", at endpoint: String?) {
        (self.window, self.name, self.endpoint) = (window, name, endpoint)
    }

    private func current() throws -> Dealer { try #require(dealer) }

    var isThere: Bool { dealer != nil }

    /// Starts anew; that the former incarnation has ended may not be known yet.
    func start() throws {
        dealer = nil
        incarnation += 1
        earlier.append(taken)
        (taken, owed) = ([], 0)
        // As with a process: nothing of the former incarnation is left to connect again, and to be
        // taken for the new one. The end of a context waits for what its sockets have to say.
        let next = try Dealer(name, at: endpoint, in: try Context())
        dealer = next
        try next.attach(window: window, incarnation: incarnation)
    }

    func leave() { dealer = nil }

    func sayHello() throws {
        owed = 0
        try current().sendToProxy(
            .hello, #"{"incarnation":\#(incarnation),"window":\#(window)}"#)
    }

    func grant(_ count: Int) throws { try current().sendToProxy(.credit, String(count)) }

    /// Takes what comes next; false where nothing does in time.
    func take(within timeout: Duration) throws -> Bool {
        guard let frames = try current().frames(within: timeout) else { return false }
        let envelope = try Envelope(header: frames[0], content: frames[1])
        switch envelope.kind {
        case .content:
            taken.append(envelope.sequence)
            owed += 1
            guard owed >= max(1, window / 2) else { break }
            try grant(owed)
            owed = 0
        case .hello where try Value(parsing: envelope.content)["again"] == true:
            asked += 1
            try sayHello()
        default: break
        }
        return true
    }
}

/// What happens between an agent, who sends, and the incarnations of another.
private enum Event: CaseIterable {
    case send, take, leave, start, loss, lateCredit, helloAgain, giveUpMove
}

@Suite("Credit across incarnations and lost connections", .timeLimit(.minutes(2)))
struct CreditTests {
    let context: Context

    init() throws { context = try Context() }

    private func branch(_ log: Log = Log()) throws -> ProxyThread {
        try ProxyThread.branch(
            BranchConfiguration(
                name: "core", agents: ["a", "b", "c"].map { .init(name: $0) }),
            in: context, log: log.append)
    }

    /// The connections through the relay are lost, with what an agent was sent by them.
    private func lose(_ relay: Relay, _ count: Int, of sender: Dealer, from sequence: UInt64) throws
    {
        relay.swallow()
        for number in 0..<UInt64(count) {
            try sender.send(agentEnvelope("a", "b", sequence + number))
        }
        try sender.passMarker()
        try relay.cut()
    }

    @Test("Who lost its connection, and credit with it, is asked to say hello again")
    func askedAgain() throws {
        let log = Log()
        let proxy = try branch(log)
        let sender = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let relay = try Relay(to: try #require(proxy.endpoints["router"]))
        let taker = Taker(window: 4, at: relay.endpoint)
        try taker.start()
        try lose(relay, 12, of: sender, from: 1)
        while taker.taken.last != 12 {
            guard try taker.take(within: patience) else { throw NotInTime(what: "the last one") }
        }
        #expect(taker.taken == Array(5...12))
        #expect(taker.asked >= 1)
        #expect(log.lines.contains { $0.hasPrefix("ASKED: b lost its connection") })
    }

    @Test("Who is merely slow is not")
    func slow() throws {
        let log = Log()
        let proxy = try branch(log)
        let sender = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let relay = try Relay(to: try #require(proxy.endpoints["router"]))
        // The one is there, and waits for its own credit; the other shows that there was time to ask.
        let slow = Taker(window: 2, at: proxy.endpoints["router"])
        let lost = Taker(window: 2, named: "c", at: relay.endpoint)
        try slow.start()
        try lost.start()
        for sequence in 1...9 { try sender.send(agentEnvelope("a", "b", UInt64(sequence))) }
        relay.swallow()
        for sequence in 1...9 { try sender.send(agentEnvelope("a", "c", UInt64(sequence))) }
        try sender.passMarker()
        try relay.cut()
        while lost.asked == 0 { #expect(try lost.take(within: patience)) }
        for _ in 1...9 { #expect(try slow.take(within: patience)) }
        #expect(slow.asked == 0)
        #expect(slow.taken == Array(1...9))
        #expect(!log.lines.contains { $0.hasPrefix("ASKED: b") })
    }

    /// One of many sequences of events, from a seed.
    private func play(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let proxy = try branch()
        let sender = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let relay = try Relay(to: try #require(proxy.endpoints["router"]))
        let taker = Taker(
            window: [1, 2, 7, 50].randomElement(using: &random) ?? 1, at: relay.endpoint)
        var sent: UInt64 = 0
        var epoch = 0
        var events: [Event] = []
        for _ in 0..<Int.random(in: 3...14, using: &random) {
            let event = Event.allCases.randomElement(using: &random) ?? .send
            events.append(event)
            switch event {
            case .send:
                for _ in 0..<Int.random(in: 1...60, using: &random) {
                    sent += 1
                    try sender.send(agentEnvelope("a", "b", sent))
                }
                if Bool.random(using: &random) { try sender.passMarker() }
            case .take where taker.isThere:
                for _ in 0..<Int.random(in: 1...40, using: &random) {
                    guard try taker.take(within: .milliseconds(1)) else { break }
                }
            case .leave: taker.leave()
            case .start: try taker.start()
            case .loss:
                let count = Int.random(in: 0...20, using: &random)
                try lose(relay, count, of: sender, from: sent + 1)
                sent += UInt64(count)
            case .lateCredit where taker.isThere:
                try taker.grant(Int.random(in: 1...100, using: &random))
                if Bool.random(using: &random) { taker.leave() }
            case .helloAgain where taker.isThere: try taker.sayHello()
            case .giveUpMove:
                epoch += 1
                _ = try proxy.command("hold", ["agent": "b", "epoch": .integer(Int64(epoch))])
                _ = try proxy.command(
                    "release",
                    ["agent": "b", "transport": "zmq", "epoch": .integer(Int64(epoch))])
            case .take, .lateCredit, .helloAgain: break
            }
        }
        // Now somebody reads everything: nothing may be stuck.
        if !taker.isThere { try taker.start() }
        try sender.passMarker()
        sent += 1
        try sender.send(agentEnvelope("a", "b", sent))
        while taker.taken.last != sent {
            guard try taker.take(within: patience) else {
                Issue.record(
                    "seed \(seed): stuck after \(taker.taken.last ?? 0) of \(sent): \(events)")
                return
            }
        }
        let all = (taker.earlier + [taker.taken]).flatMap { $0 }
        #expect(all == Set(all).sorted(), "seed \(seed): out of order or twice: \(events)")
        #expect(try proxy.status("agents", "b", "queued") == 0, "seed \(seed)")
        #expect(try proxy.status("dead_letters") == [:], "seed \(seed)")
    }

    @Test("In any order of arrivals, ends, lost connections and late credit, nothing is stuck")
    func anyOrder() throws {
        for seed in 1...60 { try play(UInt64(seed)) }
    }
}
