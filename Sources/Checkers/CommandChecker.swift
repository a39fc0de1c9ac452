internal import Analysis
internal import Foundation
internal import Histories
internal import JSON
internal import Recording

/// A checker of the user's own: a program that reads every record, a JSON line each, from standard input,
/// and prints `{"verdict":"pass|fail|inconclusive","reason":"…"}`.
///
/// One that does not start, is ended by a signal, exits with another code than 0, answers nothing that can
/// be read or takes too long is inconclusive; so is any where a history could not be read whole.
public enum CommandChecker {
    /// Runs a program.
    ///
    /// - Parameters:
    ///   - command: A line of the shell.
    ///   - paths: The histories.
    ///   - limits: After their time it is ended, and everything that it started in its process group.
    /// - Returns: What it said, or why nobody can say.
    public static func run(
        _ command: String, paths: [String], limits: CommandLimits
    ) -> CheckOutcome {
        let limit = max(1, Int(limits.time.components.seconds))
        let name = "command:\(command)"
        func inconclusive(_ reason: String) -> CheckOutcome {
            CheckOutcome(name, .inconclusive, reason: reason)
        }
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "synmesh-check-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let (input, output) = (folder.appending(path: "records"), folder.appending(path: "answer"))
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["timeout", "-k", "1", "\(limit)", "/bin/sh", "-c", command]
        if let directory = limits.directory {
            process.currentDirectoryURL = URL(filePath: directory)
        }
        do {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: true)
            // In files, so that neither waits for the other.
            if let note = try write(paths, to: input) {
                return inconclusive("A history could not be read whole: \(note).")
            }
            try Data().write(to: output)
            process.standardInput = try FileHandle(forReadingFrom: input)
            process.standardOutput = try FileHandle(forWritingTo: output)
            try process.run()
        } catch {
            return inconclusive("It could not be started: \(error).")
        }
        process.waitUntilExit()
        guard process.terminationReason == .exit else {
            return inconclusive("It was ended by signal \(process.terminationStatus).")
        }
        switch process.terminationStatus {
        case 0: break
        case 124, 137: return inconclusive("It took longer than \(limit) s, or was killed.")
        case let code: return inconclusive("It exited with code \(code).")
        }
        guard let answer = try? Data(contentsOf: output),
            let value = try? Value(parsing: Array(answer)),
            let verdict = value["verdict"]?.string.flatMap(Judgement.init(rawValue:))
        else { return inconclusive("It answered nothing that can be read.") }
        return CheckOutcome(name, verdict, reason: value["reason"]?.string ?? "It gave no reason.")
    }

    /// Writes all records.
    ///
    /// - Returns: What was wrong with the histories, if anything was.
    /// - Throws: Where they cannot be read, or the file not be written.
    private static func write(_ paths: [String], to file: URL) throws -> String? {
        let records = try SelectedRecords(paths: paths, selection: RecordSelection())
        try Data().write(to: file)
        let handle = try FileHandle(forWritingTo: file)
        var pending = Data()
        while let item = try records.next() {
            guard case .record(let record, let kind) = item else { continue }
            pending.append(contentsOf: RecordDocument.value(record.view, kind).canonical.utf8)
            pending.append(UInt8(ascii: "\n"))
            if pending.count > 1 << 18 {
                try handle.write(contentsOf: pending)
                pending.removeAll(keepingCapacity: true)
            }
        }
        try handle.write(contentsOf: pending)
        try handle.close()
        return records.notes.first
    }
}
