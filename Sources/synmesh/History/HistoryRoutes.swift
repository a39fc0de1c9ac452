import ArgumentParser
import Histories
import JSON
import Recording
import Reporting

struct HistoryRoutes: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes",
        abstract: "Say where messages went, and what that suggests.",
        discussion: """
            What was sent counts; of senders that did not record, what was delivered. The advice is \
            about batching, high-water marks, shared memory, NATS's max_payload and topics; \
            Documentation/tuning.md has the figures behind it.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var place: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let files = try historyFiles(place)
        let routes = try orBadInput { () throws(HistoryError) in try Routes(paths: files.paths) }
        let report = RouteReport(routes, place: place)
        if json {
            print(report.json.canonical)
        } else {
            writeOutput(Array(report.text(colour: isColourful(descriptor: 1)).utf8))
        }
        for note in routes.notes { printError(note) }
        if !routes.notes.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}
