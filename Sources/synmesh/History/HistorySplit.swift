import Analysis
import ArgumentParser
import Glibc
import Histories
import Recording

struct HistorySplit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "split",
        abstract: "Take a recording apart, or a part out of it, into sealed histories.",
        discussion: """
            Without a division one file is written, of what was asked for. Exit code 1 when a file was \
            damaged: what could be read is in the new ones.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var place: String

    @Option(
        name: .shortAndLong, help: "The directory to write to; it is made.",
        completion: .directory)
    var output: String

    enum Whose: String, ExpressibleByArgument, CaseIterable {
        case agent, flow
    }

    @Option(help: ArgumentHelp("A file for each: agent or flow.", valueName: "what"))
    var by: Whose?

    @Option(help: ArgumentHelp("A file for so long: 60s, 500ms.", valueName: "duration"))
    var every: String?

    @Option(help: ArgumentHelp("A file for so many records.", valueName: "count"))
    var records: Int?

    @OptionGroup var selection: SelectionArguments

    private var division: HistoryShaping.Division {
        get throws {
            let count = [by != nil, every != nil, records != nil].count(where: \.self)
            guard count <= 1 else {
                throw ValidationError("One of --by, --every and --records is enough.")
            }
            if let records {
                guard records > 0 else { throw ValidationError("--records is at least 1.") }
                return .records(records)
            }
            if let every {
                guard case .afterStart(let length) = try SelectionArguments.moment(every),
                    length > 0
                else { throw ValidationError("'\(every)' is no duration, as 60s or 500ms.") }
                return .duration(length)
            }
            return switch by {
            case .agent: .agent
            case .flow: .flow
            case nil: .nothing
            }
        }
    }

    func validate() throws {
        _ = try division
        _ = try selection.selection
    }

    func run() throws {
        let paths = try historyFiles(place).paths
        let (division, chosen) = (try division, try selection.selection)
        guard mkdir(output, 0o755) == 0 || errno == EEXIST else {
            printError("could not make '\(output)': \(String(cString: strerror(errno)))")
            throw ExitStatus.environment.code
        }
        let outcome = try orBadInput { () throws(HistoryError) in
            try HistoryShaping.split(paths, into: output, by: division, selection: chosen)
        }
        report(outcome)
        if !outcome.notes.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}
