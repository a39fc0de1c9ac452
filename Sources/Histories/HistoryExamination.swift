public import Recording

/// Everything that can be wrong with a history, found by reading all of it.
public struct HistoryExamination: Sendable {
    /// In which of its three states a file is.
    public enum State: String, Sendable {
        /// It is still written, or was when its writer was killed.
        case live
        /// Its writer ended it.
        case closed
        /// It has chunks, an index and a summary.
        case sealed
    }

    /// The state.
    public let state: State
    /// Messages, annotations included.
    public let messageCount: UInt64
    /// What is wrong, one sentence each; empty where nothing is.
    public let faults: [String]

    /// Reads a file.
    ///
    /// - Throws: `HistoryError` when the file cannot be read, or is not an MCAP file.
    public init(path: String) throws(HistoryError) {
        var cursor = try HistoryCursor(path: path)
        var builder = SummaryBuilder()
        var last: UInt64 = 0
        var (backwards, unknown) = (0, 0)
        while let item = try cursor.next() {
            switch item {
            case .record(let record):
                builder.take(record, kinds: cursor.kinds)
                if record.observed < last { backwards += 1 }
                last = record.observed
            case .annotation(let annotation):
                builder.take(annotation)
                if annotation.annotation == nil { unknown += 1 }
            }
        }
        messageCount = cursor.messageCount
        state = cursor.isSealed ? .sealed : cursor.hasReserve ? .live : .closed
        var faults = cursor.notes
        if backwards > 0 { faults.append("records that stand before an earlier one: \(backwards)") }
        if unknown > 0 { faults.append("annotations that cannot be read: \(unknown)") }
        if state == .sealed, let sealed = try HistorySummary(sealed: path) {
            let found = builder.summary(process: cursor.process, notes: [])
            if sealed.metadata(messageCount: messageCount)
                != found.metadata(messageCount: messageCount)
            {
                faults.append("the summary says something else than the messages")
            }
        }
        self.faults = faults
    }
}
