import Testing

@testable import Benchmarking

@Suite("What has changed between runs")
struct ComparisonTests {
    private static let steady = [0.97, 0.98, 0.99, 1.00, 1.01, 1.02, 1.03]
    private static let calm = [0.997, 0.998, 0.999, 1.000, 1.001, 1.002, 1.003]

    private static func run(
        _ ratios: [Double], target: Row.Target = .ratioAtLeast(0.9), metric: String = "a"
    ) -> KeptRun {
        KeptRun(
            [
                Row(
                    metric, unit: "1/s", ours: ratios.map { $0 * 1_000 },
                    reference: ratios.map { _ in 1_000 }, target: target)
            ], version: "0", isQuick: false)
    }

    struct Case: Sendable {
        let name: String
        let before: [Double]
        let after: [Double]
        var target = Row.Target.ratioAtLeast(0.9)
        let verdict: BenchComparison.Verdict
    }

    @Test(
        "a verdict is given where the figures carry it, and only there",
        arguments: [
            Case(
                name: "a fall of a fifth", before: steady, after: steady.map { $0 * 0.8 },
                verdict: .worse),
            Case(
                name: "a rise of a fifth", before: steady, after: steady.map { $0 * 1.2 },
                verdict: .better),
            Case(
                name: "a rise where less is better", before: steady,
                after: steady.map { $0 * 1.2 }, target: .ratioAtMost(1.5), verdict: .worse),
            Case(name: "the same, calm", before: calm, after: calm, verdict: .same),
            Case(
                name: "a real change below the threshold", before: calm,
                after: calm.map { $0 * 1.02 }, verdict: .same),
            Case(
                name: "noise", before: [0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7],
                after: [0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8], verdict: .unknown),
            Case(
                name: "three runs beside three, however far apart", before: [1, 1.01, 1.02],
                after: [0.5, 0.51, 0.52], verdict: .unknown),
            Case(
                name: "four beside four, far apart", before: [1, 1.01, 1.02, 1.03],
                after: [0.5, 0.51, 0.52, 0.53], verdict: .worse),
            Case(name: "one beside one", before: [1], after: [0.2], verdict: .unknown),
        ])
    func verdicts(_ example: Case) throws {
        let comparison = BenchComparison(
            [Self.run(example.before, target: example.target)],
            [Self.run(example.after, target: example.target)], threshold: 0.05)
        let item = try #require(comparison.items.first)
        #expect(item.verdict == example.verdict, "\(example.name): \(comparison.text)")
        #expect(item.reason.isEmpty == (example.verdict != .unknown))
        #expect(comparison.isWorse == (example.verdict == .worse))
    }

    @Test("a promise of nothing lost is no matter of chance")
    func promises() throws {
        func run(_ lost: Double) -> KeptRun {
            KeptRun(
                [Row("lost", unit: "messages", ours: [lost], target: .atMost(0))], version: "0",
                isQuick: true)
        }
        for (before, after, verdict) in [
            (0.0, 0.0, BenchComparison.Verdict.same), (0, 1, .worse), (1, 0, .better),
            (1, 2, .unknown),
        ] {
            let comparison = BenchComparison([run(before)], [run(after)], threshold: 0.05)
            #expect(comparison.items.first?.verdict == verdict)
        }
    }

    @Test("among many metrics, one that differs a little by chance is not called worse")
    func manyMetrics() throws {
        func row(_ number: Int, _ ratios: [Double]) -> Row {
            Row(
                "metric \(number)", unit: "1/s", ours: ratios, reference: ratios.map { _ in 1 },
                target: .ratioAtLeast(0.9))
        }
        let noisy = [0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
        // By itself this one is at p = 0.038.
        let odd = [0.62, 0.68, 0.69, 0.75, 0.79, 0.85, 1.05]
        let alone = BenchComparison(
            [KeptRun([row(0, noisy)], version: "0", isQuick: false)],
            [KeptRun([row(0, odd)], version: "0", isQuick: false)], threshold: 0.05)
        #expect(alone.isWorse, "\(alone.text)")
        let others = (1..<30).map { row($0, noisy) }
        let among = BenchComparison(
            [KeptRun([row(0, noisy)] + others, version: "0", isQuick: false)],
            [KeptRun([row(0, odd)] + others, version: "0", isQuick: false)], threshold: 0.05)
        #expect(!among.isWorse)
        #expect(among.items[0].reason.contains("chance"))
    }

    @Test("from four runs a side on, a run is one figure")
    func groups() throws {
        // Each run agrees with itself; the runs do not agree with each other.
        let before = [0.9, 1.0, 1.1, 1.2].map { level in Self.run(Self.calm.map { $0 * level }) }
        let after = [0.85, 0.95, 1.05, 1.15].map { level in Self.run(Self.calm.map { $0 * level }) }
        let comparison = BenchComparison(before, after, threshold: 0.05)
        #expect(comparison.items.first?.verdict == .unknown, "\(comparison.text)")
    }

    @Test("what differs beside the code is said, and metrics of one side only")
    func notes() {
        var other = Self.run(Self.steady, metric: "b")
        other.isQuick = true
        other.host.kernel = "another"
        let notes = BenchComparison([Self.run(Self.steady)], [other], threshold: 0.05).notes
            .joined(separator: "\n")
        #expect(notes.contains("quick"))
        #expect(notes.contains("kernel"))
        #expect(notes.contains("only in the first: a"))
        #expect(notes.contains("only in the second: b"))
    }
}
