import ArgumentParser
import Foundation
import Glibc
import JSON
import Quantities
import Scenarios

struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What the processes of a mesh have written.",
        discussion: """
            The files are read where they lie: nothing of the mesh waits for the reader. Lines of one \
            process are in order; those of several are told apart by their names. With --json each is \
            an object with its process, its text, and the time at which it was written, to 50 ms.
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
        if let since, Quantity.duration(since) == nil {
            throw ValidationError("'--since' is a time such as 500ms, 30s, 5m or 2h.")
        }
        guard tail ?? 0 >= 0 else { throw ValidationError("'--tail' is a number of lines.") }
    }

    func run() throws {
        let record = try choice.record()
        let folder = "\(record.directory)/processes"
        let from = since.flatMap(Quantity.duration).map {
            Date().timeIntervalSince1970 - $0 / .seconds(1)
        }
        var readers: [String: LogReader] = [:]
        while true {
            // Asked before reading: what is written up to the end is read, too.
            let isOver = !follow || !record.isAlive
            for name in try processes(in: folder) {
                let isFirst = readers[name] == nil
                let reader = readers[name] ?? LogReader(path: "\(folder)/\(name).log", since: from)
                readers[name] = reader
                var lines: [LogLine] = []
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

    private func show(_ lines: [LogLine], of name: String) {
        var output: [UInt8] = []
        for line in lines {
            if choice.json {
                var members: [String: Value] = [
                    "process": .string(name),
                    "line": .string(String(decoding: line.bytes, as: UTF8.self)),
                ]
                members["time"] = line.time.map { .string(Self.text(of: $0)) }
                output += Array(Value.object(members).canonical.utf8)
            } else {
                // Of one process alone they are as it wrote them.
                if names.count != 1 { output += Array("\(name) | ".utf8) }
                output += line.bytes
            }
            output.append(UInt8(ascii: "\n"))
        }
        writeOutput(output)
    }

    /// A time as RFC 3339 has it, in UTC.
    private static func text(of nanoseconds: UInt64) -> String {
        Date(timeIntervalSince1970: Double(nanoseconds) / 1e9).formatted(
            .iso8601.year().month().day().timeZone(separator: .omitted)
                .time(includingFractionalSeconds: true))
    }
}
