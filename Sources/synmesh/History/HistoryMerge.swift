import ArgumentParser
import Histories
import Recording

struct HistoryMerge: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Write one sealed history of several, in the order of recording.",
        discussion: """
            Each record keeps the process that recorded it. The clocks of one run compare; those of \
            two machines or runs do not, and neither does the order of what they recorded. Exit code 1 \
            when a file was damaged: what could be read is in the new one.
            """)

    @Argument(
        help: "Runs' directories, directories of histories, or histories.", completion: .file())
    var places: [String]

    @Option(
        name: .shortAndLong, help: "The file to write; it must not exist.", completion: .file())
    var output: String

    @Option(help: "Whose history the new one is.")
    var process = "merged"

    func run() throws {
        var paths: [String] = []
        for place in places { paths += try historyFiles(place).paths }
        let outcome = try orBadInput { () throws(HistoryError) in
            try HistoryShaping.merge(paths, to: output, process: process)
        }
        report(outcome)
        if !outcome.notes.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}
