import Testing
import Wire

@testable import Routing

@Suite("Headers that say the same as the last one")
struct LastHeaderTests {
    private static func envelope(
        _ sequence: UInt64 = 1, from source: String = "a", on topic: String = "t.one",
        type: String = "x", hops: UInt8 = 0, incarnation: UInt32 = 1, kind: Envelope.Kind = .content
    ) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: source, destination: .topic(topic)), incarnation: incarnation,
                sequence: sequence),
            kind: kind, type: type, sent: sequence &* 77, hops: hops)
    }

    /// What cannot be copied, for macros that would.
    private final class Kept {
        private var last = LastHeader()

        var isBatch: Bool { last.isBatch }

        func isLike(_ envelope: Envelope, topic: String? = nil) -> Bool {
            let topic = Array((topic ?? envelope.destination.name).utf8)
            let header = envelope.header
            return topic.withUnsafeBytes { topic in
                header.withUnsafeBytes { last.isLike(topic, $0) }
            }
        }

        func become(_ envelope: Envelope, isBatch: Bool = false) {
            let topic = Array(envelope.destination.name.utf8)
            let header = envelope.header
            topic.withUnsafeBytes { topic in
                header.withUnsafeBytes { last.become(topic, $0, isBatch: isBatch) }
            }
        }
    }

    @Test("number and time may differ, and nothing else")
    func differences() {
        let last = Kept()
        #expect(!last.isLike(Self.envelope()))
        last.become(Self.envelope(), isBatch: true)
        #expect(last.isBatch)
        #expect(last.isLike(Self.envelope()) && last.isLike(Self.envelope(.max)))
        for other in [
            Self.envelope(from: "b"), Self.envelope(from: "aa"), Self.envelope(on: "t.two"),
            Self.envelope(type: "y"), Self.envelope(hops: 1), Self.envelope(incarnation: 2),
            Self.envelope(kind: .batch), Self.envelope(kind: .marker),
        ] {
            #expect(!last.isLike(other))
        }
        var answer = Self.envelope()
        answer.cause = Self.envelope().identity
        #expect(!last.isLike(answer))
        // The frame before the header is what subscribers are matched by.
        #expect(!last.isLike(Self.envelope(), topic: "t.two"))
        #expect(!last.isLike(Self.envelope(), topic: "t.on"))
        #expect(!last.isLike(Self.envelope(), topic: "t.onee"))
    }

    @Test("one that is too long to be kept takes the place of what was kept")
    func long() {
        let last = Kept()
        last.become(Self.envelope())
        let long = Self.envelope(on: String(repeating: "t", count: 250), type: "y")
        last.become(long)
        #expect(last.isLike(long) && !last.isLike(Self.envelope()))
        var longer = long
        longer.cause = long.identity
        longer.type = String(repeating: "y", count: 100)
        last.become(longer)
        #expect(!last.isLike(longer) && !last.isLike(long))
    }

    @Test("what waited most is told once, and its room is given up when it has gone")
    func most() {
        var queue = ParcelQueue(limits: QueueLimits(messages: 100, bytes: 10_000))
        var most = [queue.takeBytesMax()]
        let parcel = Parcel(Self.envelope())
        for _ in 0..<10 { _ = queue.offer(parcel) }
        for _ in 0..<8 { queue.removeFirst() }
        for _ in 0..<2 { most.append(queue.takeBytesMax()) }
        #expect(queue.messages == 2)
        _ = queue.takeAll()
        for _ in 0..<2 { most.append(queue.takeBytesMax()) }
        #expect(queue.parcels.isEmpty)
        #expect(most == [0, 10, 2, 2, 0].map { $0 * parcel.byteCount })
    }
}
