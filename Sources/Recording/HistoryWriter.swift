internal import Glibc
public import Wire

/// Writes one process's history.
public final class HistoryWriter {
    /// The file.
    public let path: String
    /// The process that records.
    public let process: String

    /// Creates the file; one that exists is never touched.
    public init(
        path: String, process: String, clock: RunClock, contentLimit: Int = 65_536
    ) throws(HistoryError) {
        self.path = path
        self.process = process
    }

    /// Records that an envelope was sent or delivered.
    public func record(
        _ envelope: Envelope, _ direction: Direction, transport: String, lane: Lane = .primary
    ) throws(HistoryError) {}

    /// Notes something beside the envelopes.
    public func annotate(_ annotation: Annotation) throws(HistoryError) {}

    /// Ends the file: no reserved space is left in it.
    public func seal() throws(HistoryError) {}
}
