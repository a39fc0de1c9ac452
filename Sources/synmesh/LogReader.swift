import Foundation
import Glibc

/// A line of a log, without its end.
struct LogLine {
    var bytes: [UInt8]
    /// When it was written, in nanoseconds since 1970, to 50 ms; nil where that was not noted.
    var time: UInt64?
}

/// One log with the older ones that are kept, read from where the last look ended.
final class LogReader {
    private let path: String
    private var file: FileHandle?
    private var isOpened = false
    /// The older logs that are still to be read, oldest first.
    private var older: [String]
    private var start: UInt64 = 0
    private var partial: [UInt8] = []
    /// Where in the log `partial` begins, and when what is there was written: not known of older logs.
    private var position = 0
    private var times: LogTimes?

    /// Reads from the beginning, or from a time: seconds since 1970.
    init(path: String, since: Double?) {
        self.path = path
        let kept = (1...100).map { "\(path).\($0)" }
            .prefix { FileManager.default.fileExists(atPath: $0) }
        older = kept.reversed()
        guard let since else { return }
        var times = LogTimes(of: path)
        times?.readOn()
        let nanoseconds = UInt64(max(since, 0) * 1e9)
        // Without notes all of it is shown.
        start = times.map { Self.position(in: path, at: $0.position(at: nanoseconds)) } ?? 0
        if start > 0 || times?.first.map({ $0 <= nanoseconds }) ?? true { older = [] }
    }

    /// The first start of a line from a position on; the end of the log where that is nil.
    private static func position(in path: String, at position: UInt64?) -> UInt64 {
        guard let file = FileHandle(forReadingAtPath: path) else { return 0 }
        defer { try? file.close() }
        guard let position else { return (try? file.seekToEnd()) ?? 0 }
        guard position > 0 else { return 0 }
        guard (try? file.seek(toOffset: position - 1)) != nil,
            let bytes = try? file.read(upToCount: 1 << 20),
            let end = bytes.firstIndex(of: UInt8(ascii: "\n"))
        else { return position }
        return position + UInt64(end)
    }

    /// Lines that were finished since the last look; nil where there are no more yet.
    ///
    /// An unfinished one counts when it is over, since nobody will finish it.
    func next(isOver: Bool) -> [LogLine]? {
        while let open = current() {
            if let data = try? open.read(upToCount: 4 << 20), !data.isEmpty {
                let bytes = partial + Array(data)
                var parts = bytes.split(
                    separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
                ).map { Array($0) }
                partial = parts.popLast() ?? []
                // The notes may be there a moment after the log.
                if isOpened, times == nil { times = LogTimes(of: path) }
                times?.readOn()
                return parts.map(line)
            }
            // At its end: there is another one where a new log was begun meanwhile.
            guard moveOn() else { break }
        }
        guard isOver, !partial.isEmpty else { return nil }
        defer { partial = [] }
        return [line(partial)]
    }

    private func line(_ bytes: [UInt8]) -> LogLine {
        defer { position += bytes.count + 1 }
        return LogLine(bytes: bytes, time: times?.time(at: UInt64(max(position, 0))))
    }

    private func current() -> FileHandle? {
        if let file { return file }
        if let next = older.first {
            older.removeFirst()
            file = FileHandle(forReadingAtPath: next)
            return file ?? current()
        }
        file = FileHandle(forReadingAtPath: path)
        // An unfinished line of the log before goes on in this one.
        position = -partial.count
        times = LogTimes(of: path)
        if !isOpened, start > 0 {
            try? file?.seek(toOffset: start)
            position = Int(start)
        }
        isOpened = file != nil
        return file
    }

    private func moveOn() -> Bool {
        if !isOpened {
            try? file?.close()
            file = nil
            return true
        }
        var (mine, now) = (stat(), stat())
        guard let file, fstat(file.fileDescriptor, &mine) == 0, stat(path, &now) == 0,
            mine.st_ino != now.st_ino
        else { return false }
        try? file.close()
        self.file = nil
        return true
    }
}

/// What was noted beside a log: from where on it was written when.
private struct LogTimes {
    private let file: FileHandle
    private var notes: [(time: UInt64, position: UInt64)] = []
    private var partial: [UInt8] = []

    init?(of path: String) {
        guard let file = FileHandle(forReadingAtPath: path + ".times") else { return nil }
        self.file = file
    }

    /// Reads what was noted since the last time.
    mutating func readOn() {
        guard let data = try? file.readToEnd(), !data.isEmpty else { return }
        var lines = (partial + Array(data)).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        partial = lines.popLast().map { Array($0) } ?? []
        for line in lines {
            let fields = line.split(separator: UInt8(ascii: " ")).compactMap {
                UInt64(String(decoding: $0, as: UTF8.self))
            }
            if fields.count == 2 { notes.append((fields[0], fields[1])) }
        }
    }

    /// The first time that was noted.
    var first: UInt64? { notes.first?.time }

    /// From where on the log was written at a time or later, to 50 ms; nil where nothing was.
    func position(at time: UInt64) -> UInt64? {
        // What follows a note within 50 ms has none of its own.
        notes.first { $0.time + 50_000_000 >= time }?.position
    }

    /// When what is at a position was written: as the latest note in front of it says.
    func time(at position: UInt64) -> UInt64? {
        var (low, high) = (0, notes.count)
        while low < high {
            let middle = (low + high) / 2
            if notes[middle].position <= position { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? notes[low - 1].time : nil
    }
}
