/// Reads histories: live, closed, sealed, cut or damaged.
public enum HistoryReader {
    /// Reads the history at `path`.
    ///
    /// A file that is still being written is read as it stands. What is intact before a damage is
    /// read, and so are the intact chunks of a sealed file; what was wrong with the file stands in
    /// the history's `notes`.
    ///
    /// - Throws: `HistoryError` when the file cannot be opened or read, or is not an MCAP file.
    public static func read(path: String) throws(HistoryError) -> History {
        var follower = HistoryFollower(path: path)
        return try follower.read()
    }
}

/// Reads a history again and again while it is written, each time only what is new.
public struct HistoryFollower: Sendable {
    /// The file.
    public let path: String
    private var builder = HistoryBuilder()
    private var walk = RecordWalk()

    /// Names a file; nothing is read.
    public init(path: String) { self.path = path }

    /// The history as it stands now.
    ///
    /// A file in which anything was wrong, or that another one has replaced, is read from its start.
    ///
    /// - Throws: `HistoryError` when the file cannot be opened or read, or is not an MCAP file.
    public mutating func read() throws(HistoryError) -> History {
        if !walk.notes.isEmpty { forget() }
        do throws(HistoryError) {
            if try !walk.run(path: path, { event in builder.take(event) }) {
                forget()
                _ = try walk.run(path: path) { event in builder.take(event) }
            }
        } catch {
            forget()
            throw error
        }
        return builder.history(notes: walk.notes)
    }

    private mutating func forget() {
        builder = HistoryBuilder()
        walk = RecordWalk()
    }
}

/// Makes one value of the records of a file.
private struct HistoryBuilder: Sendable {
    private var history = History(process: "")
    private var interpreter = RecordInterpreter()
    /// The kinds' numbers in the history, by those of the interpreter.
    private var numbers: [Int] = []

    mutating func take(_ event: borrowing RecordWalk.Event) {
        switch interpreter.take(event) {
        case .record(let record):
            while numbers.count <= record.kind {
                numbers.append(history.records.number(of: interpreter.kinds[numbers.count]))
            }
            let kind = numbers[record.kind]
            if let recorded = record.recorded {
                history.records.append(
                    kind: kind, sequence: record.sequence, sent: record.sent,
                    observed: record.observed, digest: recorded.digest, length: recorded.length)
            } else {
                history.records.append(
                    kind: kind, sequence: record.sequence, sent: record.sent,
                    observed: record.observed, bytes: record.data)
            }
        case .annotation(let view):
            if let annotation = view.annotation {
                history.annotations.append(annotation)
            } else {
                interpreter.noteMalformed()
            }
        case nil: break
        }
    }

    func history(notes: [String]) -> History {
        var history = history
        history.process = interpreter.process
        history.notes = notes + interpreter.notes
        return history
    }
}
