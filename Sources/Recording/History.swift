/// What one process recorded.
public struct History: Sendable, Hashable {
    /// The process that recorded.
    public var process: String
    /// What was sent and delivered, in the order of recording.
    public var records: HistoryRecords
    /// What was noted beside it, in the order of recording.
    public var annotations: [Annotation]
    /// What was wrong with the file; empty where nothing was.
    public var notes: [String]

    /// Makes a history.
    public init(
        process: String, records: HistoryRecords = [], annotations: [Annotation] = [],
        notes: [String] = []
    ) {
        self.process = process
        self.records = records
        self.annotations = annotations
        self.notes = notes
    }
}
