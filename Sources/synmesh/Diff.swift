import Analysis
import ArgumentParser
import JSON
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
        let report = Comparison.diff(
            left: try loadHistories(left), right: try loadHistories(right))
        let diff = DiffReport(report, left: left, right: right)
        print(json ? diff.json.canonical : diff.text(colour: isColourful(descriptor: 1)))
        if !report.counts.isAllMatch { throw ExitStatus.notAsExpected.code }
    }
}
