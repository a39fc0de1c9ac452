import Analysis
import ArgumentParser
import JSON
import Recording
import Reporting

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare what two runs delivered, envelope by envelope.",
        discussion: "Exit code 0 when everything matches, 1 when anything differs.")

    @Argument(help: "The directory of a run.", completion: .directory)
    var left: String

    @Argument(help: "The directory of another.", completion: .directory)
    var right: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let (one, other) = (try loadHistories(left), try loadHistories(right))
        let report = Comparison.diff(left: one, right: other)
        let diff = DiffReport(report, left: left, right: right)
        print(json ? diff.json.canonical : diff.text(colour: isColourful(descriptor: 1)))
        // What a damaged history no longer says cannot match.
        let damages = (one + other).flatMap { history in
            history.notes.map { "\(history.process): \($0)" }
        }
        for damage in damages { printError(damage) }
        if !report.counts.isAllMatch || !damages.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}
