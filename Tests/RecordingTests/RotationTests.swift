import Glibc
import TestSupport
import Testing
import Wire

@testable import Recording

@Suite("Histories that go on in other files")
struct RotationTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    private func write(
        _ count: UInt64, rotation: HistoryRotation?, byStrand: Bool = false
    ) throws -> HistoryWriter {
        let writer = try HistoryWriter(
            path: scratch.file("alpha.1.mcap"), process: "alpha", clock: clock, rotation: rotation)
        for sequence in 1...count {
            let envelope = envelope(
                sequence, content: Array(#"{"number":\#(sequence),"text":"some text"}"#.utf8))
            if byStrand, let strand = writer.strand(of: envelope, .sent, transport: "zmq"),
                try envelope.withContent({ content in
                    try writer.record(
                        content, sequence: sequence, sent: envelope.sent, observed: nil, on: strand)
                })
            {
                continue
            }
            try writer.record(envelope, .sent, transport: "zmq")
        }
        return writer
    }

    @Test(
        "by size: every file is whole, none much larger, and all together say all",
        arguments: [false, true])
    func size(byStrand: Bool) throws {
        let rotation = try #require(HistoryRotation(bytes: 65_536, nanoseconds: nil))
        let writer = try write(5_000, rotation: rotation, byStrand: byStrand)
        try writer.annotate(.note("the end", at: clock.now))
        try writer.seal()
        let paths = try RunDirectory.histories(in: scratch.path)
        #expect(paths.count == writer.partCount)
        #expect(writer.partCount > 5)
        #expect(writer.rotationFailures == 0)
        let histories = try (1...writer.partCount).map {
            try HistoryReader.read(
                path: HistoryRotation.path(of: $0, after: scratch.file("alpha.1.mcap")))
        }
        for history in histories {
            #expect(history.notes == [])
            #expect(history.process == "alpha")
        }
        #expect(histories.flatMap(\.records).map(\.identity.sequence) == Array(1...5_000))
        #expect(histories.flatMap(\.annotations).count == 1)
        for path in paths {
            var status = stat()
            stat(path, &status)
            #expect(status.st_size < 70_000)
        }
    }

    @Test("by time: at the next record after it")
    func time() throws {
        let rotation = try #require(HistoryRotation(bytes: nil, nanoseconds: 1))
        let writer = try write(5, rotation: rotation)
        #expect(writer.partCount == 6)
    }

    @Test("one that cannot go on in another file goes on in the one that it has, and says so")
    func obstructed() throws {
        try scratch.write("in the way", to: "alpha.1.2.mcap")
        let rotation = try #require(HistoryRotation(bytes: 65_536, nanoseconds: nil))
        let writer = try write(2_000, rotation: rotation)
        #expect(writer.partCount == 1)
        #expect(writer.rotationFailures > 0)
        let history = try HistoryReader.read(path: scratch.file("alpha.1.mcap"))
        #expect(history.records.count == 2_000)
        #expect(history.annotations.count == writer.rotationFailures)
    }

    @Test("what the environment says")
    func environment() {
        let said = HistoryRotation { name in
            [HistoryRotation.sizeVariable: "1000000", HistoryRotation.timeVariable: "60"][name]
        }
        #expect(said == HistoryRotation(bytes: 1_000_000, nanoseconds: 60_000_000_000))
        #expect(HistoryRotation { _ in nil } == nil)
        #expect(HistoryRotation { _ in "soon" } == nil)
        #expect(HistoryRotation(bytes: 1, nanoseconds: nil)?.bytes == HistoryRotation.bytesMin)
    }
}
