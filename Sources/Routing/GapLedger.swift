internal import JSON
internal import Wire

/// Envelopes that were dropped on their way to one destination, as ranges of their flows.
struct GapLedger {
    private struct Key: Hashable {
        let flow: Flow
        let incarnation: UInt32
        let isKept: Bool
    }

    private struct Range {
        let key: Key
        let from: UInt64
        var through: UInt64
        let reason: String
    }

    /// More ranges are counted, not told: their receiver's own patience ends the wait.
    static let rangesMax = 1_000

    private var ranges: [Range] = []
    private var last: [Key: Int] = [:]
    /// Ranges that were not kept.
    private(set) var untold = 0

    var isEmpty: Bool { ranges.isEmpty }

    /// Notes that `identity` will never come.
    ///
    /// Where `isKept`, its sender has it yet: the notice says so, and makes no hole.
    mutating func add(_ identity: Identity, isKept: Bool = false, reason: String) {
        let key = Key(
            flow: identity.flow, incarnation: identity.incarnation, isKept: isKept)
        if let index = last[key], ranges[index].through &+ 1 == identity.sequence,
            ranges[index].reason == reason
        {
            ranges[index].through = identity.sequence
            return
        }
        guard ranges.count < Self.rangesMax else {
            untold += 1
            return
        }
        last[key] = ranges.count
        ranges.append(
            Range(
                key: key, from: identity.sequence, through: identity.sequence, reason: reason))
    }

    /// One notice a range; the ledger is empty afterwards.
    mutating func take(clock: RunClock) -> [Parcel] {
        defer {
            ranges = []
            last = [:]
        }
        return ranges.map { range in
            let content: Value = [
                "from": Value(range.from), "through": Value(range.through),
                "reason": .string(range.reason),
            ]
            return Parcel(
                Envelope(
                    identity: Identity(
                        flow: range.key.flow, incarnation: range.key.incarnation,
                        sequence: range.from),
                    kind: .gap, type: "_gap", sent: clock.now, contentEncoding: .json,
                    delivery: range.key.isKept ? .atLeastOnce : .atMostOnce,
                    content: Array(content.canonical.utf8)))
        }
    }
}
