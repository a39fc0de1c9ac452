import ArgumentParser
import Benchmarking
import JSON

extension Bench {
    /// What has changed between two kept runs.
    struct Compare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what got better or worse between kept runs, and what cannot be said.",
            discussion: """
                A run is a file, a number, 'last' or 'last-N'; several, by commas, are one side. A \
                metric is better or worse where Mann and Whitney's test with its exact distribution \
                says so at 5 percent, all metrics considered, and the change is beyond the \
                threshold; it is the same where its 95 percent interval lies within the threshold; \
                else it cannot be told. Exit code 1 only where something got worse.
                """)

        @Argument(help: "The run that is compared with.")
        var before: String

        @Argument(help: "The run that is judged.")
        var after: String

        @Option(help: "The change that does not matter, as 5% or 0.05.")
        var threshold = Share(0.05)

        @Flag(help: "Print the comparison as JSON.")
        var json = false

        @OptionGroup var results: Results

        func run() throws {
            let comparison: BenchComparison
            do throws(Benchmarking.Bench.Failure) {
                comparison = BenchComparison(
                    try results.folder.runs(named: before), try results.folder.runs(named: after),
                    threshold: threshold.value)
            } catch {
                printError("synmesh: \(error)")
                throw ExitStatus.badInput.code
            }
            print(json ? comparison.json.canonical : comparison.text)
            if comparison.items.isEmpty {
                printError("synmesh: the runs have no metric in common")
                throw ExitStatus.badInput.code
            }
            if comparison.isWorse { throw ExitStatus.notAsExpected.code }
        }
    }

    /// A share as people write it.
    struct Share: ExpressibleByArgument {
        let value: Double

        init(_ value: Double) { self.value = value }

        init?(argument: String) {
            let isPercent = argument.hasSuffix("%")
            guard let number = Double(isPercent ? String(argument.dropLast()) : argument),
                number.isFinite, number >= 0
            else { return nil }
            value = isPercent ? number / 100 : number
        }

        var defaultValueDescription: String { "5%" }
    }
}
