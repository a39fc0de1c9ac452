import Foundation
import Testing

/// Compares a text with the file that holds what it should be.
///
/// `RECORD_SNAPSHOTS=1` rewrites the files. A missing file is written, and the test fails: what was
/// never looked at is no expectation.
enum Snapshot {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Snapshots")

    static func expect(
        _ text: String, named name: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let file = folder.appending(path: name)
        let isRecording = ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] == "1"
        guard !isRecording, let wanted = try? String(contentsOf: file, encoding: .utf8) else {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
            if !isRecording {
                Issue.record(
                    "\(name) was missing and is written now", sourceLocation: sourceLocation)
            }
            return
        }
        #expect(text == wanted, "\(name) differs", sourceLocation: sourceLocation)
    }
}
