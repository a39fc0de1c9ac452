import Analysis
import ArgumentParser
import Glibc
import Histories
import JSON
import Quantities
import Reporting
import Scenarios

struct Runs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List, compare and prune the runs of a logs' folder.",
        subcommands: [RunsList.self, RunsCompare.self, RunsPrune.self],
        defaultSubcommand: RunsList.self)
}

/// Which runs are meant.
struct RunChoice: ParsableArguments {
    @Option(help: "The folder of logs.", completion: .directory)
    var logs = "logs"

    @Option(help: ArgumentHelp("Only of this name; '*' stands for anything.", valueName: "name"))
    var name: [String] = []

    @Option(
        help: ArgumentHelp("Only with this verdict.", valueName: "verdict"), transform: named)
    var verdict: Judgement?

    @Option(
        help: ArgumentHelp("Only whose reason has this text in it.", valueName: "text"))
    var reason: String?

    @Flag(help: "Only that did not end as expected.")
    var unexpected = false

    @Option(help: ArgumentHelp("Only the last so many.", valueName: "count"))
    var last: Int?

    var runs: [RunEntry] {
        let chosen = RunList.runs(in: logs, now: time(nil)).filter { run in
            (name.isEmpty || name.contains { fnmatch($0, run.name, 0) == 0 })
                && (verdict.map { run.verdict?.verdict == $0 } ?? true)
                && (reason.map { run.verdict?.reason.contains($0) ?? false } ?? true)
                && (!unexpected || run.verdict.map { !$0.isAsExpected } ?? true)
        }
        return Array(chosen.suffix(last ?? .max))
    }

    func validate() throws {
        if let last, last < 1 { throw ValidationError("--last is at least 1.") }
    }
}

struct RunsList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List runs, the oldest first (default).",
        discussion:
            "What is said is read from the runs' directories; there is no index beside them.")

    @OptionGroup var choice: RunChoice

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let runs = choice.runs
        let text =
            json
            ? RunsReport.json(runs).canonical + "\n"
            : RunsReport.text(runs, colour: isColourful(descriptor: 1))
        writeOutput(Array(text.utf8))
    }
}

struct RunsCompare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Put the figures of runs of one name beside each other, the oldest first.")

    @OptionGroup var choice: RunChoice

    func run() throws {
        let runs = choice.runs.filter { $0.verdict != nil }
        guard Set(runs.map(\.name)).count <= 1 else {
            printError(
                "runs of several names are not compared; name one with --name: "
                    + Set(runs.map(\.name)).sorted().joined(separator: ", "))
            throw ExitStatus.badInput.code
        }
        let shown = Array(runs.suffix(8))
        if shown.count < runs.count {
            printError("the last \(shown.count) of \(runs.count) runs; --last chooses how many")
        }
        writeOutput(
            Array(RunsReport.comparison(shown, colour: isColourful(descriptor: 1)).utf8))
    }
}

struct RunsPrune: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Remove runs by age and size.",
        discussion: """
            The youngest of each name stay (--keep), and so does a run that is going on. Without --within \
            and --older-than nothing goes.
            """)

    @OptionGroup var choice: RunChoice

    @Option(help: ArgumentHelp("Remove what is older: 30d, 12h.", valueName: "age"))
    var olderThan: String?

    @Option(
        help: ArgumentHelp(
            "Remove the oldest until the rest is no larger: 500MB, 10GB.", valueName: "size"))
    var within: String?

    @Option(help: ArgumentHelp("Keep so many of each name.", valueName: "count"))
    var keep = 1

    @Flag(help: "Only say what would be removed.")
    var dryRun = false

    private var age: Int? {
        get throws {
            try olderThan.map { text in
                guard let age = Quantity.duration(text) else {
                    throw ValidationError("'--older-than' is a time such as 30d, 12h or 5m.")
                }
                return Int(age.components.seconds)
            }
        }
    }

    private var size: Int? {
        get throws {
            try within.map { text in
                guard let size = Quantity.bytes(text) else {
                    throw ValidationError("'--within' is a size such as 500MB or 10GiB.")
                }
                return size
            }
        }
    }

    func validate() throws {
        _ = (try age, try size)
        guard keep >= 0 else { throw ValidationError("--keep is at least 0.") }
    }

    func run() throws {
        let alive = Set(MeshRecord.all().filter(\.isAlive).map(\.run))
        let going = RunList.prunable(
            choice.runs, olderThan: try age, keeping: keep, within: try size, now: time(nil)
        ).filter { !alive.contains($0.run) }
        var isComplete = true
        for run in going {
            if !dryRun {
                do {
                    try RunList.remove(run)
                } catch {
                    printError("could not remove \(run.directory): \(error)")
                    isComplete = false
                    continue
                }
            }
            print("\(dryRun ? "would remove" : "removed") \(run.directory)")
        }
        if going.isEmpty { print("nothing to remove") }
        if !isComplete { throw ExitStatus.notAsExpected.code }
    }
}
