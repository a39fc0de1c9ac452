import ArgumentParser
import Benchmarking
import JSON
import Scenarios
import Supervision

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the mesh against plain C programs that do the same job.",
        discussion: """
            Each row is ours beside the reference, run in turns, as the median of the ratios. Build \
            with optimisation first ('make build'): a debug build says nothing.
            """)

    @Option(help: "Only the suites whose name contains this (repeatable).")
    var only: [String] = []

    @Flag(help: "Fewer and smaller runs: an impression within a minute.")
    var quick = false

    @Flag(help: "Print the rows as a JSON array.")
    var json = false

    @Option(help: "The folder that logs are written to.", completion: .directory)
    var logs = "logs"

    func run() async throws {
        guard let guardian = Synmesh.guardian else { throw ExitStatus.defect.code }
        var options = Benchmarking.Bench.Options()
        options.only = only
        options.isQuick = quick
        options.logs = logs
        options.progress = { printError($0) }
        let rows: [Row]
        do {
            let measuring = Task { [options] in
                try await Benchmarking.Bench(guardian: guardian, options: options).run()
            }
            let interruptions = try Interruptions()
            await interruptions.watch {
                measuring.cancel()
            } again: {
                measuring.cancel()
            }
            rows = try await measuring.value
        } catch let failure as Benchmarking.Bench.Failure {
            printError("synmesh: \(failure)")
            throw ExitStatus.environment.code
        } catch {
            printError("synmesh: \(error)")
            throw ExitStatus(for: error).code
        }
        print(json ? Value.array(rows.map(\.json)).canonical : BenchTable(rows).text)
        if rows.contains(where: { $0.met == false }) { throw ExitStatus.notAsExpected.code }
    }
}
