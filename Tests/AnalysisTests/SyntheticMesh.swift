import JSON
import Recording
import Wire

@testable import Analysis

/// The histories of a mesh in which nothing went wrong.
///
/// `alpha` sends JSON to `beta` and publishes bytes under a topic that three agents subscribe to.
/// Defects are planted by the tests.
struct SyntheticMesh {
    static let direct = Flow(source: "alpha", destination: .agent("beta"))
    static let topic = Flow(source: "alpha", destination: .topic("tot.results"))
    static let subscribers = ["gamma", "delta", "epsilon"]
    /// When the first envelope is sent; one is sent each microsecond, and takes half of one.
    static let start: UInt64 = 1_000_000_000_000

    var histories: [String: History] = [:]

    /// A mesh that sends `count` envelopes, by turns to the agent and to the topic.
    init(count: Int = 1_000, transport: String = "zmq") {
        for name in ["alpha", "beta"] + Self.subscribers {
            histories[name] = History(process: name)
        }
        for name in Self.subscribers {
            annotate(name, .subscribed(agent: name, topic: "tot", at: Self.start - 1_000))
        }
        for number in 0..<count {
            let flow = number.isMultiple(of: 2) ? Self.direct : Self.topic
            let identity = Self.identity(flow, UInt64(number / 2 + 1))
            let sent = Self.start + UInt64(number) * 1_000
            let record = HistoryRecord(
                agent: "alpha", identity: identity, type: "result", transport: transport,
                direction: .sent, sent: sent, observed: sent,
                contentEncoding: flow == Self.direct ? .json : .binary,
                content: Self.content(identity))
            append(record)
            for receiver in flow == Self.direct ? ["beta"] : Self.subscribers {
                append(Self.delivery(of: record, at: receiver))
            }
        }
    }

    static func identity(_ flow: Flow, _ sequence: UInt64, incarnation: UInt32 = 1) -> Identity {
        Identity(flow: flow, incarnation: incarnation, sequence: sequence)
    }

    static func content(_ identity: Identity) -> Content {
        let number = identity.sequence
        guard identity.flow == direct else {
            return .bytes((0..<16).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) })
        }
        let value: Value = [
            "number": Value(number), "stamp": .string("at \(number)"), "tags": ["a", "b", "b"],
            "points": [["x": 0.5, "y": 1], ["x": .double(Double(number) / 8), "y": 2]],
        ]
        return .bytes(Array(value.canonical.utf8))
    }

    static func delivery(of record: HistoryRecord, at receiver: String) -> HistoryRecord {
        var delivery = record
        delivery.agent = receiver
        delivery.direction = .delivered
        delivery.observed = record.sent + 500
        return delivery
    }

    var all: [History] { histories.values.sorted { $0.process < $1.process } }

    mutating func append(_ record: HistoryRecord) {
        histories[record.agent, default: History(process: record.agent)].records.append(record)
    }

    mutating func annotate(_ process: String, _ annotation: Annotation) {
        histories[process, default: History(process: process)].annotations.append(annotation)
    }

    func position(_ identity: Identity, at process: String, _ direction: Direction) -> Int? {
        histories[process]?.records.firstIndex {
            $0.identity == identity && $0.direction == direction
        }
    }

    /// Changes the delivery of an envelope; `nil` takes it out.
    mutating func change(
        _ identity: Identity, at receiver: String, _ body: (HistoryRecord) -> [HistoryRecord]
    ) {
        guard let position = position(identity, at: receiver, .delivered),
            let record = histories[receiver]?.records[position]
        else { return }
        histories[receiver]?.records.replaceSubrange(position...position, with: body(record))
    }

    mutating func lose(_ identity: Identity, at receiver: String) {
        change(identity, at: receiver) { _ in [] }
    }

    mutating func repeatDelivery(_ identity: Identity, at receiver: String) {
        change(identity, at: receiver) { record in
            var copy = record
            copy.observed += 10
            return [record, copy]
        }
    }

    /// Exchanges the delivery with that of the next in its flow.
    mutating func swap(_ identity: Identity, at receiver: String) {
        let next = Self.identity(identity.flow, identity.sequence + 1)
        guard let one = position(identity, at: receiver, .delivered),
            let other = position(next, at: receiver, .delivered),
            let first = histories[receiver]?.records[one],
            let second = histories[receiver]?.records[other]
        else { return }
        var early = second
        early.observed = first.observed
        var late = first
        late.observed = second.observed
        histories[receiver]?.records[one] = early
        histories[receiver]?.records[other] = late
    }

    mutating func alter(_ identity: Identity, at receiver: String, _ content: Content) {
        change(identity, at: receiver) { record in
            var altered = record
            altered.content = content
            return [altered]
        }
    }

    /// Alters a leaf of a JSON content or the fourth byte of a binary one.
    mutating func alter(_ identity: Identity, at receiver: String) {
        let original = Self.content(identity)
        guard case .bytes(var bytes) = original else { return }
        if identity.flow == Self.direct {
            let text = String(decoding: bytes, as: UTF8.self)
            bytes = Array(text.replacing("\"y\":2", with: "\"y\":3").utf8)
        } else {
            bytes[3] ^= 0x01
        }
        alter(identity, at: receiver, .bytes(bytes))
    }

    mutating func invent(_ identity: Identity, at receiver: String) {
        append(
            HistoryRecord(
                agent: receiver, identity: identity, type: "result", transport: "zmq",
                direction: .delivered, sent: Self.start, observed: Self.start + 500,
                contentEncoding: identity.flow == Self.direct ? .json : .binary,
                content: Self.content(identity)))
    }

    mutating func makeLate(_ identity: Identity, at receiver: String) {
        lose(identity, at: receiver)
        annotate(receiver, .late(identity, by: receiver, at: Self.start + 5_000_000))
    }

    mutating func drop(_ identity: Identity, at receiver: String) {
        lose(identity, at: receiver)
        annotate(
            "core", .dropped(identity, reason: "queue full", by: "core", at: Self.start + 10))
    }
}
