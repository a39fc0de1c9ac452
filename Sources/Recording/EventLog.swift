internal import Glibc
public import JSON
internal import Synchronization
public import Wire

/// A run's events, one JSON object a line: `{"at": …, "at_ms": …, "event": …, …}`.
///
/// `at` is the time by the run's clock in nanoseconds, as in the histories; `at_ms` the milliseconds
/// since the log was opened. Any thread may append. A line is in the file when `append` returns,
/// and lines of several processes do not mix.
public final class EventLog: Sendable {
    /// The file.
    public let path: String

    private let clock: RunClock
    private let opened: UInt64
    private let file: Mutex<OpenFile>

    /// Opens the log for appending; it is made if it does not exist.
    ///
    /// - Throws: `HistoryError` when the file cannot be opened.
    public init(path: String, clock: RunClock) throws(HistoryError) {
        self.path = path
        self.clock = clock
        opened = clock.now
        file = Mutex(try OpenFile(path, O_WRONLY | O_CREAT | O_APPEND, attempt: .create))
    }

    /// Appends an event.
    ///
    /// - Parameters:
    ///   - event: What happened.
    ///   - fields: What is to be said about it; `event`, `at` and `at_ms` are the log's own.
    /// - Throws: `HistoryError` when the line could not be written.
    public func append(
        _ event: String, _ fields: [String: Value] = [:]
    ) throws(HistoryError) {
        try file.withLock { (file) throws(HistoryError) in
            let now = clock.now
            var members = fields
            members["event"] = .string(event)
            members["at"] = Value(now)
            members["at_ms"] = Value((now - opened) / 1_000_000)
            try file.append(Array((Value.object(members).canonical + "\n").utf8))
        }
    }
}
