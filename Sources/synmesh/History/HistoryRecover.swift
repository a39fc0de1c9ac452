import ArgumentParser
import Histories
import Recording

struct HistoryRecover: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Write what can be read of a damaged history as a sealed one.",
        discussion: """
            What is intact before a damage is read, and every intact chunk. What was left out is said; \
            the damaged file stays as it is. Exit code 0 when a file was written, 1 when no message was left.
            """)

    @Argument(help: "The damaged history.", completion: .file(extensions: ["mcap"]))
    var damaged: String

    @Argument(help: "The file to write; it must not exist.", completion: .file())
    var output: String

    func run() throws {
        let outcome = try orBadInput { () throws(HistoryError) in
            try HistoryShaping.recover(damaged, to: output)
        }
        report(outcome)
        if outcome.files.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}

/// Says what was written, and on standard error what was not.
func report(_ outcome: HistoryRewriter.Outcome) {
    for file in outcome.files { print("\(file.path): \(file.messageCount) messages") }
    if outcome.files.isEmpty { print("nothing was written: no message was there to be") }
    for note in outcome.notes { printError(note) }
}
