public import JSON

/// How much a load is and how fast: what the arguments of the command `load` say to every agent.
///
/// `{"count": N, "rate": R, "start": S, "duration_ms": D}` and what the agent itself understands.
public struct LoadOrder: Hashable, Sendable {
    /// The most messages of one load.
    public static let countMax = 1_000_000_000

    /// Messages to each destination; nil where only the duration ends the load.
    public let count: Int?
    /// Messages a second; nil is as fast as there is room.
    public let rate: Double?
    /// The number of the first message.
    public let start: Int
    /// Nanoseconds after which the load ends in any case.
    public let duration: UInt64?
    /// All arguments.
    public let arguments: Value

    /// Reads the command's arguments.
    public init(_ arguments: Value) throws(LoadError) {
        self.arguments = arguments
        count = try LoadOrder.integer(arguments, "count")
        start = try LoadOrder.integer(arguments, "start") ?? 0
        duration = try LoadOrder.integer(arguments, "duration_ms").map { UInt64($0) * 1_000_000 }
        guard count != nil || duration != nil else {
            throw LoadError("a load needs a 'count' or a 'duration_ms'")
        }
        switch arguments["rate"] {
        case nil, .null: rate = nil
        case .some(let value):
            guard let number = value.double, number >= 0, number <= 10_000_000 else {
                throw LoadError(
                    "'rate' is \(value.canonical), not messages a second from 0 through 10000000")
            }
            rate = number == 0 ? nil : number
        }
    }

    private static func integer(_ arguments: Value, _ key: String) throws(LoadError) -> Int? {
        guard let value = arguments[key], value != .null else { return nil }
        guard let integer = value.integer, (0...Int64(countMax)).contains(integer) else {
            throw LoadError(
                "'\(key)' is \(value.canonical), not a whole number from 0 through \(countMax)")
        }
        return Int(integer)
    }
}

/// Which message of a load is due when: an absolute schedule, so that a late message delays no other.
struct LoadSchedule {
    let order: LoadOrder
    /// When the load began, in nanoseconds.
    let began: UInt64
    /// Messages sent so far.
    private(set) var done = 0

    init(_ order: LoadOrder, began: UInt64) {
        self.order = order
        self.began = began
    }

    /// The number of the next message.
    var index: Int { order.start + done }

    /// Whether nothing is left to send.
    func isFinished(at now: UInt64) -> Bool {
        if let count = order.count, done >= count { return true }
        if let duration = order.duration, now >= began + duration { return true }
        return false
    }

    /// When the next message is due.
    var nextDue: UInt64 {
        guard let rate = order.rate else { return began }
        return began + UInt64(Double(done) / rate * 1e9)
    }

    /// When the load ends in any case.
    var end: UInt64 { order.duration.map { began + $0 } ?? .max }

    mutating func advance() { done += 1 }

    /// The arguments by which another incarnation goes on.
    func remainder(at now: UInt64) -> Value {
        var members = order.arguments.object ?? [:]
        members["start"] = Value(order.start + done)
        if let count = order.count { members["count"] = Value(max(0, count - done)) }
        if let duration = order.duration {
            let end = began + duration
            members["duration_ms"] = Value(end > now ? (end - now) / 1_000_000 : 0)
        }
        return .object(members)
    }
}
