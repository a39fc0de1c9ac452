internal import Foundation

/// Whether two series of few, noisy figures differ, and by how much: Mann and Whitney's test with its
/// exact distribution, and Hodges and Lehmann's shift with the interval that belongs to it.
///
/// Nothing is assumed of how figures are distributed; of n and m figures no p-value is below
/// 2 / C(n + m, n), which is what makes three runs beside three say nothing at all.
public enum RankTest {
    /// Up to so many figures together the distribution is counted out; above, the normal one is close.
    public static let exactMax = 60

    /// The two-sided p-value of both series coming from one distribution.
    ///
    /// Equal figures share their ranks, and the distribution is that of the ranks as they are.
    public static func probability(_ first: [Double], _ second: [Double]) -> Double {
        guard !first.isEmpty, !second.isEmpty else { return 1 }
        let ranks = doubledRanks(first + second)
        let sum = ranks[..<first.count].reduce(0, +)
        guard first.count + second.count <= exactMax else {
            return normalProbability(ranks, first.count, sum)
        }
        let counts = sums(of: ranks, choosing: first.count)
        let total = counts.reduce(0, +)
        let below = counts[...sum].reduce(0, +) / total
        let above = counts[sum...].reduce(0, +) / total
        return min(1, 2 * min(below, above))
    }

    /// The least p-value that so many figures can have.
    public static func probabilityMin(_ first: Int, _ second: Int) -> Double {
        guard first > 0, second > 0 else { return 1 }
        var ways = 1.0
        for index in 1...min(first, second) {
            ways *= Double(max(first, second) + index) / Double(index)
        }
        return min(1, 2 / ways)
    }

    /// In how many of all pairs the second one's figure is the greater, halves for equal ones: Mann and
    /// Whitney's U of the second series.
    ///
    /// Takes time as sorting does.
    public static func statistic(_ first: [Double], _ second: [Double]) -> Double {
        let ranks = doubledRanks(first + second)
        let sum = ranks[first.count...].reduce(0, +)
        return Double(sum) / 2 - Double(second.count) * Double(second.count + 1) / 2
    }

    /// How much greater the second series is: the median of all differences (Hodges and Lehmann).
    ///
    /// - Parameters:
    ///   - first: The series to compare with.
    ///   - second: The other one.
    /// - Returns: The shift; 0 where one of them is empty.
    public static func shift(_ first: [Double], _ second: [Double]) -> Double {
        let pairs = PairDifferences(first, second)
        guard pairs.count > 0 else { return 0 }
        let middle = pairs.smallest(pairs.count / 2 + 1)
        guard pairs.count.isMultiple(of: 2) else { return middle }
        return (pairs.smallest(pairs.count / 2) + middle) / 2
    }

    /// Where that lies with a confidence of at least `1 - alpha`; nil where the figures are too few.
    public static func interval(
        _ first: [Double], _ second: [Double], alpha: Double
    ) -> ClosedRange<Double>? {
        let (n, m) = (first.count, second.count)
        guard n > 0, m > 0 else { return nil }
        let reach = criticalCount(n, m, alpha: alpha)
        guard reach > 0 else { return nil }
        let pairs = PairDifferences(first, second)
        return pairs.smallest(reach)...pairs.smallest(n * m + 1 - reach)
    }

    /// How many of the differences on either side lie outside of the interval, plus one; 0 is none.
    private static func criticalCount(_ n: Int, _ m: Int, alpha: Double) -> Int {
        if n + m > exactMax {
            let mean = Double(n) * Double(m) / 2
            let deviation = (Double(n) * Double(m) * Double(n + m + 1) / 12).squareRoot()
            return max(
                0, Int((mean - 0.5 - quantile(1 - alpha / 2) * deviation).rounded(.down)) + 1)
        }
        let counts = sums(of: (1...(n + m)).map { 2 * $0 }, choosing: n)
        let total = counts.reduce(0, +)
        var (below, statistic) = (0.0, 0)
        while true {
            below += counts[2 * statistic + n * (n + 1)] / total
            if below > alpha / 2 { return statistic }
            statistic += 1
        }
    }

    /// Twice the rank of each, so that shared ranks are whole numbers.
    static func doubledRanks(_ values: [Double]) -> [Int] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = [Int](repeating: 0, count: values.count)
        var start = 0
        while start < order.count {
            var end = start
            while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
            for place in start...end { ranks[order[place]] = start + end + 2 }
            start = end + 1
        }
        return ranks
    }

    /// In how many ways `count` of the ranks have each sum.
    private static func sums(of ranks: [Int], choosing count: Int) -> [Double] {
        let greatest = ranks.reduce(0, +)
        var ways = [[Double]](
            repeating: [Double](repeating: 0, count: greatest + 1), count: count + 1)
        ways[0][0] = 1
        for rank in ranks {
            for chosen in stride(from: count, through: 1, by: -1) {
                for sum in stride(from: greatest, through: rank, by: -1) {
                    ways[chosen][sum] += ways[chosen - 1][sum - rank]
                }
            }
        }
        return ways[count]
    }

    private static func normalProbability(_ ranks: [Int], _ count: Int, _ sum: Int) -> Double {
        let all = Double(ranks.count)
        let mean = Double(count) * (all + 1) / 2
        // The variance of ranks as they are, shared ones included.
        let middle = (all + 1) / 2
        let scatter = ranks.reduce(0) { $0 + (Double($1) / 2 - middle) * (Double($1) / 2 - middle) }
        let variance = Double(count) * (all - Double(count)) / (all * (all - 1)) * scatter
        guard variance > 0 else { return 1 }
        let distance = max(0, abs(Double(sum) / 2 - mean) - 0.5) / variance.squareRoot()
        return min(1, erfc(distance / 2.0.squareRoot()))
    }

    /// The normal distribution's quantile, by halving.
    private static func quantile(_ share: Double) -> Double {
        var (low, high) = (-10.0, 10.0)
        for _ in 0..<80 {
            let middle = (low + high) / 2
            if erfc(-middle / 2.0.squareRoot()) / 2 < share { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }

    /// P-values after Benjamini and Hochberg: of all that is called different at a level, at most this
    /// share is so by chance.
    public static func adjusted(_ probabilities: [Double]) -> [Double] {
        let order = probabilities.indices.sorted { probabilities[$0] < probabilities[$1] }
        var adjusted = probabilities
        var least = 1.0
        for place in order.indices.reversed() {
            least = min(
                least, probabilities[order[place]] * Double(order.count) / Double(place + 1))
            adjusted[order[place]] = least
        }
        return adjusted
    }
}
