internal import Foundation

/// How each metric has moved over the kept runs.
public struct BenchTrend: Sendable {
    /// One run of a metric.
    struct Point: Sendable, Hashable {
        /// The run's number.
        var number: Int
        /// Seconds since 1970.
        var time: Double
        var isQuick: Bool
        /// The median: of the ratios where the series has ratios, else of ours.
        var value: Double
        /// Least to greatest.
        var spread: ClosedRange<Double>
        var met: Bool?
        /// The medians of both sides.
        var ours: Double
        var reference: Double?
    }

    /// One metric over time.
    public struct Series: Sendable {
        let metric: String
        let unit: String
        let target: Row.Target
        /// Whether the values are ratios to the reference.
        let isRatio: Bool
        /// Oldest first; not empty.
        let points: [Point]

        /// What the values are in.
        var valueUnit: String { isRatio ? "x" : unit }
    }

    /// In the order in which the newest run that has them measured them.
    public let series: [Series]

    /// Makes the trend of some runs.
    ///
    /// - Parameters:
    ///   - runs: Oldest first; those of debug builds are left out.
    ///   - only: Parts of the names of the wanted metrics; empty is all.
    public init(_ runs: [KeptRun], only: [String]) {
        let runs = runs.filter { !$0.isDebugBuild }
        var metrics: [String] = []
        for run in runs.reversed() {
            for row in run.rows where !metrics.contains(row.metric) {
                if only.isEmpty || only.contains(where: row.metric.contains) {
                    metrics.append(row.metric)
                }
            }
        }
        let order = Bench.catalogue.flatMap { $0.metrics.map(\.name) }
        func place(_ metric: String) -> Int { order.firstIndex(of: metric) ?? order.count }
        let sorted = metrics.enumerated().sorted {
            (place($0.element), $0.offset) < (place($1.element), $1.offset)
        }
        series = sorted.compactMap { Self.series($0.element, runs) }
    }

    private static func series(_ metric: String, _ runs: [KeptRun]) -> Series? {
        guard let last = runs.last(where: { $0.row(metric) != nil })?.row(metric) else {
            return nil
        }
        // A row with an absolute target is drawn beside its target, whatever else it has.
        let isRatio = last.hasRatios && (last.target.isOfRatio || last.target == .none)
        let points = runs.compactMap { run -> Point? in
            guard let row = run.row(metric), !isRatio || row.hasRatios else { return nil }
            let values = isRatio ? row.samples : row.ours
            guard values.allSatisfy(\.isFinite), let least = values.min(),
                let greatest = values.max()
            else { return nil }
            return Point(
                number: run.number, time: run.time, isQuick: run.isQuick,
                value: Statistics.median(values), spread: least...greatest, met: row.met,
                ours: Statistics.median(row.ours),
                reference: row.reference.isEmpty ? nil : Statistics.median(row.reference))
        }
        guard !points.isEmpty else { return nil }
        return Series(
            metric: metric, unit: last.unit, target: last.target, isRatio: isRatio, points: points)
    }
}

extension BenchTrend {
    /// A line a metric: from the first run to the latest.
    public var text: String {
        let header = [
            "metric", "unit", "runs", "first", "latest", "least .. most", "target", "met", "",
        ]
        let lines = series.map { series in
            let values = series.points.map(\.value)
            let (first, latest) = (series.points[0], series.points[series.points.count - 1])
            return [
                series.metric, series.valueUnit, String(values.count),
                Statistics.text(first.value), Statistics.text(latest.value),
                "\(Statistics.text(values.min() ?? 0)) .. \(Statistics.text(values.max() ?? 0))",
                series.target.description, latest.met.map { $0 ? "yes" : "NO" } ?? "",
                Self.sparkline(values),
            ]
        }
        return BenchTable.aligned([header] + lines, textColumns: [0, 1, 6, 7, 8])
    }

    /// A table a metric, a line a run.
    public var textRunByRun: String {
        series.map { series in
            let header = ["run", "date", "", "ours", "reference", "value", "least .. most", "met"]
            let lines = series.points.map { point in
                [
                    String(point.number), KeptRun.text(of: point.time), point.isQuick ? "q" : "",
                    Statistics.text(point.ours), point.reference.map(Statistics.text) ?? "",
                    "\(Statistics.text(point.value))\(series.isRatio ? "x" : "")",
                    "\(Statistics.text(point.spread.lowerBound)) .. "
                        + Statistics.text(point.spread.upperBound),
                    point.met.map { $0 ? "yes" : "NO" } ?? "",
                ]
            }
            let target = series.target.description
            return "\(series.metric), \(series.unit)\(target.isEmpty ? "" : ", target \(target)")\n"
                + BenchTable.aligned([header] + lines, textColumns: [1, 2, 7])
        }.joined(separator: "\n\n")
    }

    /// The latest 24 values as blocks of eight heights.
    static func sparkline(_ values: [Double]) -> String {
        let shown = values.suffix(24)
        guard let least = shown.min(), let most = shown.max(), shown.count > 1 else { return "" }
        let blocks = Array("▁▂▃▄▅▆▇█")
        return String(
            shown.map { value in
                most == least ? blocks[3] : blocks[Int((value - least) / (most - least) * 7.999)]
            })
    }
}
