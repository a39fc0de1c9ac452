import Control
import Glibc
import JSON
import NATS
import Synchronization
import TestSupport
import Testing
import Threads
import Wire
import ZeroMQ

@testable import Routing

/// Sends numbered envelopes to one agent until told that it is enough, and counts them; never so
/// far ahead of what was received that a queue's bound, which is another test's matter, is reached.
private final class RunningSender: Sendable {
    private let received = Atomic<UInt64>(0)
    private static let aheadMax: UInt64 = 20_000
    private let isEnough = Atomic<Bool>(false)
    private let count = Mutex<UInt64>(0)
    private let thread: Mutex<DedicatedThread?> = Mutex(nil)
    private static let countMax: UInt64 = 300_000

    var sent: UInt64 { count.withLock { $0 } }

    func start(
        _ source: String, to destination: String,
        by open: @escaping @Sendable () throws -> (Envelope) throws -> Void
    ) throws {
        let started = try DedicatedThread(named: "sender") { [self] in
            do {
                let send = try open()
                while !isEnough.load(ordering: .relaxed), sent < Self.countMax {
                    guard sent < received.load(ordering: .relaxed) + Self.aheadMax else {
                        usleep(100)
                        continue
                    }
                    try send(agentEnvelope(source, destination, sent + 1))
                    count.withLock { $0 += 1 }
                }
            } catch {
                Issue.record(error)
            }
        }
        thread.withLock { $0 = started }
    }

    /// So many different ones were received.
    func note(received count: Int) { received.store(UInt64(count), ordering: .relaxed) }

    func finish() {
        isEnough.store(true, ordering: .relaxed)
        thread.withLock { $0 }?.join()
    }
}

/// What one agent received, whatever the way.
private struct Collected {
    var sequences: [String: Set<UInt64>] = [:]
    let senders: [String: RunningSender]

    mutating func add(_ envelope: Envelope) {
        guard envelope.kind == .content else { return }
        sequences[envelope.source, default: []].insert(envelope.sequence)
        senders[envelope.source]?.note(received: sequences[envelope.source]?.count ?? 0)
    }

    func isComplete(_ source: String, _ count: UInt64) -> Bool {
        sequences[source]?.count == Int(count)
    }

    func missing(_ source: String, of count: UInt64) -> [UInt64] {
        Set(1...count).subtracting(sequences[source] ?? []).sorted()
    }

    /// Takes what comes on ZeroMQ until a last marker.
    mutating func drain(_ dealer: Dealer) throws {
        while true {
            let envelope = try dealer.receive()
            if envelope.kind == .marker, envelope.type == "last" { return }
            add(envelope)
        }
    }

    /// Takes what NATS has for a subscription that ends.
    mutating func drain(_ subscription: Subscription) throws {
        try subscription.drain(timeout: patience)
        let end = ContinuousClock.now + patience
        while ContinuousClock.now < end {
            do throws(NATSError) {
                guard let message = try subscription.next(timeout: .milliseconds(100)) else {
                    continue
                }
                if let envelope = try? Envelope(headers: message.header, content: message.content) {
                    add(envelope)
                }
            } catch {
                #expect(error.code == .subscriptionEnded)
                return
            }
        }
        throw NotInTime(what: "the end of the drained subscription")
    }
}

@Suite("Moves by drained restart", .timeLimit(.minutes(2)))
struct MoveTests {
    let context: Context

    init() throws { context = try Context() }

    private func waitUntilHeld(_ count: Int64, _ proxy: ProxyThread) throws {
        _ = try eventually("\(count) held") {
            try proxy.status("agents", "x", "held").integer ?? 0 >= count ? () : nil
        }
    }

    private func start(
        _ overZeroMQ: RunningSender, at endpoint: String?, _ overNATS: RunningSender,
        by connection: Connection
    ) throws {
        let context = context
        try overZeroMQ.start("a", to: "x") {
            let dealer = try Dealer("a", at: endpoint, in: context)
            return { try dealer.send($0) }
        }
        try overNATS.start("n", to: "x") {
            { try connection.publish($0) }
        }
    }

    @Test("An agent moves to NATS and back under load from both sides, and nothing is lost")
    func thereAndBack() throws {
        let server = try NATSServer()
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: server.url,
                agents: [.init(name: "a"), .init(name: "x"), .init(name: "n", transport: .nats)]),
            in: context)
        let endpoint = proxy.endpoints["router"]
        let overZeroMQ = RunningSender()
        let overNATS = RunningSender()
        var collected = Collected(senders: ["a": overZeroMQ, "n": overNATS])
        defer {
            overZeroMQ.finish()
            overNATS.finish()
        }
        let sending = try Connection(server, name: "n")
        try start(overZeroMQ, at: endpoint, overNATS, by: sending)

        // On ZeroMQ.
        var dealer: Dealer? = try Dealer("x", at: endpoint, in: context)
        try dealer?.attach()
        for _ in 0..<1_000 { collected.add(try #require(try dealer?.receive())) }

        // To NATS.
        #expect(try proxy.command("hold", ["agent": "x", "topics": []])["nats"] == true)
        try collected.drain(try #require(dealer))
        dealer = nil
        try waitUntilHeld(500, proxy)
        let connection = try Connection(server, name: "x")
        let subscription = try connection.listen(to: "agent.x.>")
        let there = try proxy.command(
            "release", ["agent": "x", "transport": "nats", "epoch": 1])
        #expect(there["released"]?.integer ?? 0 >= 500)
        #expect(try proxy.status("agents", "x", "transport").string == "nats")
        for _ in 0..<1_000 { collected.add(try subscription.envelope()) }

        // And back.
        try proxy.command("hold", ["agent": "x", "topics": []])
        try collected.drain(subscription)
        try waitUntilHeld(500, proxy)
        let back = try Dealer("x", at: endpoint, in: context)
        try back.attach(incarnation: 3)
        try proxy.command("release", ["agent": "x", "transport": "zmq", "epoch": 2])
        overZeroMQ.finish()
        overNATS.finish()
        let count = (overZeroMQ.sent, overNATS.sent)
        // A connection that is closed before the server has read it may lose the last ones.
        try sending.flush(timeout: patience)
        while !collected.isComplete("a", count.0) || !collected.isComplete("n", count.1) {
            guard let frames = try back.frames(within: patience) else {
                let letters = try proxy.status("dead_letters")
                let lost = (
                    collected.missing("a", of: count.0), collected.missing("n", of: count.1)
                )
                Issue.record("lost: \(lost) of \(count), dead letters: \(letters)")
                return
            }
            collected.add(try Envelope(header: frames[0], content: frames[1]))
        }
        #expect(collected.sequences["a"] == Set(1...count.0))
        #expect(collected.sequences["n"] == Set(1...count.1))
        #expect(try proxy.status("dead_letters").object?.isEmpty == true)
        // A command of an earlier move comes too late.
        #expect(throws: RoutingError.self) {
            try proxy.command("release", ["agent": "x", "transport": "nats", "epoch": 1])
        }
    }

    @Test("What waited for credit goes along, before what was held")
    func creditQueueGoesAlong() throws {
        let server = try NATSServer()
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: server.url, agents: [.init(name: "a"), .init(name: "x")]),
            in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let old = try Dealer("x", at: proxy.endpoints["router"], in: context)
        try old.attach(window: 3)
        for sequence in 1...10 { try one.send(agentEnvelope("a", "x", UInt64(sequence))) }
        try one.passMarker()
        try proxy.command("hold", ["agent": "x", "topics": []])
        // The credit window counts no more: the last marker comes behind everything.
        #expect(try old.receive(10).map(\.sequence) == Array(1...10))
        #expect(try old.receive().kind == .marker)
        for sequence in 11...20 { try one.send(agentEnvelope("a", "x", UInt64(sequence))) }
        try one.passMarker()
        let connection = try Connection(server, name: "x")
        let subscription = try connection.listen(to: "agent.x.>")
        let release: Value = ["agent": "x", "transport": "nats", "epoch": 1]
        #expect(try proxy.command("release", release) == ["released": 10])
        for sequence in 11...20 {
            #expect(try subscription.envelope().sequence == UInt64(sequence))
        }
        // Asked again, it is done already.
        #expect(try proxy.command("release", release) == ["released": 0])
    }

    @Test("A release that NATS does not confirm is refused, and what was kept stays kept")
    func unconfirmedRelease() throws {
        let server = try NATSServer()
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: server.url, agents: [.init(name: "a"), .init(name: "x")]),
            in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        try proxy.command("hold", ["agent": "x", "topics": []])
        for sequence in 1...5 { try one.send(agentEnvelope("a", "x", UInt64(sequence))) }
        try waitUntilHeld(5, proxy)
        server.freeze()
        let release: Value = ["agent": "x", "transport": "nats", "epoch": 1]
        #expect(throws: RoutingError.self) { try proxy.command("release", release) }
        #expect(try proxy.status("agents", "x", "transport").string == "zmq")
        #expect(try proxy.status("agents", "x", "held").integer == 5)
        server.thaw()
        let connection = try Connection(server, name: "x")
        let subscription = try connection.listen(to: "agent.x.>")
        // Its own connection may have to come back first.
        let released = try eventually("the release") { () -> Value? in
            do throws(RoutingError) {
                return try proxy.command("release", release)
            } catch .refused {
                return nil
            }
        }
        #expect(released == ["released": 5])
        for sequence in 1...5 {
            #expect(try subscription.envelope().sequence == UInt64(sequence))
        }
    }

    @Test("Last markers say of which hold they are")
    func numberedMarkers() throws {
        let branch = try ProxyThread.branch(
            BranchConfiguration(name: "core", agents: [.init(name: "x")]), in: context)
        let topics = try ProxyThread.topics(
            TopicConfiguration(name: "tot", prefixes: ["tot"]), in: context)
        let dealer = try Dealer("x", at: branch.endpoints["router"], in: context)
        try dealer.attach()
        let subscriber = try TopicPeer(subscribingAt: topics.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot.a", "_marker.x", as: "x")
        for epoch: Int64 in [7, 8] {
            let hold: Value = ["agent": "x", "topics": ["tot.a"], "epoch": .integer(epoch)]
            try branch.command("hold", hold)
            try topics.command("hold", hold)
            for marker in [try dealer.receive(), try subscriber.receive()] {
                #expect(marker.kind == .marker && marker.type == "last")
                #expect(marker.content == Array("\(epoch)".utf8))
            }
        }
    }

    @Test("The last marker for an incarnation that is gone does not reach the next")
    func staleMarker() throws {
        let proxy = try ProxyThread.branch(
            BranchConfiguration(name: "core", agents: [.init(name: "a"), .init(name: "x")]),
            in: context)
        var old: Dealer? = try Dealer("x", at: proxy.endpoints["router"], in: context)
        try old?.attach(window: 10)
        old = nil
        // Until the ROUTER has seen that it is gone.
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        var sequence: UInt64 = 0
        _ = try eventually("the end of the connection") {
            sequence += 1
            try one.send(agentEnvelope("a", "x", sequence))
            try one.passMarker()
            return try proxy.status("agents", "x", "queued").integer ?? 0 > 0 ? () : nil
        }
        try proxy.command("hold", ["agent": "x", "topics": []])
        let new = try Dealer("x", at: proxy.endpoints["router"], in: context)
        try new.attach(window: 10, incarnation: 2)
        #expect(try new.receive().sequence == sequence)
        try proxy.command("release", ["agent": "x", "transport": "zmq", "epoch": 1])
        try one.send(agentEnvelope("a", "x", sequence + 1))
        #expect(try new.receive().sequence == sequence + 1)
    }

    @Test("A hold that is not followed by a move is ended by a release to where the agent is")
    func abort() throws {
        let proxy = try ProxyThread.branch(
            BranchConfiguration(name: "core", agents: [.init(name: "a"), .init(name: "x")]),
            in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try Dealer("x", at: proxy.endpoints["router"], in: context)
        try two.attach(window: 100)
        try proxy.command("hold", ["agent": "x", "topics": []])
        #expect(try two.receive().kind == .marker)
        for sequence in 1...5 { try one.send(agentEnvelope("a", "x", UInt64(sequence))) }
        try one.passMarker()
        #expect(
            try proxy.command("release", ["agent": "x", "transport": "zmq", "epoch": 0])
                == ["released": 5])
        #expect(try two.receive(5).map(\.sequence) == Array(1...5))
    }

    @Test("A subscriber that leaves a dead server gets what that had not taken before the hold")
    func topicsOfADeadServer() throws {
        let server = try NATSServer()
        let proxy = try ProxyThread.topics(
            TopicConfiguration(name: "tot", nats: server.url, prefixes: ["tot"]), in: context)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        server.stop()
        _ = try eventually("the proxy to notice") {
            try proxy.status("nats", "connected").bool == false ? () : nil
        }
        for sequence in 1...5 {
            try publisher.publish(topicEnvelope("p", "tot.x", UInt64(sequence)))
            try publisher.publish(topicEnvelope("p", "tot.y", UInt64(sequence)))
        }
        _ = try eventually("10 messages") {
            try proxy.status("messages").integer == 10 ? () : nil
        }
        let hold: Value = ["agent": "mover", "topics": ["tot.x"]]
        #expect(try proxy.command("hold", hold) == ["held": 0, "nats": false])
        let mover = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try mover.confirm("tot.x", "_marker.mover", as: "mover")
        let release: Value = ["agent": "mover", "transport": "zmq", "epoch": 1]
        #expect(try proxy.command("release", release) == ["released": 5])
        #expect(try mover.receive(5) == Array(1...5))
        // It stays queued for whoever else is on that server.
        #expect(try proxy.status("nats", "queued").integer == 10)
    }

    @Test("When a hold is answered, the NATS server has what was published before it")
    func topicsBeforeTheHold() throws {
        let server = try NATSServer()
        let proxy = try ProxyThread.topics(
            TopicConfiguration(name: "tot", nats: server.url, prefixes: ["tot"]), in: context)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let connection = try Connection(server, name: "mover")
        let subscription = try connection.listen(to: "tot.>")
        for sequence in 1...2_000 {
            try publisher.publish(topicEnvelope("p", "tot.x", UInt64(sequence)))
        }
        _ = try eventually("2,000 messages") {
            try proxy.status("messages").integer == 2_000 ? () : nil
        }
        let hold: Value = ["agent": "mover", "topics": ["tot"]]
        #expect(try proxy.command("hold", hold) == ["held": 0, "nats": true])
        try connection.flush(timeout: patience)
        #expect(subscription.pending == 2_000)
    }
}
