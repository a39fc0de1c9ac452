import ArgumentParser
import Histories
import Recording

struct HistoryVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read every byte of histories, and say what is wrong with them.",
        discussion: """
            Checksums, structure, order of recording, and whether a sealed history's summary says what \
            stands in it. Exit code 0 when nothing is wrong, else 1.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var places: [String]

    func run() throws {
        var isWhole = true
        for place in places {
            for path in try historyFiles(place).paths {
                let examination = try orBadInput { () throws(HistoryError) in
                    try HistoryExamination(path: path)
                }
                print(
                    "\(path): \(examination.state.rawValue), \(examination.messageCount) messages"
                        + (examination.faults.isEmpty ? "" : ", damaged"))
                for fault in examination.faults { print("  \(fault)") }
                isWhole = isWhole && examination.faults.isEmpty
            }
        }
        if !isWhole { throw ExitStatus.notAsExpected.code }
    }
}
