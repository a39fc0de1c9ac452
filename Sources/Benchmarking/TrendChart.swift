internal import Foundation

extension BenchTrend {
    /// One small chart a metric, as one SVG file without scripts, for light and dark screens.
    public var svg: String {
        let columns = series.count == 1 ? 1 : 2
        let rows = (series.count + columns - 1) / columns
        let gap = 16.0
        let width = Double(columns) * (TrendChart.width + gap) + gap
        let top = 70.0
        let height = top + Double(rows) * (TrendChart.height + gap) + 8
        let times = series.flatMap { $0.points.map(\.time) }
        let span = (times.min() ?? 0)...(times.max() ?? 0)
        let charts = series.enumerated().map { index, series in
            let x = gap + Double(index % columns) * (TrendChart.width + gap)
            let y = top + Double(index / columns) * (TrendChart.height + gap)
            return
                "<g transform=\"translate(\(TrendChart.text(x)),\(TrendChart.text(y)))\">\n"
                + TrendChart(series, times: span).svg + "</g>\n"
        }
        let size = "\(TrendChart.text(width)) \(TrendChart.text(height))"
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(size)" \
            width="\(TrendChart.text(width))" height="\(TrendChart.text(height))" role="img">
            <title>synmesh bench: trend</title>
            <style>\(TrendChart.style)</style>
            <rect class="page" width="100%" height="100%"/>
            <text class="head" x="\(TrendChart.text(gap))" y="26">synmesh bench</text>
            <text class="note" x="\(TrendChart.text(gap))" y="44">dot: median; bar: least to \
            greatest; hollow: a quick run</text>
            <text class="note" x="\(TrendChart.text(gap))" y="58">dashed: the target, which is missed \
            in the shaded part</text>

            """ + charts.joined() + "</svg>\n"
    }
}

/// A chart of one metric over time.
struct TrendChart {
    static let width = 440.0
    static let height = 210.0
    /// Where the values are drawn, inside of the chart.
    private static let plot = (left: 56.0, top: 46.0, right: 424.0, bottom: 178.0)

    private let series: BenchTrend.Series
    private let times: ClosedRange<Double>
    private let domain: ClosedRange<Double>
    private let ticks: [Double]

    init(_ series: BenchTrend.Series, times: ClosedRange<Double>) {
        self.series = series
        self.times = times
        (domain, ticks) = Self.scale(
            series.points.flatMap { [$0.spread.lowerBound, $0.spread.upperBound] }
                // A line at the very edge is not seen.
                + [series.target.bound.map { $0 * 1.02 }].compactMap { $0 })
    }

    /// Round numbers that hold all values, and from nought where that costs little.
    static func scale(_ values: [Double]) -> (domain: ClosedRange<Double>, ticks: [Double]) {
        var (low, high) = (values.min() ?? 0, values.max() ?? 1)
        if low >= 0, low <= high * 0.6 { low = 0 }
        if high <= low {
            high = low + max(abs(low) * 0.1, 1)
            if low > 0 { low = max(0, low - (high - low)) }
        }
        let rough = (high - low) / 4
        let power = pow(10, floor(log10(rough)))
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999 } ?? rough
        let (first, last) = (floor(low / step * 1.0001), ceil(high / step * 0.9999))
        let ticks = stride(from: first, through: last, by: 1).map { $0 * step }
        return (first * step...last * step, ticks)
    }

    var svg: String {
        let target = series.target.description
        let subtitle =
            (series.isRatio ? "ours / reference" : series.unit)
            + (target.isEmpty ? "" : ", target \(target)")
        let latest = series.points[series.points.count - 1]
        let value = Statistics.text(latest.value) + (series.isRatio ? "x" : " \(series.unit)")
        var parts = [
            "<rect class=\"card\" width=\"\(Self.text(Self.width))\" "
                + "height=\"\(Self.text(Self.height))\" rx=\"6\"/>",
            "<text class=\"title\" x=\"12\" y=\"20\">\(Self.escaped(series.metric))</text>",
            "<text class=\"note\" x=\"12\" y=\"35\">\(Self.escaped(subtitle))</text>",
            "<text class=\"\(latest.met == false ? "latest missed" : "latest")\" x=\"428\" y=\"20\""
                + " text-anchor=\"end\">\(Self.escaped(value))</text>",
        ]
        parts += gridParts + targetParts + timeParts
        parts.append(contentsOf: pointParts)
        return parts.joined(separator: "\n") + "\n"
    }

    // MARK: Parts

    private var gridParts: [String] {
        ticks.flatMap { tick in
            [
                "<line class=\"grid\" x1=\"\(Self.text(Self.plot.left))\" x2=\"\(Self.text(Self.plot.right))\""
                    + " y1=\"\(y(tick))\" y2=\"\(y(tick))\"/>",
                "<text class=\"tick\" x=\"\(Self.text(Self.plot.left - 6))\" y=\"\(Self.text(height(tick) + 3.5))\""
                    + " text-anchor=\"end\">\(Self.short(tick))</text>",
            ]
        }
    }

    /// The target, and the part of the chart in which it is missed.
    private var targetParts: [String] {
        guard let bound = series.target.bound else { return [] }
        let isLeast: Bool
        switch series.target {
        case .ratioAtLeast, .atLeast: isLeast = true
        case .ratioAtMost, .atMost, .none: isLeast = false
        }
        let line = height(bound)
        let (from, to) = isLeast ? (line, Self.plot.bottom) : (Self.plot.top, line)
        return [
            "<rect class=\"bad\" x=\"\(Self.text(Self.plot.left))\" y=\"\(Self.text(from))\""
                + " width=\"\(Self.text(Self.plot.right - Self.plot.left))\""
                + " height=\"\(Self.text(max(0, to - from)))\"/>",
            "<line class=\"target\" x1=\"\(Self.text(Self.plot.left))\" x2=\"\(Self.text(Self.plot.right))\""
                + " y1=\"\(Self.text(line))\" y2=\"\(Self.text(line))\"/>",
        ]
    }

    private var timeParts: [String] {
        let span = times.upperBound - times.lowerBound
        let marks: [(time: Double, anchor: String)] =
            span == 0
            ? [(times.lowerBound, "middle")]
            : [
                (times.lowerBound, "start"), (times.lowerBound + span / 2, "middle"),
                (times.upperBound, "end"),
            ]
        return marks.map { mark in
            "<text class=\"tick\" x=\"\(Self.text(x(mark.time)))\" y=\"\(Self.text(Self.plot.bottom + 20))\""
                + " text-anchor=\"\(mark.anchor)\">\(Self.date(mark.time, span: span))</text>"
        }
    }

    private var pointParts: [String] {
        let line = series.points.map { "\(Self.text(x($0.time))),\(y($0.value))" }
        var parts = ["<polyline class=\"line\" points=\"\(line.joined(separator: " "))\"/>"]
        for point in series.points {
            let x = Self.text(x(point.time))
            parts.append(
                "<line class=\"bar\" x1=\"\(x)\" x2=\"\(x)\" y1=\"\(y(point.spread.lowerBound))\""
                    + " y2=\"\(y(point.spread.upperBound))\"/>")
            let classes =
                ["dot"] + (point.met == false ? ["miss"] : []) + (point.isQuick ? ["quick"] : [])
            let words =
                "run \(point.number), \(KeptRun.text(of: point.time)): \(Statistics.text(point.value))"
                + (series.isRatio ? "x" : " \(series.unit)")
            parts.append(
                "<circle class=\"\(classes.joined(separator: " "))\" cx=\"\(x)\" cy=\"\(y(point.value))\""
                    + " r=\"3.5\"><title>\(Self.escaped(words))</title></circle>")
        }
        return parts
    }

    // MARK: Places

    private func x(_ time: Double) -> Double {
        let span = times.upperBound - times.lowerBound
        let (left, right) = (Self.plot.left + 10, Self.plot.right - 10)
        guard span > 0 else { return (left + right) / 2 }
        return left + (time - times.lowerBound) / span * (right - left)
    }

    private func height(_ value: Double) -> Double {
        let share = (value - domain.lowerBound) / (domain.upperBound - domain.lowerBound)
        return Self.plot.bottom - share * (Self.plot.bottom - Self.plot.top)
    }

    private func y(_ value: Double) -> String { Self.text(height(value)) }

    // MARK: Texts

    static func text(_ number: Double) -> String {
        let rounded = (number * 10).rounded() / 10
        return rounded == rounded.rounded() ? String(Int(rounded)) : String(rounded)
    }

    /// A number beside an axis.
    static func short(_ number: Double) -> String {
        switch abs(number) {
        case 1_000_000...: Statistics.text(number / 1_000_000) + "M"
        case 10_000...: Statistics.text(number / 1_000) + "k"
        default: Statistics.text(number)
        }
    }

    private static func date(_ time: Double, span: Double) -> String {
        // `2026-11-24T15:02:11Z`
        let text = KeptRun.text(of: time)
        let (day, clock) = (text.prefix(10), text.dropFirst(11).prefix(5))
        switch span {
        case ..<86_400: return span == 0 ? "\(day) \(clock)" : String(clock)
        case ..<(4 * 86_400): return "\(day.dropFirst(5)) \(clock)"
        default: return String(day)
        }
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    static let style = """
        svg{--page:#fff;--card:#f7f8fa;--edge:#d9dde3;--ink:#1b1f24;--soft:#5b6470;--grid:#e3e6ea;\
        --line:#2563a8;--bar:#2563a8;--bad:#c0392b;--aim:#7a5c00;font-family:system-ui,sans-serif}
        @media(prefers-color-scheme:dark){svg{--page:#14171a;--card:#1c2126;--edge:#333a42;\
        --ink:#e8eaed;--soft:#a2abb6;--grid:#2b3138;--line:#6cb0f5;--bar:#6cb0f5;--bad:#ff7b6b;\
        --aim:#e2b93b}}
        .page{fill:var(--page)}.card{fill:var(--card);stroke:var(--edge)}
        .head{fill:var(--ink);font-size:18px;font-weight:600}
        .title{fill:var(--ink);font-size:13px;font-weight:600}
        .latest{fill:var(--ink);font-size:13px;font-weight:600}.missed{fill:var(--bad)}
        .note{fill:var(--soft);font-size:11px}.tick{fill:var(--soft);font-size:10px}
        .grid{stroke:var(--grid);stroke-width:1}
        .target{stroke:var(--aim);stroke-width:1.5;stroke-dasharray:5 4}
        .bad{fill:var(--bad);opacity:.09}
        .line{fill:none;stroke:var(--line);stroke-width:1.5;opacity:.75}
        .bar{stroke:var(--bar);stroke-width:2;opacity:.35}
        .dot{fill:var(--line);stroke:var(--line);stroke-width:1.5}
        .miss{fill:var(--bad);stroke:var(--bad)}.quick{fill:var(--card)}

        """
}
