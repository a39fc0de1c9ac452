import ArgumentParser
import Histories
import Recording

struct HistorySeal: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Give histories chunks with checksums, an index and a summary.",
        discussion: """
            A sealed history says the same in the same order; damage in it is found, and MCAP tools can \
            search it. One that is sealed already is left as it is, and so is one that is still written \
            or damaged: exit code 1.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var places: [String]

    func run() throws {
        var isWhole = true
        for place in places {
            for path in try historyFiles(place).paths {
                do throws(HistoryError) {
                    try HistorySealing.seal(path: path)
                } catch {
                    printError("\(error)")
                    isWhole = false
                }
            }
        }
        if !isWhole { throw ExitStatus.notAsExpected.code }
    }
}
