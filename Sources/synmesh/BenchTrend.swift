import ArgumentParser
import Benchmarking
import Foundation

extension Bench {
    /// Weeks of kept runs.
    struct Trend: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how metrics have moved over the kept runs, as a table and as SVG.",
            discussion: """
                Runs of debug builds are left out; quick ones are marked with 'q', and hollow in the \
                picture.
                """)

        @Argument(help: "Only the metrics whose name contains one of these, run by run.")
        var metrics: [String] = []

        @Option(help: "Also draw one small chart for each metric into this file.")
        var svg: String?

        @OptionGroup var results: Results

        func run() throws {
            let (runs, problems) = results.folder.runs()
            for problem in problems { printError("warning: \(problem)") }
            let trend = BenchTrend(runs, only: metrics)
            guard !trend.series.isEmpty else {
                printError(
                    "synmesh: \(results.results) has no kept run"
                        + (metrics.isEmpty ? "" : " with such a metric")
                        + "; 'synmesh bench' keeps one")
                throw ExitStatus.badInput.code
            }
            print(metrics.isEmpty ? trend.text : trend.textRunByRun)
            guard let svg else { return }
            do {
                try trend.svg.write(toFile: svg, atomically: true, encoding: .utf8)
            } catch {
                printError("synmesh: could not write \(svg): \(error.localizedDescription)")
                throw ExitStatus.environment.code
            }
        }
    }
}
