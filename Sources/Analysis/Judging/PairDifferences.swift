/// All differences between the figures of one series and those of another, of which the one at a place is
/// found without making them all.
///
/// A number is searched that has so many differences at or below it, half of what is left at a time; for each, one
/// walk along both series counts them. So it takes 64 times the length of both, whatever their product is.
struct PairDifferences {
    private let first: [Double]
    private let second: [Double]

    /// Differences `second - first`.
    init(_ first: [Double], _ second: [Double]) {
        self.first = first.sorted()
        self.second = second.sorted()
    }

    /// How many there are.
    var count: Int { first.count * second.count }

    /// The difference at a place, the least one at 1.
    func smallest(_ place: Int) -> Double {
        var low = Self.order(of: -Double.greatestFiniteMagnitude)
        var high = Self.order(of: .greatestFiniteMagnitude)
        while low < high {
            // Half of each, so that nothing overflows.
            let middle = (low >> 1) + (high >> 1) + (low & high & 1)
            if countUp(to: Self.value(at: middle)) >= place {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return Self.value(at: low)
    }

    private func countUp(to bound: Double) -> Int {
        var (count, start) = (0, 0)
        // The greater the second figure, the more of the first are too small.
        for value in second {
            while start < first.count, value - first[start] > bound { start += 1 }
            count += first.count - start
        }
        return count
    }

    /// Numbers in the order of the values: of negative ones the bits count backwards.
    private static func order(of value: Double) -> Int64 {
        let bits = Int64(bitPattern: value.bitPattern)
        return bits >= 0 ? bits : Int64.min - bits
    }

    private static func value(at order: Int64) -> Double {
        Double(bitPattern: UInt64(bitPattern: order >= 0 ? order : Int64.min - order))
    }
}
