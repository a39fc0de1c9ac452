import Glibc
import TestSupport
import Testing
import Wire

@testable import Recording

@Suite("Sealing")
struct SealingTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    private func write(_ count: UInt64, to path: String) throws -> HistoryWriter {
        let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
        for sequence in 1...count {
            try writer.record(
                envelope(
                    sequence, content: [UInt8](repeating: UInt8(sequence % 251), count: 2_000)),
                .sent, transport: "zmq")
        }
        return writer
    }

    @Test("a file that is still written is not sealed, and goes on")
    func inUse() throws {
        let path = scratch.file("a.mcap")
        let writer = try write(3, to: path)
        #expect(throws: HistoryError(.seal, path, .inUse)) { try HistorySealer.seal(path: path) }
        try writer.record(envelope(4), .sent, transport: "zmq")
        #expect(try HistoryReader.read(path: path).records.count == 4)
    }

    @Test("sealed files say what the live ones said, in several chunks")
    func same() throws {
        let path = scratch.file("a.mcap")
        try write(2_000, to: path).seal()
        let before = try HistoryReader.read(path: path)
        try HistorySealer.seal(path: path)
        #expect(try HistoryReader.read(path: path) == before)
        #expect(before.records.count == 2_000)
        let sealed = try contents(of: path)
        try HistorySealer.seal(path: path)
        #expect(try contents(of: path) == sealed, "sealing again changed the file")
    }

    @Test("what a writer left without closing is sealed too")
    func leftOpen() throws {
        let path = scratch.file("a.mcap")
        do { _ = try write(5, to: path) }
        try HistorySealer.seal(path: path)
        let history = try HistoryReader.read(path: path)
        #expect(history.records.count == 5)
        #expect(history.notes == [])
    }

    @Test("a history without a message is sealed")
    func empty() throws {
        let path = scratch.file("a.mcap")
        try HistoryWriter(path: path, process: "alpha", clock: clock).seal()
        try HistorySealer.seal(path: path)
        #expect(try HistoryReader.read(path: path) == History(process: "alpha"))
    }

    @Test("a damaged file is left as it is")
    func damaged() throws {
        let path = scratch.file("a.mcap")
        try write(5, to: path).seal()
        try #require(truncate(path, 5_000) == 0)
        let before = try contents(of: path)
        let error = #expect(throws: HistoryError.self) { try HistorySealer.seal(path: path) }
        guard case .damaged(let notes) = error?.reason else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(!notes.isEmpty)
        #expect(try contents(of: path) == before)
        #expect(access("\(path).sealing-\(getpid())", F_OK) == -1, "a draft was left behind")
    }

    @Test("the file keeps its permissions")
    func permissions() throws {
        let path = scratch.file("a.mcap")
        try write(1, to: path).seal()
        try #require(chmod(path, 0o600) == 0)
        try HistorySealer.seal(path: path)
        let file = try OpenFile(path, O_RDONLY, attempt: .read)
        #expect(try file.status(.read).st_mode & 0o777 == 0o600)
    }
}
