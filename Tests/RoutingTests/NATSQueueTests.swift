import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// What waits at a topic proxy for a server that takes nothing.
@Suite("Topics that wait for NATS", .timeLimit(.minutes(2)))
struct NATSQueueTests {
    let context: Context
    let server: NATSServer
    /// More of them than sockets and the library take.
    private static let count = 200
    private static let content = [UInt8](repeating: 1, count: 100_000)

    init() throws {
        context = try Context()
        server = try NATSServer()
    }

    private func topics(
        _ overflow: QueueOverflow, stallTimeout: Duration = .seconds(60)
    ) throws -> ProxyThread {
        var configuration = TopicConfiguration(
            name: "tot", nats: server.url, prefixes: ["tot"], stallTimeout: stallTimeout)
        configuration.queueMessages = 10
        configuration.overflow = overflow
        return try ProxyThread.topics(configuration, in: context)
    }

    /// - Returns: The publisher, to be kept until what it sent was taken.
    private func publish(to proxy: ProxyThread) throws -> TopicPeer {
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        for sequence in 1...Self.count {
            var envelope = topicEnvelope("p", "tot.x", UInt64(sequence))
            envelope.content = Self.content
            try publisher.publish(envelope)
        }
        return publisher
    }

    private func status(_ proxy: ProxyThread, _ key: String) throws -> Value {
        try proxy.status("nats", key)
    }

    @Test("Publishers wait for a server that is slow, and nothing is lost")
    func pause() throws {
        let proxy = try topics(.pause)
        let connection = try Connection(server, name: "n")
        let all = try connection.listen(to: "tot.>")
        server.freeze()
        defer { server.thaw() }
        let publisher = try publish(to: proxy)
        defer { withExtendedLifetime(publisher) {} }
        _ = try eventually("publishers to be held") {
            try status(proxy, "holding").bool == true ? () : nil
        }
        #expect(try status(proxy, "queued").integer ?? 0 <= 10)
        // Most of it was not even taken from the publisher.
        #expect(try proxy.status("messages").integer ?? 0 < Int64(Self.count))
        server.thaw()
        for sequence in 1...Self.count {
            #expect(try all.envelope().sequence == UInt64(sequence))
        }
        #expect(try status(proxy, "holding").bool == false)
        #expect(try status(proxy, "waits").integer ?? 0 > 0)
        #expect(try proxy.status("dead_letters") == [:])
    }

    @Test(
        "Where full queues drop, what there was no room for is counted, and the rest arrives",
        arguments: [QueueOverflow.dropNewest, .dropOldest])
    func drop(overflow: QueueOverflow) throws {
        let proxy = try topics(overflow)
        let connection = try Connection(server, name: "n")
        let all = try connection.listen(to: "tot.>")
        server.freeze()
        defer { server.thaw() }
        let publisher = try publish(to: proxy)
        defer { withExtendedLifetime(publisher) {} }
        _ = try eventually("all to be taken from the publisher") {
            try proxy.status("messages").integer == Int64(Self.count) ? () : nil
        }
        // What is being written is out of the queue, and nothing comes any more to take its place.
        #expect(try #require(try status(proxy, "queued").integer) <= 10)
        let dropped = Int(try proxy.deadLetters(.queueFull))
        #expect(dropped > 0)
        server.thaw()
        var sequences: [UInt64] = []
        for _ in 0..<Self.count - dropped { sequences.append(try all.envelope().sequence) }
        #expect(sequences == sequences.sorted())
        #expect(sequences.contains(UInt64(Self.count)) == (overflow == .dropOldest))
        #expect(try status(proxy, "waits").integer == 0)
    }

    @Test("A server that takes nothing holds up nobody for longer than the stall timeout")
    func stalled() throws {
        let proxy = try topics(.pause, stallTimeout: .milliseconds(200))
        let subscriber = try TopicPeer(
            subscribingAt: proxy.endpoints["subscribe"], in: context, highWaterMark: 10_000)
        try subscriber.confirm("tot")
        server.freeze()
        defer { server.thaw() }
        let publisher = try publish(to: proxy)
        defer { withExtendedLifetime(publisher) {} }
        for sequence in 1...Self.count {
            #expect(try subscriber.receive().sequence == UInt64(sequence))
        }
        // The write that does not end is given up after a while as well; whichever was first.
        let stalled = try proxy.deadLetters(.stalled)
        let away = try proxy.deadLetters(.natsUnavailable)
        #expect(stalled + away > 0)
        #expect(try status(proxy, "waits").integer ?? 0 > 0)
        server.thaw()
        _ = try eventually("what waits to leave") {
            try status(proxy, "queued").integer == 0
                && status(proxy, "stalled").bool == false ? () : nil
        }
    }

    @Test("Who waits is let go when there is room, and when nothing leaves for too long")
    func pressure() {
        let start = ContinuousClock.now
        let timeout = Duration.seconds(5)
        func load(_ taken: Int, full: Bool, room: Bool, there: Bool = true) -> NATSBridge.Load {
            NATSBridge.Load(isConnected: there, taken: taken, isFull: full, hasRoom: room)
        }
        var pressure = NATSPressure()
        func look(_ load: NATSBridge.Load, after seconds: Int) -> NATSPressure.Change {
            pressure.look(load, timeout: timeout, now: start + .seconds(seconds))
        }
        #expect(look(load(1, full: false, room: false), after: 0) == .none)
        #expect(!pressure.isHolding)
        #expect(look(load(1, full: true, room: false), after: 0) == .none)
        #expect(pressure.isHolding)
        // As long as anything leaves, and there is not enough room.
        #expect(look(load(2, full: true, room: false), after: 4) == .none)
        #expect(look(load(2, full: false, room: false), after: 8) == .none)
        #expect(pressure.isHolding)
        #expect(look(load(2, full: false, room: false), after: 9) == .stalled)
        #expect(!pressure.isHolding && !pressure.isPatient)
        #expect(look(load(2, full: true, room: false), after: 20) == .none)
        #expect(!pressure.isHolding)
        #expect(look(load(3, full: false, room: true), after: 21) == .unstalled)
        #expect(pressure.isPatient)
        #expect(look(load(3, full: true, room: false), after: 22) == .none)
        #expect(pressure.isHolding)
        // Nobody waits for a server that is not there.
        #expect(look(load(3, full: true, room: false, there: false), after: 23) == .none)
        #expect(!pressure.isHolding && !pressure.isPatient)
        #expect(pressure.waits == 2)
    }
}
