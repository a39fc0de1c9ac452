internal import Analysis
internal import Foundation
public import JSON

/// What has changed between two runs of the bench, or two groups of runs, and what cannot be said.
public struct BenchComparison: Sendable {
    /// What is said of a metric.
    public enum Verdict: String, Sendable {
        /// Better, by more than the threshold.
        case better
        /// Worse, by more than the threshold.
        case worse
        /// The same, within the threshold.
        case same = "no difference"
        /// The figures do not show it.
        case unknown = "cannot tell"
    }

    /// One metric.
    public struct Item: Sendable {
        /// The row's metric.
        public let metric: String
        /// What `before` and `after` are in: `x` for ratios to the reference.
        public let unit: String
        /// The median before.
        public let before: Double
        /// The median after.
        public let after: Double
        /// By what share it has grown; nil where that is nothing to ask.
        public var change: Double?
        /// Where the change lies, with 95 percent confidence.
        public var interval: ClosedRange<Double>?
        /// How likely chance alone shows such a difference, all metrics considered.
        public var probability: Double?
        /// What is said.
        public var verdict: Verdict
        /// Why no more can be said.
        public var reason = ""
    }

    /// The metrics that both sides have.
    public let items: [Item]
    /// What a reader must know before trusting them.
    public let notes: [String]

    /// How sure one must be to call something different.
    static let alpha = 0.05
    /// From so many runs a side on, a run counts as one figure: rounds of one run share its weather.
    static let runsForGroups = 4

    /// Compares.
    ///
    /// - Parameters:
    ///   - before: The runs of the one side; not empty.
    ///   - after: Those of the other.
    ///   - threshold: The share of change that does not matter.
    public init(_ before: [KeptRun], _ after: [KeptRun], threshold: Double) {
        let metrics = after.last.map { $0.rows.map(\.metric) } ?? []
        var items: [Item] = []
        for metric in metrics {
            let sides = [before, after].map { runs in runs.compactMap { $0.row(metric) } }
            guard let first = sides[0].last, let last = sides[1].last else { continue }
            items.append(Self.judge(sides, first, last))
        }
        // Whoever looks at fifty metrics finds a few that differ by chance.
        let tested = items.indices.filter { items[$0].probability != nil }
        let adjusted = RankTest.adjusted(tested.compactMap { items[$0].probability })
        for (index, probability) in zip(tested, adjusted) {
            items[index].probability = probability
            Self.conclude(&items[index], last: after.last?.row(items[index].metric), threshold)
        }
        self.items = items
        notes = Self.notes(before, after, metrics)
    }

    /// Whether something got worse.
    public var isWorse: Bool { items.contains { $0.verdict == .worse } }

    private static func judge(_ sides: [[Row]], _ first: Row, _ last: Row) -> Item {
        let isRatio = sides.allSatisfy { $0.allSatisfy(\.hasRatios) }
        func figures(_ row: Row) -> [Double] { isRatio ? row.samples : row.ours }
        let isByRun = sides.allSatisfy { $0.count >= runsForGroups }
        let samples = sides.map { rows in
            isByRun ? rows.map { Statistics.median(figures($0)) } : rows.flatMap(figures)
        }
        var item = Item(
            metric: last.metric, unit: isRatio ? "x" : last.unit,
            before: Statistics.median(samples[0]), after: Statistics.median(samples[1]),
            verdict: .unknown)
        if case .atMost(0) = last.target {
            // A promise: kept or not, and no matter of chance.
            switch (samples[0].allSatisfy { $0 <= 0 }, samples[1].allSatisfy { $0 <= 0 }) {
            case (true, true): item.verdict = .same
            case (true, false): item.verdict = .worse
            case (false, true): item.verdict = .better
            case (false, false): item.reason = "the promise is broken in both"
            }
            return item
        }
        guard samples.allSatisfy({ $0.allSatisfy { $0 > 0 && $0.isFinite } }) else {
            item.reason = "not all figures are above zero"
            return item
        }
        let logarithms = samples.map { $0.map { log($0) } }
        item.change = exp(RankTest.shift(logarithms[0], logarithms[1])) - 1
        let (n, m) = (samples[0].count, samples[1].count)
        guard RankTest.probabilityMin(n, m) <= alpha else {
            item.reason = "\(n) and \(m) figures are too few to show anything"
            return item
        }
        item.interval = RankTest.interval(logarithms[0], logarithms[1], alpha: alpha)
            .map { (exp($0.lowerBound) - 1)...(exp($0.upperBound) - 1) }
        item.probability = RankTest.probability(logarithms[0], logarithms[1])
        return item
    }

    private static func conclude(_ item: inout Item, last: Row?, _ threshold: Double) {
        guard let change = item.change, let interval = item.interval,
            let probability = item.probability
        else { return }
        // A fall to half weighs as much as a doubling.
        let least = 1 / (1 + threshold) - 1
        if interval.lowerBound >= least, interval.upperBound <= threshold {
            item.verdict = .same
        } else if probability <= alpha, change > threshold || change < least {
            guard let isMoreBetter = last?.isMoreBetter else {
                item.reason = "it differs, and nothing says which way is good"
                return
            }
            item.verdict = (change > 0) == isMoreBetter ? .better : .worse
        } else if probability <= alpha {
            item.reason = "it differs, perhaps by less than the threshold"
        } else if interval.contains(0) {
            item.reason = "too noisy"
        } else {
            item.reason = "one of many metrics: chance alone shows such a difference"
        }
    }

    private static func notes(
        _ before: [KeptRun], _ after: [KeptRun], _ metrics: [String]
    ) -> [String] {
        var notes: [String] = []
        let all = before + after
        if all.contains(where: \.isDebugBuild) {
            notes.append("a debug build is among them: its figures say nothing")
        }
        if Set(all.map(\.isQuick)).count > 1 {
            notes.append("quick runs beside full ones: they measure smaller sizes")
        }
        let hosts = Set(all.map(\.host))
        if hosts.count > 1 {
            var facts: [String] = []
            if Set(hosts.map(\.processors)).count > 1 { facts.append("number of processors") }
            if Set(hosts.map(\.processor)).count > 1 { facts.append("processor") }
            if Set(hosts.map(\.kernel)).count > 1 { facts.append("kernel") }
            for name in Set(hosts.flatMap(\.versions.keys)).sorted()
            where Set(hosts.map { $0.versions[name] }).count > 1 {
                facts.append(name)
            }
            notes.append("they differ in: \(facts.joined(separator: ", "))")
        }
        let there = Set(before.flatMap { $0.rows.map(\.metric) })
        let (gone, new) = (there.subtracting(metrics), Set(metrics).subtracting(there))
        if !gone.isEmpty {
            notes.append("only in the first: \(gone.sorted().joined(separator: "; "))")
        }
        if !new.isEmpty {
            notes.append("only in the second: \(new.sorted().joined(separator: "; "))")
        }
        return notes
    }
}

extension BenchComparison {
    /// The comparison as a person reads it.
    public var text: String {
        let header = ["metric", "unit", "before", "after", "change", "between", "", ""]
        let lines = items.map { item in
            [
                item.metric, item.unit, Statistics.text(item.before), Statistics.text(item.after),
                item.change.map(Self.percent) ?? "",
                item.interval.map {
                    "\(Self.percent($0.lowerBound)) .. \(Self.percent($0.upperBound))"
                } ?? "",
                item.verdict.rawValue, item.reason,
            ]
        }
        let table = BenchTable.aligned([header] + lines, textColumns: [0, 1, 6, 7])
        return (notes.map { "note: \($0)" } + [table]).joined(separator: "\n")
    }

    private static func percent(_ share: Double) -> String {
        let percent = (share * 1_000).rounded() / 10
        let sign = percent > 0 ? "+" : ""
        return abs(percent) >= 100
            ? "\(sign)\(Statistics.text(percent.rounded()))%" : "\(sign)\(percent)%"
    }

    /// The comparison for programs.
    public var json: Value {
        .array(
            items.map { item in
                [
                    "metric": .string(item.metric),
                    "unit": .string(item.unit),
                    "before": .double(item.before),
                    "after": .double(item.after),
                    "change": item.change.map(Value.double) ?? .null,
                    "interval": item.interval.map {
                        .array([.double($0.lowerBound), .double($0.upperBound)])
                    } ?? .null,
                    "probability": item.probability.map(Value.double) ?? .null,
                    "verdict": .string(item.verdict.rawValue),
                    "reason": .string(item.reason),
                ]
            })
    }
}
