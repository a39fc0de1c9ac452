/// A set of sequences, kept as ranges: what is contiguous takes no room.
public struct SequenceSet: Sendable, Hashable {
    /// The ranges, in order; between two there is a gap.
    public private(set) var ranges: [ClosedRange<UInt64>] = []
    /// How many there are.
    public private(set) var count = 0

    /// None.
    public init() {}

    /// The sequences of ranges that are in order and do not touch.
    public init(_ ranges: [ClosedRange<UInt64>]) {
        self.ranges = ranges
        count = ranges.reduce(0) { $0 + $1.count }
    }

    /// All of them, in order.
    public var sequences: some Sequence<UInt64> { ranges.lazy.flatMap { $0 } }

    /// Inserts a sequence.
    ///
    /// - Complexity: O(1) behind the last one, else O(log n) and what moving ranges takes.
    /// - Returns: False where it was there.
    @discardableResult
    public mutating func insert(_ sequence: UInt64) -> Bool {
        guard let last = ranges.last else {
            count = 1
            ranges.append(sequence...sequence)
            return true
        }
        if sequence > last.upperBound {
            count += 1
            if sequence - last.upperBound == 1 {
                ranges[ranges.count - 1] = last.lowerBound...sequence
            } else {
                ranges.append(sequence...sequence)
            }
            return true
        }
        return insertInside(sequence)
    }

    private mutating func insertInside(_ sequence: UInt64) -> Bool {
        // The last one is not below it, so that there is one behind.
        let index = firstRange(reaching: sequence)
        guard !ranges[index].contains(sequence) else { return false }
        count += 1
        let joinsNext = ranges[index].lowerBound - sequence == 1
        let joinsBefore = index > 0 && sequence - ranges[index - 1].upperBound == 1
        switch (joinsBefore, joinsNext) {
        case (true, true):
            ranges[index - 1] = ranges[index - 1].lowerBound...ranges[index].upperBound
            ranges.remove(at: index)
        case (true, false): ranges[index - 1] = ranges[index - 1].lowerBound...sequence
        case (false, true): ranges[index] = sequence...ranges[index].upperBound
        case (false, false): ranges.insert(sequence...sequence, at: index)
        }
        return true
    }

    /// Takes a sequence out.
    ///
    /// - Returns: False where it was not there.
    @discardableResult
    public mutating func remove(_ sequence: UInt64) -> Bool {
        let index = firstRange(reaching: sequence)
        guard index < ranges.count, ranges[index].contains(sequence) else { return false }
        count -= 1
        let range = ranges[index]
        switch (range.lowerBound == sequence, range.upperBound == sequence) {
        case (true, true): ranges.remove(at: index)
        case (true, false): ranges[index] = (sequence + 1)...range.upperBound
        case (false, true): ranges[index] = range.lowerBound...(sequence - 1)
        case (false, false):
            ranges[index] = range.lowerBound...(sequence - 1)
            ranges.insert((sequence + 1)...range.upperBound, at: index + 1)
        }
        return true
    }

    /// Whether a sequence is there.
    ///
    /// - Complexity: O(log n) in the number of ranges.
    public func contains(_ sequence: UInt64) -> Bool {
        guard let last = ranges.last, sequence <= last.upperBound else { return false }
        return ranges[firstRange(reaching: sequence)].contains(sequence)
    }

    /// How many of them are not in another set.
    ///
    /// - Complexity: O(n + m) in the numbers of ranges.
    public func count(without other: SequenceSet) -> Int {
        var missing = count
        var index = 0
        for range in ranges {
            while index < other.ranges.count, other.ranges[index].upperBound < range.lowerBound {
                index += 1
            }
            var next = index
            while next < other.ranges.count, other.ranges[next].lowerBound <= range.upperBound {
                missing -= other.ranges[next].clamped(to: range).count
                next += 1
            }
        }
        return missing
    }

    /// Adds those of another set.
    ///
    /// - Complexity: O(n + m) in the numbers of ranges, sorting aside.
    public mutating func formUnion(_ other: SequenceSet) {
        var joined: [ClosedRange<UInt64>] = []
        for range in (ranges + other.ranges).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = joined.last,
                range.lowerBound <= last.upperBound
                    || range.lowerBound - last.upperBound == 1
            {
                joined[joined.count - 1] =
                    last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                joined.append(range)
            }
        }
        self = SequenceSet(joined)
    }

    /// How many are missing between the first and the last.
    public var gapCount: UInt64 {
        guard let first = ranges.first, let last = ranges.last else { return 0 }
        return last.upperBound - first.lowerBound + 1 - UInt64(count)
    }

    /// The number of the first range that ends at the sequence or behind it.
    private func firstRange(reaching sequence: UInt64) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
