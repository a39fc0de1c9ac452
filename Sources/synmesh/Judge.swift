import Analysis
import ArgumentParser
import Checkers
import Foundation
import Histories
import JSON
import Recording
import Reporting

struct Judge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Judge what a run has left, with checkers of one's choice.",
        discussion: """
            The checkers:

            \(Checkers.forms.map { "  \($0.form)\n      \($0.meaning)" }.joined(separator: "\n"))

            A command reads a JSON line for each record from standard input, as 'history cat --json' \
            prints them, and prints {"verdict":"pass","reason":"..."}. A checker that crashes or cannot \
            decide is inconclusive. Exit code 0 when all pass, else 1.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var place: String

    @Option(
        name: [.customLong("check")],
        help: ArgumentHelp(
            "A checker; delivery, order and causal where none is named.", valueName: "checker"))
    var checks: [String] = []

    @Option(help: ArgumentHelp("How long a command may take.", valueName: "seconds"))
    var timeout = 60

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard timeout > 0 else { throw ValidationError("--timeout is at least 1.") }
        for check in checks {
            do throws(CheckerNameError) {
                _ = try Checkers.named(check)
            } catch {
                throw ValidationError(error.description)
            }
        }
    }

    func run() throws {
        let files = try historyFiles(place)
        var outcomes: [(part: String, outcome: CheckOutcome)] = []
        for part in files.parts {
            let named = checks.isEmpty ? ["delivery", "order", "causal"] : checks
            let scope = try scope(of: part)
            let found = try orBadInput { () throws(HistoryError) in
                try Checkers.outcomes(
                    of: named, on: part.paths, in: scope,
                    limits: CommandLimits(time: .seconds(timeout)))
            }
            outcomes += found.map { (part.name, $0) }
        }
        let text =
            json
            ? CheckReport.json(outcomes).canonical + "\n"
            : CheckReport.text(outcomes, colour: isColourful(descriptor: 1))
        writeOutput(Array(text.utf8))
        if outcomes.contains(where: { $0.outcome.verdict != .pass }) {
            throw ExitStatus.notAsExpected.code
        }
    }

    /// What the run has left of what was expected of whom.
    private func scope(of part: HistoryFiles.Part) throws -> DeliveryScope {
        guard let data = FileManager.default.contents(atPath: place + "/scope.json") else {
            return DeliveryScope()
        }
        guard let value = try? Value(parsing: Array(data)), var scope = DeliveryScope(json: value)
        else {
            printError("\(place)/scope.json: cannot be read; was it edited?")
            throw ExitStatus.badInput.code
        }
        // In the meshes of twins nothing was broken.
        if !part.name.isEmpty { scope.faults = [] }
        return scope
    }
}
