internal import Glibc

/// Rewrites a history with chunks, checksums, index and summary.
///
/// The sealed file says the same as the one before, in the same order. It can be searched without
/// being read from its beginning, and damage in it is found.
public enum HistorySealer {
    /// Seals the history at `path` in place; one that is sealed already is left as it is.
    ///
    /// What was written is read back and counted before it replaces the original, in one rename.
    ///
    /// - Throws: `HistoryError`, and then the original is as it was: another process still writes
    ///   it, it is damaged, there is no room, or what was read back is not what was written.
    public static func seal(path: String) throws(HistoryError) {
        try seal(path: path, observer: NoObserver())
    }

    /// Seals the history at `path` in place, with what an observer has to say of it.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - observer: Sees every record, and adds metadata.
    /// - Throws: `HistoryError`, as `seal` does without an observer.
    public static func seal(
        path: String, observer: consuming some HistoryObserver
    ) throws(HistoryError) {
        let original = try OpenFile(path, O_RDONLY, attempt: .seal)
        guard original.lock() else { throw HistoryError(.seal, path, .inUse) }
        if try isSealed(original) { return }
        let draft = "\(path).sealing-\(getpid())"
        unlink(draft)
        do throws(HistoryError) {
            let mode = try original.status(.seal).st_mode & 0o777
            var file = SealedFile(
                try OpenFile(draft, O_RDWR | O_CREAT | O_EXCL, mode: mode, attempt: .seal))
            var walk = RecordWalk()
            var interpreter = RecordInterpreter()
            _ = try walk.run(path: path) { (event) throws(HistoryError) in
                try file.take(event)
                switch interpreter.take(event) {
                case .record(let record): observer.take(record, kinds: interpreter.kinds)
                case .annotation(let annotation): observer.take(annotation)
                case nil: break
                }
            }
            guard walk.notes.isEmpty else { throw HistoryError(.seal, path, .damaged(walk.notes)) }
            let counts = file.counts
            try file.finish(
                with: observer.metadata(
                    process: interpreter.process, messageCount: walk.messageCount))
            try verify(draft, counts: counts, of: path)
            guard rename(draft, path) == 0 else { throw .last(.seal, path) }
        } catch {
            unlink(draft)
            throw error
        }
    }

    /// Whether the file ends with a footer that knows of a summary.
    static func isSealed(_ file: borrowing OpenFile) throws(HistoryError) -> Bool {
        let size = Int(try file.status(.seal).st_size)
        let length = MCAP.recordHeaderLength + 20 + MCAP.magic.count
        guard size >= length else { return false }
        return try withUnsafeTemporaryAllocation(byteCount: length, alignment: 8) {
            (tail) throws(HistoryError) in
            guard try file.read(into: tail, at: size - length) == length else { return false }
            return tail[0] == MCAP.Opcode.footer.rawValue
                && tail.loadUnaligned(fromByteOffset: MCAP.recordHeaderLength, as: UInt64.self) != 0
        }
    }

    private static func verify(
        _ draft: String, counts: [UInt64], of path: String
    ) throws(HistoryError) {
        var found = [UInt64](repeating: 0, count: counts.count)
        var walk = RecordWalk()
        _ = try walk.run(path: draft) { event in
            if case .message(let message) = event { found[Int(message.channel)] += 1 }
        }
        guard walk.notes.isEmpty, found == counts else {
            throw HistoryError(.seal, path, .readBackDiffers)
        }
    }
}

/// Sees what stands in a history while it is sealed.
public protocol HistoryObserver {
    /// A record of an envelope.
    ///
    /// - Parameters:
    ///   - record: The record.
    ///   - kinds: What its kind is a number in; asked for where that may have grown.
    mutating func take(_ record: RecordView, kinds: @autoclosure () -> [RecordKind])
    /// What was noted beside them.
    mutating func take(_ annotation: AnnotationView)
    /// What the sealed file is to say of itself.
    ///
    /// - Parameters:
    ///   - process: Whose history it is.
    ///   - messageCount: How many messages of any kind stand in the file.
    /// - Returns: Maps with names.
    mutating func metadata(process: String, messageCount: UInt64) -> [HistoryMetadata]
}

/// A named map of texts that stands beside a file's messages.
public struct HistoryMetadata: Sendable, Hashable {
    /// What it is called.
    public var name: String
    /// What it says.
    public var members: [String: String]

    /// Names a map.
    public init(name: String, members: [String: String]) {
        self.name = name
        self.members = members
    }

    /// The metadata of names that begin so speak of the file's messages: they are not carried over
    /// where those change.
    static let derivedPrefix = "synmesh-"
}

private struct NoObserver: HistoryObserver {
    func take(_ record: RecordView, kinds: @autoclosure () -> [RecordKind]) {}
    func take(_ annotation: AnnotationView) {}
    func metadata(process: String, messageCount: UInt64) -> [HistoryMetadata] { [] }
}
