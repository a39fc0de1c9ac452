internal import DequeModule
internal import Recording
internal import Wire

/// An envelope of one side whose partner has not come yet.
struct PendingRecord {
    let sequence: UInt64
    /// The number of its arrival in its flow.
    let arrival: UInt64
    let observed: UInt64
    let fingerprint: ContentFingerprint
    let place: MergedPlace
    let kind: Int32
}

/// What one side of a flow has delivered to one receiver.
struct StreamSide {
    /// What waits for its partner, by sequence.
    private(set) var pending = Deque<PendingRecord>()
    /// Whether that is the order of arrival, too.
    private var isInOrder = true
    /// Everything that came.
    private(set) var seen = SequenceSet()
    /// What the other side does not have, as far as it was waited for.
    var unpaired = SequenceSet()
    /// What came more than once: at least twice, at least three times, and so on.
    private(set) var repeats: [SequenceSet] = []
    private(set) var highest: UInt64 = 0
    private(set) var arrivals: UInt64 = 0

    /// Repeats beyond this of one envelope are as good as this many.
    private static let repeatsMax = 16

    /// Takes an arrival.
    ///
    /// - Returns: False where it is a repeat.
    mutating func arrive(_ sequence: UInt64) -> Bool {
        guard seen.insert(sequence) else {
            if let level = repeats.indices.first(where: { !repeats[$0].contains(sequence) }) {
                repeats[level].insert(sequence)
            } else if repeats.count < Self.repeatsMax {
                repeats.append(SequenceSet())
                repeats[repeats.count - 1].insert(sequence)
            }
            return false
        }
        arrivals += 1
        if sequence > highest { highest = sequence }
        return true
    }

    /// The first arrival that still waits.
    var firstPending: UInt64 {
        guard let first = pending.first else { return .max }
        if isInOrder { return first.arrival }
        return pending.lazy.map(\.arrival).min() ?? .max
    }

    mutating func wait(_ record: PendingRecord) {
        if let last = pending.last, record.sequence < last.sequence {
            isInOrder = false
            pending.insert(record, at: place(of: record.sequence))
        } else {
            pending.append(record)
        }
    }

    /// Takes out what waits for this sequence.
    mutating func takePending(_ sequence: UInt64) -> PendingRecord? {
        guard let first = pending.first else { return nil }
        if first.sequence == sequence { return takeFirst() }
        let place = place(of: sequence)
        guard place < pending.count, pending[place].sequence == sequence else { return nil }
        return pending.remove(at: place)
    }

    /// Takes out the first one by sequence, where it stands below a bound.
    mutating func takePending(below bound: UInt64) -> PendingRecord? {
        guard let first = pending.first, first.sequence < bound else { return nil }
        return takeFirst()
    }

    private mutating func takeFirst() -> PendingRecord? {
        let first = pending.popFirst()
        if pending.isEmpty { isInOrder = true }
        return first
    }

    private func place(of sequence: UInt64) -> Int {
        var low = 0
        var high = pending.count
        while low < high {
            let middle = (low + high) / 2
            if pending[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// One flow of one (aligned) incarnation at one receiver, as far as both sides were read.
struct StreamState {
    let key: GroupKey
    var left = StreamSide()
    var right = StreamSide()
    /// How far the left side is ahead, as far as that counts.
    private(set) var lead: Int64 = 0
    var order = StreamOrder()
    /// Pairs that are the same, in order, and came equally often.
    private(set) var match = 0
    /// Every other pair, by its class.
    private(set) var classes: [Deviation: SequenceSet] = [:]
    /// Where both sides first say something else, and when, since the beginning of its side.
    var first: (time: UInt64, sequence: UInt64)?
    /// In how many pairs a place differed.
    private(set) var places: [String: Int] = [:]

    private static let placesMax = 1_000

    init(_ key: GroupKey) { self.key = key }

    /// What it keeps that grows with how far the sides are apart.
    var load: Int { left.pending.count + right.pending.count + order.count }

    /// Pairs of which more than one copy came on a side.
    var repeated: [UInt64] {
        var all = SequenceSet()
        for set in [left.repeats.first, right.repeats.first] {
            for sequence in (set ?? SequenceSet()).sequences { all.insert(sequence) }
        }
        return all.sequences.filter { left.seen.contains($0) && right.seen.contains($0) }
    }

    /// Whether one side has more copies than the other.
    func isUneven(_ sequence: UInt64) -> Bool {
        left.repeats.count(where: { $0.contains(sequence) })
            != right.repeats.count(where: { $0.contains(sequence) })
    }

    /// A pair of which nothing is known yet is in a class now; nil for a match.
    mutating func count(_ sequence: UInt64, as deviation: Deviation?) {
        guard let deviation else {
            match += 1
            return
        }
        classes[deviation, default: SequenceSet()].insert(sequence)
    }

    /// Takes an arrival; the number of it, or nil where it is a repeat.
    mutating func arrive(_ sequence: UInt64, of side: StreamComparison.Side) -> UInt64? {
        let arrivals: UInt64
        switch side {
        case .left:
            guard left.arrive(sequence) else { return nil }
            arrivals = left.arrivals
        case .right:
            guard right.arrive(sequence) else { return nil }
            arrivals = right.arrivals
        }
        let difference = Int64(truncatingIfNeeded: left.highest &- right.highest)
        lead = min(max(difference, -Self.leadMax), Self.leadMax)
        return arrivals
    }

    /// Takes out the partner of an envelope of a side.
    mutating func takePartner(
        of sequence: UInt64, on side: StreamComparison.Side
    ) -> PendingRecord? {
        side == .left ? right.takePending(sequence) : left.takePending(sequence)
    }

    /// Whether the other side had gone on without waiting any longer; from now on it has not.
    mutating func takeLate(_ sequence: UInt64, of side: StreamComparison.Side) -> Bool {
        side == .left ? right.unpaired.remove(sequence) : left.unpaired.remove(sequence)
    }

    mutating func wait(_ record: PendingRecord, on side: StreamComparison.Side) {
        if side == .left { left.wait(record) } else { right.wait(record) }
    }

    /// The next one that waits on a side below a bound.
    mutating func takePending(
        below bound: UInt64, on side: StreamComparison.Side
    ) -> PendingRecord? {
        side == .left ? left.takePending(below: bound) : right.takePending(below: bound)
    }

    /// How far one flow counts for which side is ahead: one that is on one side alone must not keep
    /// the others from being read together.
    private static let leadMax: Int64 = 65_536

    /// Takes a pair's order; pairs that are now known to stand out of order.
    mutating func place(_ pair: StreamOrder.Pair) -> [StreamOrder.Pair] {
        let pending = StreamOrder.Pending(left: left.firstPending, right: right.firstPending)
        return order.add(pair, pending: pending)
    }

    /// Counts where a pair differs.
    mutating func note(_ comparison: ContentComparison) {
        for place in comparison.places
        where places[place] != nil || places.count < Self.placesMax {
            places[place, default: 0] += 1
        }
    }

    /// The class of a pair that was counted; nil for a match.
    func deviation(of sequence: UInt64) -> Deviation? {
        classes.first { $0.value.contains(sequence) }?.key
    }

    /// Puts a pair that was counted into a graver class; one that is in a graver one stays.
    ///
    /// - Returns: Whether it moved.
    mutating func raise(_ sequence: UInt64, to deviation: Deviation) -> Bool {
        let now = self.deviation(of: sequence)
        guard Self.gravity(deviation) > Self.gravity(now) else { return false }
        if let now {
            classes[now]?.remove(sequence)
        } else {
            match -= 1
        }
        count(sequence, as: deviation)
        return true
    }

    private static func gravity(_ deviation: Deviation?) -> Int {
        switch deviation {
        case .payload: 7
        case .undecidable: 6
        case .duplicate: 5
        case .reordered: 4
        case .late: 3
        case .tolerated: 2
        case .ignored: 1
        default: 0
        }
    }
}

/// One flow of one (aligned) incarnation at one receiver: the unit in which order counts.
struct GroupKey: Hashable, Comparable {
    let stream: StreamKey
    let receiver: String

    static func < (left: GroupKey, right: GroupKey) -> Bool {
        (left.stream, left.receiver) < (right.stream, right.receiver)
    }
}
