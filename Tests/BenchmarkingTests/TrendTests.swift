import Foundation
import Testing

@testable import Benchmarking

@Suite("The trend of kept runs")
struct TrendTests {
    private static func runs() -> [KeptRun] {
        (1...4).map { number in
            var run = KeptRun(
                [
                    Row(
                        "rate <a & b>", unit: "1/s", ours: [Double(number), Double(number) + 1],
                        reference: [2, 2], target: .ratioAtLeast(0.9)),
                    Row("resident", unit: "MB", ours: [12], target: .atMost(25)),
                ], version: "0", isQuick: number == 2)
            run.number = number
            run.time = 1_800_000_000 + Double(number) * 604_800
            run.isDebugBuild = number == 4
            return run
        }
    }

    @Test("a series has a point a run, without those of debug builds")
    func points() throws {
        let trend = BenchTrend(Self.runs(), only: [])
        #expect(trend.series.map(\.metric) == ["rate <a & b>", "resident"])
        let rate = trend.series[0]
        #expect(rate.isRatio)
        #expect(rate.points.map(\.number) == [1, 2, 3])
        #expect(rate.points.map(\.value) == [0.75, 1.25, 1.75])
        #expect(rate.points[0].spread == 0.5...1)
        #expect(rate.points.map(\.met) == [false, true, true])
        #expect(!trend.series[1].isRatio)
        #expect(BenchTrend(Self.runs(), only: ["resid"]).series.map(\.metric) == ["resident"])
        #expect(BenchTrend(Self.runs(), only: ["none"]).series.isEmpty)
    }

    @Test("the tables say each metric and each run")
    func tables() {
        let trend = BenchTrend(Self.runs(), only: [])
        #expect(trend.text.contains("rate <a & b>  x"))
        #expect(trend.text.contains("▁▄█"))
        #expect(trend.textRunByRun.contains("0.75x"))
        #expect(trend.textRunByRun.split(separator: "\n").count == 2 * 5)
    }

    @Test("the picture is XML without scripts, with a dot a run and a line for each target")
    func picture() throws {
        let svg = BenchTrend(Self.runs(), only: []).svg
        let parser = XMLProbe(svg)
        #expect(parser.isWellFormed)
        #expect(parser.count["circle"] == 6)
        #expect(parser.classes["target"] == 2)
        #expect(parser.classes["dot miss"] == 1)
        #expect(parser.classes["dot quick"] == 2)
        #expect(parser.count["script"] == nil)
        #expect(svg.contains("rate &lt;a &amp; b&gt;"))
        #expect(svg.contains("prefers-color-scheme:dark"))
    }

    @Test(
        "an axis has few round numbers that hold all values",
        arguments: [
            [0.91, 0.99], [1, 1], [0, 0], [0.001, 0.004], [812_000, 1_130_000], [5, 900], [-3, 4],
        ])
    func axes(_ values: [Double]) throws {
        let (domain, ticks) = TrendChart.scale(values)
        #expect(values.allSatisfy(domain.contains))
        #expect((2...8).contains(ticks.count), "\(ticks)")
        #expect(ticks.first == domain.lowerBound)
        #expect(ticks.last == domain.upperBound)
    }

    @Test("sparklines go from the least to the most")
    func sparklines() {
        #expect(BenchTrend.sparkline([1, 2, 3]) == "▁▄█")
        #expect(BenchTrend.sparkline([2, 2]) == "▄▄")
        #expect(BenchTrend.sparkline([2]) == "")
    }
}

/// Elements and classes of a well-formed text, by a scan that is enough for what we write.
private struct XMLProbe {
    var count: [String: Int] = [:]
    var classes: [String: Int] = [:]
    var isWellFormed = true

    init(_ text: String) {
        var open: [Substring] = []
        for part in text.split(separator: "<").dropFirst(text.hasPrefix("<") ? 0 : 1) {
            guard let end = part.firstIndex(of: ">") else {
                isWellFormed = false
                return
            }
            let tag = part[..<end]
            if tag.hasPrefix("/") {
                if open.popLast() != tag.dropFirst() { isWellFormed = false }
                continue
            }
            let name = tag.prefix { $0.isLetter }
            count[String(name), default: 0] += 1
            if let start = tag.firstRange(of: "class=\"")?.upperBound {
                classes[String(tag[start...].prefix { $0 != "\"" }), default: 0] += 1
            }
            if !tag.hasSuffix("/") { open.append(name) }
        }
        isWellFormed = isWellFormed && open.isEmpty
    }
}
