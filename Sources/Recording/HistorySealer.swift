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
            _ = try walk.run(path: path) { (event) throws(HistoryError) in try file.take(event) }
            guard walk.notes.isEmpty else { throw HistoryError(.seal, path, .damaged(walk.notes)) }
            let counts = file.counts
            try file.finish()
            try verify(draft, counts: counts, of: path)
            guard rename(draft, path) == 0 else { throw .last(.seal, path) }
        } catch {
            unlink(draft)
            throw error
        }
    }

    /// Whether the file ends with a footer that knows of a summary.
    private static func isSealed(_ file: borrowing OpenFile) throws(HistoryError) -> Bool {
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
