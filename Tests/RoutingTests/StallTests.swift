import JSON
import Testing
import Wire
import ZeroMQ

@testable import Routing

@Suite("Stalled subscribers", .timeLimit(.minutes(2)))
struct StallTests {
    private let start = ContinuousClock.now

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant {
        start + .milliseconds(milliseconds)
    }

    @Test("The slowest is who takes least often, not who is full for a moment")
    func slowest() {
        var connections = SubscriberConnections()
        for descriptor: Int32 in [4, 5, 6] { connections.accepted(descriptor, now: at(0)) }
        // 4 never takes anything; 5 does, and is fuller; 6 has nothing to take.
        for step in 1...10 {
            connections.look(now: at(step * 100)) { descriptor in
                [4: 1_000, 5: Int32(5_000 + step), 6: 0][descriptor] ?? -1
            }
        }
        #expect(connections.slowest { _ in 0 } == 4)
        #expect(connections.hasStuck(for: .milliseconds(900), now: at(1_000)))
        #expect(!connections.hasStuck(for: .milliseconds(901), now: at(1_000)))
        connections.ended(4)
        #expect(connections.slowest { _ in 0 } == 5)
        #expect(!connections.hasStuck(for: .milliseconds(500), now: at(1_000)))
        connections.ended(5)
        // Who has nothing to take holds up nobody.
        #expect(connections.slowest { _ in 0 } == nil)
    }

    @Test("Of two that take nothing the fuller one is cut off first")
    func fullest() {
        var connections = SubscriberConnections()
        for descriptor: Int32 in [4, 5] { connections.accepted(descriptor, now: at(0)) }
        for step in 1...3 {
            connections.look(now: at(step * 100)) { $0 == 4 ? 10 : 20 }
        }
        connections.forgetMoves()
        #expect(connections.slowest { _ in 0 } == 5)
    }

    @Test("Who has not acknowledged what it may have read is not the slowest while another is full")
    func unacknowledged() {
        var connections = SubscriberConnections()
        for descriptor: Int32 in [4, 5] { connections.accepted(descriptor, now: at(0)) }
        // The kernel has found some more room for 4; of 5 nothing is heard.
        for step in 1...3 {
            connections.look(now: at(step * 100)) { $0 == 4 ? 1_000 + Int32(step) : 10 }
        }
        #expect(connections.slowest { $0 == 4 ? 900 : 0 } == 4)
        #expect(connections.slowest { _ in 0 } == 5)
    }

    @Test("Everybody waits the whole time for the first, and not again for one long stuck")
    func policy() {
        var policy = StallPolicy()
        func isOver(_ milliseconds: Int, _ isKnown: Bool) -> Bool {
            policy.isOver(timeout: .seconds(5), isKnown: isKnown, now: at(milliseconds))
        }
        #expect(!isOver(0, true))
        #expect(!isOver(4_999, true))
        #expect(isOver(5_000, true))
        #expect(!isOver(5_100, true))
        #expect(isOver(5_200, true))
        #expect(!isOver(5_500, false))
        #expect(isOver(10_200, false))
    }

    @Test("What was sent without a subscriber is counted until it subscribes again")
    func absent() {
        var absent = AbsentSubscribers()
        absent.unsubscribed(Array("tot.z".utf8)[...])
        absent.begin()
        for topic in ["tot.a", "_marker.b", "_confirm.b.1"] {
            absent.unsubscribed(Array(topic.utf8)[...])
        }
        absent.endGathering()
        absent.unsubscribed(Array("tot.c".utf8)[...])
        let counts = ["tot.a", "tot.a.x", "tot.c", "tot.z"].map { absent.missed(Array($0.utf8)) }
        #expect(counts == [1, 1, 0, 0])
        // Somebody else's subscription to the same topic is not its return.
        #expect(absent.subscribed(Array("tot.a".utf8)[...]) == nil)
        let back = absent.subscribed(Array("_marker.b".utf8)[...])
        #expect(back?.name == "b")
        #expect(back?.lost == 2)
        #expect(absent.isEmpty)
    }

    @Test("Who loses its heartbeats alone is silent, who loses all has ended")
    func silences() {
        var silences = SubscriberSilences()
        func note(_ topic: String, _ isSubscribed: Bool, _ milliseconds: Int) {
            silences.note(
                Array(topic.utf8)[...], isSubscribed: isSubscribed, now: at(milliseconds))
        }
        for name in ["a", "b"] {
            note("_marker.\(name)", true, 0)
            note("_beat.\(name)", true, 0)
        }
        note("_beat.a", false, 100)
        note("_beat.b", false, 100)
        note("_marker.b", false, 110)
        #expect(silences.changes(now: at(200)).silent.isEmpty)
        #expect(silences.changes(now: at(400)).silent == ["a"])
        #expect(silences.silent == ["a"])
        #expect(silences.changes(now: at(500)).silent.isEmpty)
        note("_beat.a", true, 600)
        #expect(silences.changes(now: at(600)).back == ["a"])
        #expect(silences.silent.isEmpty)
    }

    @Test("One that was cut off gets what was underway, then what is new, and its return is told")
    func comesBack() throws {
        let context = try Context()
        let log = Log()
        let proxy = try ProxyThread.topics(
            TopicConfiguration(name: "tot", prefixes: ["tot"], stallTimeout: .milliseconds(50)),
            in: context, log: log.append)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let healthy = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        let stalled = try TopicPeer(
            subscribingAt: proxy.endpoints["subscribe"], in: context, highWaterMark: 1)
        try healthy.confirm("tot", as: "healthy")
        try stalled.confirm("tot", "_marker.stalled", as: "stalled")
        var sequence: UInt64 = 0
        func publish() throws {
            sequence += 1
            var envelope = topicEnvelope("p", "tot", sequence)
            envelope.content = [UInt8](repeating: 7, count: 10_000)
            try publisher.publish(envelope)
            #expect(try healthy.receive().sequence == sequence)
        }
        while try proxy.status("absent").array?.isEmpty ?? true { try publish() }
        let end = sequence
        for _ in 1...10 { try publish() }
        #expect(try proxy.status("absent").array?.first?["agent"] == "stalled")
        var last: UInt64 = 0
        var jumps = 0
        while last <= end {
            while let frames = try stalled.frames(within: .milliseconds(20)) {
                // The question of its first subscription is asked, and answered, once more.
                guard frames[0] == Array("tot".utf8) else { continue }
                let envelope = try Envelope(header: frames[1], content: frames[2])
                #expect(envelope.sequence > last)
                if envelope.sequence > last + 1 { jumps += 1 }
                last = envelope.sequence
            }
            try publish()
        }
        #expect(jumps == 1)
        _ = try eventually("its return") {
            log.lines.contains { $0.hasPrefix("UNSTALLED: stalled reads again") } ? () : nil
        }
        #expect(try proxy.status("absent") == [])
        #expect(try proxy.status("cuts") == 1)
    }

    @Test("A topic proxy that was started again has every subscription again")
    func restart() throws {
        let context = try Context()
        var configuration = TopicConfiguration(name: "tot", prefixes: ["tot"])
        let first = try ProxyThread.topics(configuration, in: context)
        configuration.publishEndpoint = try #require(first.endpoints["publish"])
        configuration.subscribeEndpoint = try #require(first.endpoints["subscribe"])
        let publisher = try TopicPeer(publishingTo: configuration.publishEndpoint, in: context)
        let subscribers = try (0..<8).map { index in
            let subscriber = try TopicPeer(
                subscribingAt: configuration.subscribeEndpoint, in: context)
            try subscriber.confirm("tot.\(index)", "tot.all", as: "s\(index)")
            return subscriber
        }
        first.stop()
        let again = configuration
        let second = try eventually("the endpoints to be free") {
            try? ProxyThread.topics(again, in: context, incarnation: 2)
        }
        // What is published before the connections are back is lost, and not a word more.
        for (index, subscriber) in subscribers.enumerated() {
            for topic in ["tot.\(index)", "tot.all"] {
                var sequence: UInt64 = 0
                _ = try eventually("\(topic) at \(index)") { () -> Void? in
                    sequence += 1
                    try publisher.publish(topicEnvelope("p", topic, sequence))
                    while let frames = try subscriber.frames(within: .milliseconds(10)) {
                        if frames[0] == Array(topic.utf8) { return () }
                    }
                    return nil
                }
            }
        }
        second.stop()
    }
}
