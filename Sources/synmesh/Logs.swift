import ArgumentParser
import Foundation
import Glibc
import JSON
import Scenarios

struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What the processes of a mesh have written.",
        discussion: """
            The files are read where they lie: nothing of the mesh waits for the reader. Lines of one \
            process are in order; those of several are told apart by their names.
            """)

    @Argument(help: "Processes by name; all of them where none is named.")
    var names: [String] = []

    @Flag(name: [.short, .long], help: "Go on as they write more, until the mesh ends.")
    var follow = false

    @Option(help: "Only what was written within this time, such as 30s or 5m.")
    var since: String?

    @Option(help: "Only the last so many lines of each.")
    var tail: Int?

    @OptionGroup var choice: MeshChoice

    func validate() throws {
        if let since, Self.seconds(since) == nil {
            throw ValidationError("'--since' is a time such as 500ms, 30s, 5m or 2h.")
        }
        guard tail ?? 0 >= 0 else { throw ValidationError("'--tail' is a number of lines.") }
    }

    func run() throws {
        let record = try choice.record()
        let folder = "\(record.directory)/processes"
        let from = since.flatMap(Self.seconds).map { Date().timeIntervalSince1970 - $0 }
        var readers: [String: LogReader] = [:]
        while true {
            // Asked before reading: what is written up to the end is read, too.
            let isOver = !follow || !record.isAlive
            for name in try processes(in: folder) {
                let isFirst = readers[name] == nil
                let reader = readers[name] ?? LogReader(path: "\(folder)/\(name).log", since: from)
                readers[name] = reader
                var lines: [[UInt8]] = []
                while let more = reader.next(isOver: isOver) {
                    lines += more
                    if isFirst, let tail {
                        lines = Array(lines.suffix(tail))
                    } else {
                        show(lines, of: name)
                        lines = []
                    }
                }
                show(lines, of: name)
            }
            if isOver { return }
            pause(milliseconds: 50)
        }
    }

    private static func seconds(_ text: String) -> Double? {
        let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600)]
        for (unit, factor) in units where text.hasSuffix(unit) {
            guard let number = Double(text.dropLast(unit.count)), number >= 0 else { continue }
            return number * factor
        }
        return nil
    }

    private func processes(in folder: String) throws -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let found = files.filter { $0.hasSuffix(".log") }.map { String($0.dropLast(4)) }.sorted()
        guard !names.isEmpty else { return found }
        var meant: [String] = []
        for name in names {
            let replicas = found.filter { process in
                process == name
                    || process.hasPrefix(name + "-")
                        && Int(process.dropFirst(name.count + 1)) != nil
            }
            guard !replicas.isEmpty else {
                printError(
                    "synmesh: no log of '\(name)'. There is \(found.joined(separator: ", "))")
                throw ExitStatus.badInput.code
            }
            meant += replicas.filter { !meant.contains($0) }
        }
        return meant
    }

    private func show(_ lines: [[UInt8]], of name: String) {
        var output: [UInt8] = []
        for line in lines {
            if choice.json {
                let text = String(decoding: line, as: UTF8.self)
                let value: Value = ["process": .string(name), "line": .string(text)]
                output += Array(value.canonical.utf8)
            } else {
                // Of one process alone they are as it wrote them.
                if names.count != 1 { output += Array("\(name) | ".utf8) }
                output += line
            }
            output.append(UInt8(ascii: "\n"))
        }
        writeOutput(output)
    }
}

/// One log with the older ones that are kept, read from where the last look ended.
private final class LogReader {
    private let path: String
    private var file: FileHandle?
    private var isOpened = false
    /// The older logs that are still to be read, oldest first.
    private var older: [String]
    private var start: UInt64 = 0
    private var partial: [UInt8] = []

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
    func next(isOver: Bool) -> [[UInt8]]? {
        while let open = current() {
            if let data = try? open.read(upToCount: 4 << 20), !data.isEmpty {
                let bytes = partial + Array(data)
                var parts = bytes.split(
                    separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
                ).map { Array($0) }
                partial = parts.popLast() ?? []
                return parts
            }
            // At its end: there is another one where a new log was begun meanwhile.
            guard moveOn() else { break }
        }
        guard isOver, !partial.isEmpty else { return nil }
        defer { partial = [] }
        return [partial]
    }

    private func current() -> FileHandle? {
        if let file { return file }
        if let next = older.first {
            older.removeFirst()
            file = FileHandle(forReadingAtPath: next)
            return file ?? current()
        }
        file = FileHandle(forReadingAtPath: path)
        if !isOpened, start > 0 { try? file?.seek(toOffset: start) }
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
