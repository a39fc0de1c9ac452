public import JSON
public import Recording
internal import Wire

/// Planted faults of an agent's sending: the controls of every claim that nothing went wrong.
///
/// Applied to every Nth envelope of a client, on one lane, after it was recorded as sent and
/// before the transport sees it.
public struct Defects: Hashable, Sendable {
    /// Every Nth is not sent.
    public var lose: Int?
    /// Every Nth is sent twice.
    public var `repeat`: Int?
    /// Every Nth is sent after the one that follows it.
    public var swap: Int?
    /// The content of every Nth is altered: one leaf of JSON, one byte of anything else.
    public var alter: Int?
    /// A byte of every Nth content in shared memory is altered after it was written.
    public var alterMemory: Int?
    /// Of the class `at_least_once`, every Nth is lost each time that it is sent.
    public var loseCopies: Int?
    /// Of the class `at_least_once`, every Nth that comes is acknowledged, and neither recorded nor
    /// handed out.
    public var swallow: Int?
    /// Nothing is sent again, whatever is not acknowledged.
    public var forget: Int?
    /// Every Nth chunk of a content that goes over NATS in several messages is not sent.
    public var loseChunk: Int?
    /// One byte of every Nth such chunk is altered.
    public var alterChunk: Int?
    /// Every one leaves so many microseconds late.
    public var delay: Int?
    /// Only on this transport; nil is any.
    public var transport: String?
    /// On this lane.
    public var lane: Lane

    /// Makes planted faults.
    public init(
        lose: Int? = nil, repeat: Int? = nil, swap: Int? = nil, alter: Int? = nil,
        alterMemory: Int? = nil, loseCopies: Int? = nil, swallow: Int? = nil,
        forget: Int? = nil, loseChunk: Int? = nil, alterChunk: Int? = nil, delay: Int? = nil,
        transport: String? = nil, lane: Lane = .primary
    ) {
        self.lose = lose
        self.`repeat` = `repeat`
        self.swap = swap
        self.alter = alter
        self.alterMemory = alterMemory
        self.loseCopies = loseCopies
        self.swallow = swallow
        self.forget = forget
        self.loseChunk = loseChunk
        self.alterChunk = alterChunk
        self.delay = delay
        self.transport = transport
        self.lane = lane
    }

    private static let counts = [
        "lose", "repeat", "swap", "alter", "alter_memory", "lose_copies", "swallow", "forget",
        "lose_chunk", "alter_chunk", "delay_us",
    ]
    private static let members = Set(counts + ["on", "lane"])

    /// Reads the setting `defects` of an agent:
    /// `{"lose": N, "repeat": N, "swap": N, "alter": N, "alter_memory": N, "lose_copies": N,
    /// "swallow": N, "forget": N, "lose_chunk": N, "alter_chunk": N, "delay_us": N, "on": "zmq|nats|any",
    /// "lane": "primary|shadow"}`.
    ///
    /// Nil where the value is no object, has an unknown member, or a count is not positive: a
    /// control that is not planted as meant would prove nothing.
    public init?(_ setting: Value) {
        guard let members = setting.object,
            members.keys.allSatisfy(Self.members.contains),
            ["zmq", "nats", "any"].contains(members["on"]?.string ?? "any"),
            members["on"].map({ $0.string != nil }) ?? true
        else { return nil }
        let lane = members["lane"].map { $0.string.flatMap(Lane.init(rawValue:)) } ?? .primary
        guard let lane else { return nil }
        for name in Self.counts {
            guard let value = members[name] else { continue }
            guard let count = value.integer, count > 0, count <= Int64(Int32.max) else {
                return nil
            }
        }
        func count(_ name: String) -> Int? { members[name]?.integer.map { Int($0) } }
        let transport = members["on"]?.string
        self.init(
            lose: count("lose"), repeat: count("repeat"), swap: count("swap"),
            alter: count("alter"), alterMemory: count("alter_memory"),
            loseCopies: count("lose_copies"), swallow: count("swallow"), forget: count("forget"),
            loseChunk: count("lose_chunk"), alterChunk: count("alter_chunk"),
            delay: count("delay_us"), transport: transport == "any" ? nil : transport,
            lane: lane)
    }
}

/// The planted faults of one lane, on their way through a client's envelopes.
struct DefectLane {
    private let planted: Defects?
    /// The transport that is sent on; faults may be meant for one alone.
    var transport: String
    private var count = 0
    private var alterations = 0
    private(set) var withheld: Envelope?
    private(set) var withheldSince: UInt64 = 0

    init(_ defects: Defects?, lane: Lane, transport: String) {
        planted = defects?.lane == lane ? defects : nil
        self.transport = transport
    }

    /// Those that are meant for what is sent now.
    var defects: Defects? {
        planted?.transport == nil || planted?.transport == transport ? planted : nil
    }

    /// What is to be sent now in the envelope's place.
    mutating func apply(_ envelope: Envelope, at now: UInt64) -> [Envelope] {
        guard let defects else { return [envelope] }
        count += 1
        func isDue(_ every: Int?) -> Bool { every.map { count % $0 == 0 } ?? false }
        var envelope = envelope
        if isDue(defects.lose) { return takeWithheld() }
        if isDue(defects.alter) {
            envelope.content = Self.alter(
                envelope.content, envelope.contentEncoding, choice: alterations)
            alterations += 1
        }
        if isDue(defects.swap), withheld == nil {
            withheld = envelope
            withheldSince = now
            return []
        }
        let copies = isDue(defects.`repeat`) ? [envelope, envelope] : [envelope]
        return copies + takeWithheld()
    }

    /// What waits for the next envelope, and now waits no longer.
    mutating func takeWithheld() -> [Envelope] {
        defer { withheld = nil }
        return withheld.map { [$0] } ?? []
    }

    /// One leaf changed and still JSON, or one byte flipped.
    static func alter(
        _ content: [UInt8], _ encoding: Envelope.ContentEncoding, choice: Int
    ) -> [UInt8] {
        if encoding.isJSON, let value = try? Value(parsing: content) {
            var remaining = choice % max(1, leaves(of: value))
            return Array(alter(value, leaf: &remaining).canonical.utf8)
        }
        guard !content.isEmpty else { return [0xFF] }
        var bytes = content
        bytes[choice % bytes.count] ^= 0xFF
        return bytes
    }

    private static func leaves(of value: Value) -> Int {
        switch value {
        case .array(let elements) where !elements.isEmpty:
            elements.reduce(0) { $0 + leaves(of: $1) }
        case .object(let members) where !members.isEmpty:
            members.values.reduce(0) { $0 + leaves(of: $1) }
        default: 1
        }
    }

    /// The value with its leaf number `leaf` changed; leaves are counted in the order of sorted keys.
    private static func alter(_ value: Value, leaf: inout Int) -> Value {
        switch value {
        case .array(let elements) where !elements.isEmpty:
            return .array(elements.map { alter($0, leaf: &leaf) })
        case .object(var members) where !members.isEmpty:
            for key in members.keys.sorted() {
                members[key] = members[key].map { alter($0, leaf: &leaf) }
            }
            return .object(members)
        default:
            defer { leaf -= 1 }
            return leaf == 0 ? altered(value) : value
        }
    }

    private static func altered(_ value: Value) -> Value {
        switch value {
        case .null: true
        case .bool(let truth): .bool(!truth)
        case .integer(let number): .integer(number == .max ? 0 : number + 1)
        case .double(let number): .double(number == 0 ? 1 : -number)
        case .string(let text): .string(text + "~")
        case .array: .array([.null])
        case .object: .object(["altered": true])
        }
    }
}
