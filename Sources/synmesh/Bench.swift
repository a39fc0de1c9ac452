import ArgumentParser
import Benchmarking
import JSON
import Scenarios
import Supervision

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the mesh against plain C programs that do the same job.",
        discussion: """
            Each row is ours beside the reference, run in turns, as the median of the ratios; '+-' is \
            half of least to greatest, in percent of the median. Build with optimisation first \
            ('make build'): a debug build says nothing. Documentation/benchmarks.md says what each \
            row measures.
            """,
        subcommands: [Measure.self, Trend.self, Compare.self],
        defaultSubcommand: Measure.self)

    /// Where runs are kept.
    struct Results: ParsableArguments {
        @Option(help: "The folder that runs are kept in.", completion: .directory)
        var results = ResultsFolder.pathDefault

        var folder: ResultsFolder { ResultsFolder(results) }
    }
}

extension Bench {
    /// `synmesh bench` without another word.
    struct Measure: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "measure", abstract: "Measure, print the table and keep the run (default)."
        )

        @Option(help: "Only the suites and metrics whose name contains this (repeatable).")
        var only: [String] = []

        @Flag(help: "Fewer and smaller runs: an impression within a minute.")
        var quick = false

        @Option(help: "How often each measurement is made (default: 7, or up to 3 with --quick).")
        var runs: Int?

        @Flag(help: "Print the rows as a JSON array.")
        var json = false

        @Flag(help: "Say what there is to measure, and measure nothing.")
        var list = false

        @Flag(name: .customLong("no-keep"), help: "Do not keep the run.")
        var isNotKept = false

        @OptionGroup var results: Results

        @Option(help: "The folder that logs are written to.", completion: .directory)
        var logs = "logs"

        func validate() throws {
            if let runs, !(1...100).contains(runs) {
                throw ValidationError("'--runs' is \(runs), not 1 through 100")
            }
        }

        func run() async throws {
            if list { return print(BenchCatalogue.text) }
            if Benchmarking.Bench.isDebugBuild {
                printError(
                    "warning: this is a debug build, and its figures say nothing: "
                        + "'make build', then .build/release/synmesh bench")
            }
            let outcome = try await measure()
            let run = KeptRun(
                outcome.rows, version: Synmesh.configuration.version, isQuick: quick)
            if !outcome.rows.isEmpty {
                if !isNotKept { try keep(run) }
                print(
                    json
                        ? Value.array(outcome.rows.map(\.json)).canonical
                        : BenchTable(outcome.rows).text)
            }
            for failure in outcome.failures { printError("synmesh: could not measure \(failure)") }
            if !outcome.failures.isEmpty { throw ExitStatus.environment.code }
            if outcome.rows.contains(where: { $0.met == false }) {
                throw ExitStatus.notAsExpected.code
            }
        }

        private func keep(_ run: KeptRun) throws {
            do throws(Benchmarking.Bench.Failure) {
                printError("bench: kept as \(try results.folder.keep(run))")
            } catch {
                // The figures are worth more than their file.
                printError("warning: \(error)")
            }
        }

        private func measure() async throws -> Benchmarking.Bench.Outcome {
            guard let guardian = Synmesh.guardian else { throw ExitStatus.defect.code }
            var options = Benchmarking.Bench.Options()
            options.only = only
            options.isQuick = quick
            options.runs = runs
            options.logs = logs
            options.progress = { printError($0) }
            do {
                let measuring = Task { [options] in
                    try await Benchmarking.Bench(guardian: guardian, options: options).run()
                }
                let interruptions = try Interruptions()
                await interruptions.watch {
                    measuring.cancel()
                } again: {
                    // The guardian takes what is still there.
                    ExitStatus.interrupted.end()
                }
                return try await measuring.value
            } catch let failure as Benchmarking.Bench.Failure {
                printError("synmesh: \(failure)")
                throw ExitStatus.environment.code
            } catch {
                if !(error is CancellationError) { printError("synmesh: \(error)") }
                throw ExitStatus(for: error).code
            }
        }
    }
}
