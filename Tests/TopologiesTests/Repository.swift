import Foundation
import Testing

/// The files of the repository that these tests are in.
enum Repository {
    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The names of the files in a folder, sorted.
    static func files(in folder: String, suffix: String) throws -> [String] {
        try FileManager.default
            .contentsOfDirectory(atPath: root.appending(path: folder).path)
            .filter { $0.hasSuffix(suffix) }
            .sorted()
    }

    static func read(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: root.appending(path: path)))
    }

    static func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: root.appending(path: path))
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path)
    }
}

/// Texts that are kept in the repository.
///
/// `RECORD_SNAPSHOTS=1` rewrites them. A missing one is written, and the test fails: somebody has
/// to read it.
enum Snapshot {
    static func expect(
        _ text: String, equals path: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let isRecording = ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] == "1"
        guard !isRecording, Repository.exists(path) else {
            try Repository.write(text, to: path)
            if !isRecording {
                Issue.record("\(path) was missing and is written", sourceLocation: sourceLocation)
            }
            return
        }
        let expected = String(decoding: try Repository.read(path), as: UTF8.self)
        #expect(text == expected, "\(path) differs", sourceLocation: sourceLocation)
    }
}
