internal import Foundation
internal import Randomness

/// How far a percentile of a series, and the ratio of two, would wander if it were measured again.
///
/// A resample of n figures (Efron 1979) need not be drawn: its k-th smallest stands where the k-th smallest of n uniform
/// numbers falls, and that number is Beta(k, n + 1 - k)-distributed. So one replicate takes as long for a
/// million figures as for ten. The interval is the percentile interval of the replicates.
struct Bootstrap {
    /// Replicates of each interval.
    static let replicates = 2_000

    private var generator: SplitMix64

    init(seed: UInt64) {
        generator = SplitMix64(seed: seed)
    }

    /// Where the ratio of a percentile of the second series to that of the first lies.
    ///
    /// - Parameters:
    ///   - share: The percentile, 0.99 for the 99th, by nearest rank.
    ///   - first: The series to compare with, sorted, not empty.
    ///   - second: The other one, sorted, not empty.
    ///   - alpha: What the interval leaves out on both sides together.
    /// - Returns: The interval; a ratio to 0 is infinite, and 1 where both are 0.
    mutating func ratio(
        ofPercentile share: Double, _ first: [Double], _ second: [Double], alpha: Double
    ) -> ClosedRange<Double> {
        var ratios: [Double] = []
        for _ in 0..<Self.replicates {
            let below = replicate(share, of: first)
            ratios.append(Self.ratio(replicate(share, of: second), to: below))
        }
        ratios.sort()
        // The nearest ranks; the one end mirrors the other.
        let outside = Int((alpha / 2 * Double(ratios.count)).rounded(.down))
        return ratios[outside]...ratios[ratios.count - 1 - outside]
    }

    static func ratio(_ figure: Double, to other: Double) -> Double {
        if other > 0 { return figure / other }
        return figure > 0 ? .infinity : 1
    }

    /// The percentile by nearest rank of a sorted series.
    static func percentile(_ share: Double, of sorted: [Double]) -> Double {
        sorted[rank(share, of: sorted.count) - 1]
    }

    private static func rank(_ share: Double, of count: Int) -> Int {
        min(max(Int((share * Double(count)).rounded(.up)), 1), count)
    }

    private mutating func replicate(_ share: Double, of sorted: [Double]) -> Double {
        let rank = Self.rank(share, of: sorted.count)
        let below = gamma(Double(rank))
        let above = gamma(Double(sorted.count + 1 - rank))
        let place = Int(below / (below + above) * Double(sorted.count))
        return sorted[min(place, sorted.count - 1)]
    }

    /// A number of the gamma distribution with a shape of at least 1 (Marsaglia and Tsang 2000).
    private mutating func gamma(_ shape: Double) -> Double {
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let normal = normal()
            let cubed = 1 + c * normal
            guard cubed > 0 else { continue }
            let v = cubed * cubed * cubed
            let uniform = generator.nextUnit()
            guard uniform > 0 else { continue }
            if log(uniform) < normal * normal / 2 + d - d * v + d * log(v) { return d * v }
        }
    }

    /// A number of the normal distribution (Box and Muller 1958).
    private mutating func normal() -> Double {
        let radius = (-2 * log(1 - generator.nextUnit())).squareRoot()
        return radius * cos(2 * .pi * generator.nextUnit())
    }
}
