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
        // A file that is named twice is sealed once.
        var seen: Set<String> = []
        let paths = try places.flatMap { try historyFiles($0).paths }
            .filter { seen.insert($0).inserted }
        let failures = HistorySealing.seal(paths: paths)
        for failure in failures { printError("\(failure)") }
        if !failures.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}
