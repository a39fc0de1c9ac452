import ArgumentParser
import Glibc
import Histories
import JSON
import Recording
import Reporting

struct HistoryInfo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Say what flows there are, how much, how fast, and what is missing.",
        discussion: """
            'lost' was sent and not delivered; where nobody can say, as for topics, it is '-'. 'gaps' \
            are sequences missing between the first and the last. A sealed history says it without \
            being read. Exit code 0; 1 where a file is damaged.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var place: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let files = try historyFiles(place)
        let summary = try orBadInput { () throws(HistoryError) in
            try HistorySummary(paths: files.paths)
        }
        let report = HistoryReport(
            summary, place: place, fileCount: files.paths.count,
            fileBytes: files.paths.reduce(0) { $0 + fileSize($1) })
        if json {
            print(report.json.canonical)
        } else {
            writeOutput(Array(report.text(colour: isColourful(descriptor: 1)).utf8))
        }
        if !summary.notes.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}

/// A file's length in bytes; 0 of what is not there.
func fileSize(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
}
