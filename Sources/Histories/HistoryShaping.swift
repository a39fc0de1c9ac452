public import Recording
internal import Wire

/// Makes new histories of old ones.
public enum HistoryShaping {
    /// By what a recording is taken apart.
    public enum Division: Sendable, Hashable {
        /// A file for so many nanoseconds.
        case duration(UInt64)
        /// A file for so many records.
        case records(Int)
        /// A file for each process that recorded.
        case agent
        /// A file for each flow.
        case flow
        /// One file.
        case nothing
    }

    /// Writes what can be read of a damaged history as a sealed one.
    ///
    /// - Throws: `HistoryError` when the file cannot be read at all, or the new one not be written.
    public static func recover(
        _ path: String, to output: String
    ) throws(HistoryError) -> HistoryRewriter.Outcome {
        try HistoryRewriter.rewrite([path], observer: SummaryBuilder.init) { _ in output }
    }

    /// Writes one sealed history of several, in the order of recording.
    ///
    /// - Parameters:
    ///   - paths: The histories.
    ///   - output: The file to write.
    ///   - process: Whose history it is to be.
    /// - Returns: What was written, and what was wrong with the histories.
    /// - Throws: `HistoryError` when a file cannot be read, or the new one not be written.
    public static func merge(
        _ paths: [String], to output: String, process: String
    ) throws(HistoryError) -> HistoryRewriter.Outcome {
        try HistoryRewriter.rewrite(paths, process: process, observer: SummaryBuilder.init) { _ in
            output
        }
    }

    /// Takes a recording apart, or a part out of it.
    ///
    /// Annotations go where the last record before them in their file went; those before any record
    /// into the first file.
    ///
    /// - Parameters:
    ///   - paths: The histories.
    ///   - directory: Where the new files go; their names are those of what they hold.
    ///   - division: By what.
    ///   - selection: What is taken over.
    /// - Returns: What was written, and what was wrong with the histories.
    /// - Throws: `HistoryError` when a file cannot be read or written; then none is written.
    public static func split(
        _ paths: [String], into directory: String, by division: Division,
        selection: RecordSelection
    ) throws(HistoryError) -> HistoryRewriter.Outcome {
        var router = Router(directory: directory, division: division, selection: selection)
        return try HistoryRewriter.rewrite(paths, observer: SummaryBuilder.init) {
            (item) throws(HistoryError) in router.path(of: item)
        }
    }

    private struct Router {
        let directory: String
        let division: Division
        let selection: RecordSelection
        private var start: UInt64?
        private var count = 0
        private var last: [Int: String] = [:]
        private var first: String?

        init(directory: String, division: Division, selection: RecordSelection) {
            self.directory = directory
            self.division = division
            self.selection = selection
        }

        mutating func path(of item: HistoryRewriter.Item) -> String? {
            switch item {
            case .foreign: return nil
            case .annotation(_, let file): return last[file] ?? first
            case .record(let view, let kind, let file):
                let start = start ?? view.observed
                self.start = start
                guard selection.accepts(kind), selection.accepts(view, kind, start: start) else {
                    return nil
                }
                count += 1
                let name =
                    switch division {
                    case .nothing: "selected"
                    case .agent: kind.agent
                    case .flow: "\(kind.flow.source)-to-\(kind.flow.destination.name)"
                    case .duration(let length):
                        "part-\((view.observed - min(start, view.observed)) / max(1, length) + 1)"
                    case .records(let most): "part-\((count - 1) / max(1, most) + 1)"
                    }
                let safe = String(name.map { "/\\\0".contains($0) ? "_" : $0 })
                let path = "\(directory)/\(safe).mcap"
                first = first ?? path
                last[file] = path
                return path
            }
        }
    }
}
