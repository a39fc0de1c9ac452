/// What a step may at most show before it is broken; `nil` where a class has no limit.
public struct Limits: Sendable, Hashable {
    /// Limits of the numbers of deviations, delivery and comparison together.
    private var counts: [Deviation: Int] = [:]
    /// NATS's median latency over ZeroMQ's.
    public var latencyP50Ratio: Double?
    /// NATS's 99th percentile over ZeroMQ's.
    public var latencyP99Ratio: Double?

    /// No limits.
    public init() {}

    /// Nothing may be lost, repeated, out of order, late, altered, invented or different.
    public static let zero: Limits = {
        var limits = Limits()
        for deviation in classes { limits[deviation] = 0 }
        return limits
    }()

    /// The classes that can have a limit.
    public static let classes: [Deviation] = DeviationCounts.classes + comparisonClasses

    /// The classes that only a comparison can count.
    public static let comparisonClasses: [Deviation] = [.payload, .missing, .extra]

    /// The words that a scenario file has for limits.
    public static let words: [String] =
        classes.map(\.rawValue) + ["latency_p50_ratio", "latency_p99_ratio"]

    /// The limit of a class.
    public subscript(deviation: Deviation) -> Int? {
        get { counts[deviation] }
        set { if Self.classes.contains(deviation) { counts[deviation] = newValue } }
    }

    /// Sets a limit by the word that a scenario file has for it.
    ///
    /// - Returns: Whether the word is known and the number fits it.
    public mutating func set(_ word: String, to number: Double) -> Bool {
        guard number >= 0 else { return false }
        switch word {
        case "latency_p50_ratio": latencyP50Ratio = number
        case "latency_p99_ratio": latencyP99Ratio = number
        default:
            guard let deviation = Deviation(rawValue: word), Self.classes.contains(deviation),
                let count = Int(exactly: number)
            else { return false }
            self[deviation] = count
        }
        return true
    }

    /// Judges a step.
    ///
    /// A broken limit fails, however few samples there are. Without one, no traffic, too few
    /// samples or a flow that was not drained is inconclusive: absence of evidence is never a pass.
    /// What only a comparison or a measurement can break is judged where the step has one.
    ///
    /// - Parameters:
    ///   - delivery: What the delivery check found; only what no fault explains counts.
    ///   - comparison: What the comparison found, if there was one.
    ///   - latency: What was measured, if it was.
    ///   - minimumSamples: How many deliveries (and, for a ratio, samples of each transport) it takes.
    /// - Returns: The judgement with its reason.
    public func judge(
        delivery: DeliveryReport, comparison: ComparisonReport? = nil, latency: Latency? = nil,
        minimumSamples: Int = 1
    ) -> StepVerdict {
        let broken =
            brokenPromises(delivery) + brokenCounts(delivery, comparison)
            + brokenRatios(latency, minimumSamples)
        if let first = broken.first {
            let more = broken.count > 1 ? ", and \(broken.count - 1) more broken" : ""
            return StepVerdict(.fail, reason: first + more + ".")
        }
        if let doubt = doubt(delivery, comparison, latency, minimumSamples) {
            return StepVerdict(.inconclusive, reason: doubt)
        }
        let counts = delivery.counts
        let explained = counts.explained.total
        let faults = explained > 0 ? " \(explained) deviations are explained by faults." : ""
        return StepVerdict(
            .pass,
            reason:
                "\(counts.delivered) of \(counts.expected) deliveries, no limit broken.\(faults)")
    }

    /// What no limit allows and no fault excuses.
    private func brokenPromises(_ delivery: DeliveryReport) -> [String] {
        guard let kept = delivery.counts.atLeastOnce else { return [] }
        var broken: [String] = []
        if kept.wronglyAcknowledged > 0 {
            broken.append(
                "\(kept.wronglyAcknowledged) acknowledged by a receiver that has not recorded them")
        }
        if kept.sentAtMostOnce > 0 {
            broken.append(
                "\(kept.sentAtMostOnce) sent at most once by a sender that was to send them at least "
                    + "once")
        }
        if kept.neverAcknowledged > 0 {
            broken.append(
                "\(kept.neverAcknowledged) delivered to a receiver that acknowledges nothing")
        }
        if kept.lost > 0 { broken.append("\(kept.lost) lost that were sent at least once") }
        return broken
    }

    private func brokenCounts(
        _ delivery: DeliveryReport, _ comparison: ComparisonReport?
    ) -> [String] {
        Self.classes.flatMap { deviation -> [String] in
            guard let limit = self[deviation] else { return [] }
            let delivered = delivery.counts.unexplained[deviation]
            let word: Deviation = deviation == .duplicated ? .duplicate : deviation
            let compared = comparison?.counts[word] ?? 0
            var broken: [String] = []
            if delivered > limit { broken.append("\(delivered) \(deviation), limit \(limit)") }
            if compared > limit {
                broken.append("\(compared) \(deviation) in the comparison, limit \(limit)")
            }
            return broken
        }
    }

    /// Whether a ratio of latencies is limited.
    public var limitsLatency: Bool { !ratios.isEmpty }

    private var ratios: [(name: String, limit: Double, value: (Latency) -> Double?)] {
        var ratios: [(name: String, limit: Double, value: (Latency) -> Double?)] = []
        if let limit = latencyP50Ratio { ratios.append(("median", limit, \.p50Ratio)) }
        if let limit = latencyP99Ratio { ratios.append(("99th percentile", limit, \.p99Ratio)) }
        return ratios
    }

    private func brokenRatios(_ latency: Latency?, _ minimumSamples: Int) -> [String] {
        guard let latency, hasSamples(latency, minimumSamples) else { return [] }
        return ratios.compactMap { name, limit, value in
            guard let ratio = value(latency), ratio > limit else { return nil }
            return "NATS's \(name) latency is \(Decimals.two(ratio)) times ZeroMQ's, "
                + "limit \(Decimals.two(limit))"
        }
    }

    private func hasSamples(_ latency: Latency, _ minimum: Int) -> Bool {
        ["zmq", "nats"].allSatisfy { latency.transports[$0]?.count ?? 0 >= max(1, minimum) }
    }

    private func doubt(
        _ delivery: DeliveryReport, _ comparison: ComparisonReport?, _ latency: Latency?,
        _ minimumSamples: Int
    ) -> String? {
        let counts = delivery.counts
        if counts.expected == 0 { return "No traffic: nothing was expected to be delivered." }
        if counts.expected < minimumSamples {
            return "Too few samples: \(counts.expected) deliveries expected, "
                + "\(minimumSamples) needed."
        }
        if let limit = self[.corrupted], delivery.unverified > 0,
            counts.unexplained.corrupted + delivery.unverified > limit
        {
            return "\(delivery.unverified) contents in shared memory were read without comparing "
                + "their digests ('checksum: verify' compares them): whether they were altered is "
                + "not known."
        }
        if delivery.refused > 0 {
            return
                "\(delivery.refused) messages could not be sent: what their receivers should have "
                + "got is not known."
        }
        if let limit = self[.lost], delivery.unreadUnexplained > 0,
            counts.unexplained.lost + delivery.unreadUnexplained > limit
        {
            return "\(delivery.unreadUnexplained) contents in shared memory were not read by those "
                + "to whom they were delivered: whether they could be is not known."
        }
        if delivery.pending > 0 {
            return "Not drained: \(delivery.pending) deliveries were still pending."
        }
        if Self.comparisonClasses.contains(where: { self[$0] != nil }) {
            // A step without a parallel run has nothing to compare, and a limit on it is idle.
            if let comparison, comparison.counts.total < max(1, minimumSamples) {
                return "Too few samples: \(comparison.counts.total) envelopes compared, "
                    + "\(max(1, minimumSamples)) needed."
            }
            if let undecidable = comparison?.counts[.undecidable], undecidable > 0 {
                return "\(undecidable) comparisons are undecidable."
            }
        }
        if !ratios.isEmpty {
            // As above: a step on one transport has no ratio.
            if let latency, !hasSamples(latency, minimumSamples) {
                return "Too few samples to compare latencies: "
                    + "\(latency.transports["zmq"]?.count ?? 0) on ZeroMQ, "
                    + "\(latency.transports["nats"]?.count ?? 0) on NATS, "
                    + "\(max(1, minimumSamples)) needed."
            }
        }
        return nil
    }
}

/// Numbers as text without Foundation.
enum Decimals {
    static func two(_ number: Double) -> String {
        guard number.isFinite, number.magnitude < 1e15 else { return number.description }
        let hundredths = Int64((number * 100).rounded())
        let digits = String(hundredths.magnitude % 100)
        return (hundredths < 0 ? "-" : "") + String(hundredths.magnitude / 100) + "."
            + (digits.count < 2 ? "0" : "") + digits
    }
}
