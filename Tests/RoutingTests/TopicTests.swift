import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// A publisher's XPUB, ready once the proxy's subscription came.
final class TopicPeer {
    var socket: Socket

    init(publishingTo endpoint: String?, in context: Context) throws {
        socket = try Socket(
            .xpub, in: context, options: SocketOptions(linger: .seconds(5), xpubNoDrop: true))
        try socket.connect(to: try #require(endpoint))
        _ = try eventually("the proxy's subscription") {
            try socket.receive() == [[1]] ? () : nil
        }
    }

    init(
        subscribingAt endpoint: String?, in context: Context, highWaterMark: Int = 1_000
    ) throws {
        socket = try Socket(
            .subscribe, in: context, options: SocketOptions(receiveHighWaterMark: highWaterMark))
        try socket.connect(to: try #require(endpoint))
    }

    func subscribe(_ topics: String...) throws {
        for topic in topics { try socket.subscribe(to: Array(topic.utf8)) }
    }

    /// Subscribes, and returns when that is in force.
    func confirm(_ topics: String..., as name: String = "someone") throws {
        for topic in topics { try socket.subscribe(to: Array(topic.utf8)) }
        let question = "_confirm.\(name).1"
        try socket.subscribe(to: Array(question.utf8))
        let answer = try #require(try frames())
        #expect(answer.first == Array(question.utf8))
        #expect(try Envelope(header: answer[1], content: answer[2]).kind == .hello)
    }

    func publish(_ envelope: Envelope) throws {
        try send([Array(envelope.destination.name.utf8), envelope.header, envelope.content])
    }

    func send(_ frames: [[UInt8]]) throws {
        try eventually("room to publish") { try socket.send(frames) == .sent ? () : nil }
    }

    func frames(within timeout: Duration = patience) throws -> [[UInt8]]? {
        try socket.frames(within: timeout)
    }

    func receive() throws -> Envelope {
        guard let frames = try frames() else { throw NotInTime(what: "a topic's envelope") }
        try #require(frames.count == 3)
        return try Envelope(header: frames[1], content: frames[2])
    }

    func receive(_ count: Int) throws -> [UInt64] {
        try (0..<count).map { _ in try receive().sequence }
    }
}

@Suite("Topic proxy", .timeLimit(.minutes(2)))
struct TopicTests {
    let context: Context

    init() throws { context = try Context() }

    private func topics(
        _ log: Log = Log(), stallTimeout: Duration = .seconds(30)
    ) throws -> ProxyThread {
        try ProxyThread.topics(
            TopicConfiguration(name: "tot", prefixes: ["tot"], stallTimeout: stallTimeout),
            in: context, log: log.append)
    }

    @Test("A publisher's word of what will never come reaches its subscribers, here and on NATS")
    func gapNotices() throws {
        let server = try NATSServer()
        let proxy = try ProxyThread.topics(
            TopicConfiguration(name: "tot", nats: server.url, prefixes: ["tot"]), in: context)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let one = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try one.confirm("tot.a", as: "one")
        let connection = try Connection(server, name: "two")
        let subscription = try connection.listen(to: "tot.a")
        var notice = topicEnvelope("p", "tot.a", 1)
        notice.kind = .gap
        try publisher.publish(notice)
        #expect(try one.receive().kind == .gap)
        #expect(try subscription.envelope().kind == .gap)
        // And the other way.
        try connection.publish(notice)
        #expect(try one.receive().kind == .gap)
        #expect(try proxy.deadLetters(.malformed) == 0)
        #expect(try proxy.status("messages").integer == 0)
    }

    @Test("Every subscriber gets what it asked for, in order; subscriptions are logged")
    func fanOut() throws {
        let log = Log()
        let proxy = try topics(log)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let one = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        let two = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try one.confirm("tot.a", as: "one")
        try two.confirm("tot", as: "two")
        for sequence in 1...300 {
            try publisher.publish(topicEnvelope("p", "tot.a", UInt64(sequence)))
            try publisher.publish(topicEnvelope("p", "tot.b", UInt64(sequence)))
        }
        #expect(try one.receive(300) == Array(1...300))
        #expect(try two.receive(600) == (1...300).flatMap { [$0, $0] })
        try one.socket.unsubscribe(from: Array("tot.a".utf8))
        _ = try eventually("UNSUB") { log.lines.contains("UNSUB: tot.a") ? () : nil }
        #expect(log.lines.contains("SUB: tot.a"))
        #expect(log.lines.contains("SUB: tot"))
        #expect(!log.lines.contains { $0.contains("_confirm") })
    }

    @Test("After the confirmation nothing is lost, however early it is published")
    func confirmation() throws {
        let proxy = try topics()
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        for round in 1...100 {
            let subscriber = try TopicPeer(
                subscribingAt: proxy.endpoints["subscribe"], in: context)
            try subscriber.confirm("tot.x", as: "s\(round)")
            try publisher.publish(topicEnvelope("p", "tot.x", UInt64(round)))
            #expect(try subscriber.receive().sequence == UInt64(round))
        }
    }

    @Test("While every subscriber reads, nothing is lost however fast it comes")
    func lossless() throws {
        let proxy = try topics()
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let subscriber = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot")
        // More than all the queues between the two can take.
        let count = 30_000
        var received: [UInt64] = []
        for sequence in 1...count {
            try publisher.publish(topicEnvelope("p", "tot", UInt64(sequence)))
            while let frames = try subscriber.socket.receive() {
                received.append(try Envelope(header: frames[1], content: frames[2]).sequence)
            }
        }
        received += try subscriber.receive(count - received.count)
        #expect(received == (1...count).map { UInt64($0) })
    }

    @Test("A subscriber that never reads loses alone, once its time is up")
    func stall() throws {
        let log = Log()
        let proxy = try topics(log, stallTimeout: .milliseconds(50))
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let healthy = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        let stalled = try TopicPeer(
            subscribingAt: proxy.endpoints["subscribe"], in: context, highWaterMark: 1)
        try healthy.confirm("tot", as: "healthy")
        try stalled.confirm("tot", as: "stalled")
        let content = [UInt8](repeating: 7, count: 10_000)
        let count = 3_000
        for sequence in 1...count {
            var envelope = topicEnvelope("p", "tot", UInt64(sequence))
            envelope.content = content
            try publisher.publish(envelope)
            let received = try healthy.receive()
            try #require(
                received.sequence == UInt64(sequence), "\(received.kind), \(log.lines)")
        }
        #expect(try proxy.status("stalled").integer ?? 0 > 0)
        #expect(log.lines.contains { $0.hasPrefix("STALL: a subscriber of 'tot'") })
        #expect(try proxy.status("cuts") == 1)
    }

    @Test("Foreign publishers' two frames pass as they are")
    func foreign() throws {
        let proxy = try topics()
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let subscriber = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot")
        try publisher.send([Array("tot.x".utf8), Array("{}".utf8)])
        #expect(try subscriber.frames() == [Array("tot.x".utf8), Array("{}".utf8)])
    }

    @Test("A moving subscriber is told where the old path ends, and what came since is kept")
    func holdWithoutNATS() throws {
        let proxy = try topics()
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let subscriber = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot", "_marker.mover", as: "mover")
        try publisher.publish(topicEnvelope("p", "tot.x", 1))
        #expect(try subscriber.receive().sequence == 1)
        #expect(
            try proxy.command("hold", ["agent": "mover", "topics": ["tot.x"]]) == ["held": 0])
        #expect(try subscriber.receive().kind == .marker)
        try publisher.publish(topicEnvelope("p", "tot.x", 2))
        try publisher.publish(topicEnvelope("p", "tot.xy", 1))
        #expect(try subscriber.receive(2) == [2, 1])
        #expect(try proxy.status("held", "mover").integer == 1)
        // Without NATS what was kept takes the way back to ZeroMQ by the agent's own topic.
        let release: Value = ["agent": "mover", "transport": "zmq", "epoch": 1]
        #expect(try proxy.command("release", release) == ["released": 1])
        let frames = try #require(try subscriber.frames())
        #expect(frames[0] == Array("_marker.mover".utf8))
        #expect(
            try Envelope(header: frames[1], content: frames[2]) == topicEnvelope("p", "tot.x", 2))
    }

    @Test("Random bytes never end the proxy, and the next good envelope arrives")
    func hostile() throws {
        let proxy = try topics()
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let subscriber = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot")
        var generator = SeededGenerator(seed: 43)
        for _ in 0..<10_000 {
            var frames = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
                (0..<Int.random(in: 0..<50, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
            }
            if frames.count == 3, Bool.random(using: &generator) { frames[0] = Array("tot".utf8) }
            try publisher.send(frames)
        }
        try publisher.publish(topicEnvelope("p", "tot", 5))
        while try subscriber.receive().sequence != 5 {}
        #expect(try proxy.deadLetters(.malformed) > 5_000)
    }
}
