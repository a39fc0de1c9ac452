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
    let context: Context
    let window: Int
    private(set) var incarnation = 0
    private var dealer: Dealer?
    private var owed = 0
    /// The sequences that this incarnation was handed, and those before it.
    private(set) var taken: [UInt64] = []
    private(set) var earlier: [[UInt64]] = []
    /// How often it was asked to say hello again.
    private(set) var asked = 0

    init(window: Int, named name: String = "b", at endpoint: String?, in context: Context) {
        (self.window, self.name, self.endpoint) = (window, name, endpoint)
        self.context = context
    }

    private func current() throws -> Dealer { try #require(dealer) }

    var isThere: Bool { dealer != nil }

    /// Starts anew; that the former incarnation has ended may not be known yet.
    func start() throws {
        dealer = nil
        incarnation += 1
        earlier.append(taken)
        (taken, owed) = ([], 0)
        let next = try Dealer(name, at: endpoint, in: context)
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
        let taker = Taker(window: 4, at: relay.endpoint, in: context)
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
        let slow = Taker(window: 2, at: proxy.endpoints["router"], in: context)
        let lost = Taker(window: 2, named: "c", at: relay.endpoint, in: context)
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
}
