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
        start = Self.position(in: path, at: since)
        if start > 0 || Self.firstTime(in: path).map({ $0 <= since }) ?? true { older = [] }
    }

    private static func firstTime(in path: String) -> Double? {
        guard let text = try? String(contentsOfFile: path + ".times", encoding: .utf8),
            let nanoseconds = text.split(separator: " ").first.flatMap({ UInt64($0) })
        else { return nil }
        return Double(nanoseconds) / 1e9
    }

    /// Where the log was at a time, to a twentieth of a second: the start of a line.
    private static func position(in path: String, at time: Double) -> UInt64 {
        guard let text = try? String(contentsOfFile: path + ".times", encoding: .utf8) else {
            return 0
        }
        let nanoseconds = UInt64(max(time, 0) * 1e9)
        var position: UInt64?
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ").compactMap { UInt64($0) }
            // What follows a note within 50 ms has none of its own.
            if fields.count == 2, fields[0] + 50_000_000 >= nanoseconds {
                position = fields[1]
                break
            }
        }
        guard let file = FileHandle(forReadingAtPath: path) else { return 0 }
        defer { try? file.close() }
        guard var position else { return (try? file.seekToEnd()) ?? 0 }
        guard position > 0 else { return 0 }
        // Not in the middle of a line.
        guard (try? file.seek(toOffset: position - 1)) != nil,
            let bytes = try? file.read(upToCount: 1 << 20),
            let end = bytes.firstIndex(of: UInt8(ascii: "\n"))
        else { return position }
        position += UInt64(end)
        return position
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
