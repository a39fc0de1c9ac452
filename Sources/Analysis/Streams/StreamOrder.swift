/// Whether one flow's pairs stand in one order on both sides, told while they come.
///
/// A pair counts when both of its envelopes have come. As long as nothing is waited for that came
/// before it on either side, whatever follows stands behind it on both: it is settled, and forgotten.
/// Only between such moments pairs are kept, and the fewest that stand out of order are named, as
/// `Order` does for a whole flow.
struct StreamOrder {
    /// Two envelopes that belong together, by the numbers of their arrivals.
    struct Pair: Equatable {
        let left: UInt64
        let right: UInt64
        let sequence: UInt64
        let observed: UInt64
    }

    /// The first arrivals that are still waited for; nothing later stands before them.
    struct Pending {
        let left: UInt64
        let right: UInt64

        func isBehind(_ pair: Pair) -> Bool { pair.left < left && pair.right < right }
    }

    /// Below this, trying to settle is not worth while.
    private static let cutMin = 64

    private var pairs: [Pair] = []
    private var cutAt = StreamOrder.cutMin
    /// The last arrivals that stand in order and are settled.
    private var floor = (left: UInt64(0), right: UInt64(0))

    /// Pairs that are kept.
    var count: Int { pairs.count }

    /// Takes a pair.
    ///
    /// - Parameters:
    ///   - pair: Two envelopes that have both come.
    ///   - pending: What is still waited for.
    /// - Returns: Pairs that are now known to stand out of order.
    mutating func add(_ pair: Pair, pending: Pending) -> [Pair] {
        // What is settled was in order without it.
        if pair.left < floor.left || pair.right < floor.right { return [pair] }
        if pairs.isEmpty, pending.isBehind(pair) {
            floor = (pair.left, pair.right)
            return []
        }
        pairs.append(pair)
        return pairs.count < cutAt ? [] : settle(pending)
    }

    /// Ends the flow: nothing is waited for any more.
    mutating func finish() -> [Pair] { settle(Pending(left: .max, right: .max)) }

    private mutating func settle(_ pending: Pending) -> [Pair] {
        guard !pairs.isEmpty else { return [] }
        defer { cutAt = max(Self.cutMin, pairs.count * 2) }
        let sorted = pairs.sorted { $0.right < $1.right }
        var isDisplaced = [Bool](repeating: false, count: sorted.count)
        for index in Order.displaced(sorted.map(\.left)) { isDisplaced[index] = true }
        var displaced: [Pair] = []
        var kept: [Pair] = []
        for (index, pair) in sorted.enumerated() {
            if !pending.isBehind(pair) {
                kept.append(pair)
            } else if isDisplaced[index] {
                displaced.append(pair)
            } else {
                floor = (max(floor.left, pair.left), max(floor.right, pair.right))
            }
        }
        let floor = floor
        pairs = kept.filter { $0.left >= floor.left && $0.right >= floor.right }
        displaced += kept.filter { $0.left < floor.left || $0.right < floor.right }
        return displaced
    }
}
