import ArgumentParser
import Histories
import Recording

struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Look at what was recorded, and keep it in order.",
        discussion: """
            A place is a run's directory, as logs/NAME/latest, a directory of .mcap files, or one of \
            them. Files may still be written.
            """,
        subcommands: [
            HistoryInfo.self, HistoryCat.self, HistoryRoutes.self, HistoryVerify.self,
            HistorySeal.self,
            HistoryRecover.self, HistoryMerge.self, HistorySplit.self,
            HistoryExportCommand.self,
        ])
}

/// The histories at a place, or an error for people and exit code 2.
func historyFiles(_ place: String) throws -> HistoryFiles {
    try orBadInput { () throws(HistoryError) in try HistoryFiles(place) }
}

/// What reads histories: an error is printed, and ends with exit code 2.
func orBadInput<Outcome>(
    _ body: () throws(HistoryError) -> Outcome
) throws -> Outcome {
    do throws(HistoryError) {
        return try body()
    } catch {
        printError("\(error)")
        throw ExitStatus.badInput.code
    }
}
