internal import Foundation

/// What latency must be like beside another, and how sure of that one has to be.
public struct LatencyRule: Sendable, Hashable {
    /// How many times the other one's it may be, at the median and at the 99th percentile.
    public var ratioMax: Double
    /// What every interval, and the test, leave to chance.
    public var alpha: Double
    /// With fewer figures on either side nothing is judged.
    public var minimum: Int

    /// A rule; without more words the one of the seed: less than twice.
    ///
    /// Of fewer than 528 figures the greatest may well be below the 99th percentile, at 99 percent: they can
    /// fail, but not pass.
    public init(ratioMax: Double = 2, alpha: Double = 0.01, minimum: Int = 600) {
        self.ratioMax = ratioMax
        self.alpha = alpha
        self.minimum = minimum
    }
}

/// One figure with the interval that it lies in.
public struct Estimate: Sendable, Hashable {
    /// The figure.
    public var value: Double
    /// Its least value that is not excluded.
    public var low: Double
    /// Its greatest.
    public var high: Double

    /// A figure.
    public init(_ value: Double, in interval: ClosedRange<Double>) {
        self.value = value
        low = interval.lowerBound
        high = interval.upperBound
    }
}

/// Whether one series of latencies is worse than another by more than it may be.
///
/// - It **fails** where the least ratio that is not excluded is above the bound: at the 99th percentile, or
///   at the median, where the series have to differ by Mann and Whitney's test as well.
/// - It **passes** where the greatest ratio that is not excluded is within the bound at both.
/// - Everything else is **inconclusive**: too few figures, and intervals with the bound inside.
public struct LatencyJudgement: Sendable, Hashable {
    /// What was compared, such as `echo on NATS beside its own baseline`.
    public var name: String
    /// Figures of the one to compare with.
    public var referenceCount: Int
    /// Figures of the one that is judged.
    public var count: Int
    /// Mann and Whitney's U of the one that is judged; nil where nothing was computed.
    public var statistic: Double?
    /// How likely so great a difference is by chance alone.
    public var probability: Double?
    /// How much longer it takes (Hodges and Lehmann), in microseconds.
    public var shift: Estimate?
    /// The ratio of the medians.
    public var p50: Estimate?
    /// The ratio of the 99th percentiles.
    public var p99: Estimate?
    /// What follows.
    public var verdict: Judgement
    /// Why, in one sentence.
    public var reason: String

    /// A judgement without figures.
    public init(
        _ name: String, referenceCount: Int = 0, count: Int = 0, _ verdict: Judgement,
        reason: String
    ) {
        self.name = name
        self.referenceCount = referenceCount
        self.count = count
        self.verdict = verdict
        self.reason = reason
    }

    /// Compares two series.
    ///
    /// - Parameters:
    ///   - name: What is compared.
    ///   - candidate: The series that is judged, in microseconds.
    ///   - reference: The one to compare with.
    ///   - rule: What is asked for.
    ///   - seed: What the bootstrap's numbers follow from.
    public init(
        _ name: String, _ candidate: [Double], beside reference: [Double],
        by rule: LatencyRule, seed: UInt64
    ) {
        self.init(
            name, referenceCount: reference.count, count: candidate.count, .inconclusive,
            reason: "")
        let least = min(reference.count, candidate.count)
        guard least > 0 else {
            reason =
                "\(name): there is nothing to compare (\(candidate.count) figures beside "
                + "\(reference.count))."
            return
        }
        compute(reference.sorted(), candidate.sorted(), rule, seed)
        guard least >= rule.minimum,
            RankTest.probabilityMin(reference.count, candidate.count) <= rule.alpha
        else {
            reason =
                "\(name): \(candidate.count) figures beside \(reference.count) are too few, "
                + "\(rule.minimum) of each are asked for."
            return
        }
        decide(rule)
    }

    private mutating func compute(
        _ reference: [Double], _ candidate: [Double], _ rule: LatencyRule, _ seed: UInt64
    ) {
        statistic = RankTest.statistic(reference, candidate)
        probability = RankTest.probability(reference, candidate)
        let middle = RankTest.shift(reference, candidate)
        if let interval = RankTest.interval(reference, candidate, alpha: rule.alpha) {
            shift = Estimate(middle, in: interval)
        }
        var bootstrap = Bootstrap(seed: seed)
        func estimate(_ share: Double) -> Estimate {
            Estimate(
                Bootstrap.ratio(
                    Bootstrap.percentile(share, of: candidate),
                    to: Bootstrap.percentile(share, of: reference)),
                in: bootstrap.ratio(
                    ofPercentile: share, reference, candidate, alpha: rule.alpha))
        }
        p50 = estimate(0.5)
        p99 = estimate(0.99)
        // No figure of so few need be above the percentile: then it may be anything.
        func isKnown(_ count: Int) -> Bool { pow(0.99, Double(count)) <= rule.alpha / 2 }
        if !isKnown(candidate.count) { p99?.high = .infinity }
        if !isKnown(reference.count) { p99?.low = 0 }
    }

    private mutating func decide(_ rule: LatencyRule) {
        guard let p50, let p99, let probability else { return }
        let bound = Decimals.two(rule.ratioMax)
        let high = max(p50.high, p99.high)
        // The tail's interval is evidence by itself: so few figures hardly move the ranks.
        let isWorse =
            p99.low > rule.ratioMax || p50.low > rule.ratioMax && probability <= rule.alpha
        let worst = p50.low > p99.low ? ("median", p50) : ("99th percentile", p99)
        let figures =
            "\(Decimals.two(worst.1.value)) times "
            + "(\(Decimals.two(worst.1.low)) to \(Decimals.two(worst.1.high)))"
        if isWorse {
            verdict = .fail
            reason = "\(name): its \(worst.0) is \(figures), more than \(bound) times are too much."
        } else if high <= rule.ratioMax {
            verdict = .pass
            reason = "\(name): its \(worst.0) is \(figures), \(bound) times are allowed."
        } else {
            reason =
                "\(name): its \(worst.0) is \(figures), which does not say whether it is within "
                + "\(bound) times."
        }
    }
}
