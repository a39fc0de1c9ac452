import Glibc
import JSON
import TestSupport
import Testing
import Wire

@testable import Recording

@Suite("What was recorded is read")
struct RoundTripTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    /// How a file came to its end.
    enum Ending: CaseIterable { case live, closed, sealed }

    static let envelopes: [(Envelope, Direction, String, Lane)] = {
        var envelopes: [(Envelope, Direction, String, Lane)] = []
        let flows = [
            Flow(source: "alpha", destination: .agent("beta")),
            Flow(source: "alpha", destination: .topic("tot.branch_A")),
        ]
        for flow in flows {
            for (incarnation, sequence) in [(UInt32(1), UInt64(1)), (.max, 1 << 32), (7, .max)] {
                for encoding in Envelope.ContentEncoding.allCases {
                    for (direction, lane) in [
                        (Direction.sent, Lane.primary), (.delivered, .primary),
                        (.delivered, .shadow),
                    ] {
                        let envelope = Envelope(
                            identity: Identity(
                                flow: flow, incarnation: incarnation, sequence: sequence),
                            type: "ping-\(encoding)", sent: sequence ^ 0xFF, hops: 3,
                            contentEncoding: encoding,
                            content: encoding.isJSON
                                ? Array("[1]".utf8) : [0, 255, 10, 13, 0x80])
                        envelopes.append((envelope, direction, "zmq", lane))
                        envelopes.append((envelope, direction, "inproc", lane))
                    }
                }
            }
        }
        return envelopes
    }()

    @Test("every field and every annotation comes back, in order", arguments: Ending.allCases)
    func everything(ending: Ending) throws {
        let path = scratch.file("a.mcap")
        let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
        for (envelope, direction, transport, lane) in Self.envelopes {
            try writer.record(envelope, direction, transport: transport, lane: lane)
        }
        for annotation in everyAnnotation { try writer.annotate(annotation) }
        if ending != .live { try writer.seal() }
        if ending == .sealed { try HistorySealer.seal(path: path) }

        let history = try HistoryReader.read(path: path)
        #expect(history.notes == [])
        #expect(history.process == "alpha")
        #expect(history.annotations == everyAnnotation)
        try #require(history.records.count == Self.envelopes.count)
        var before: UInt64 = 0
        for (record, (envelope, direction, transport, lane)) in zip(
            history.records, Self.envelopes)
        {
            let expected = HistoryRecord(
                agent: "alpha", identity: envelope.identity, type: envelope.type,
                transport: transport, direction: direction, lane: lane, sent: envelope.sent,
                observed: record.observed, hops: envelope.hops,
                contentEncoding: envelope.contentEncoding, content: .bytes(envelope.content))
            #expect(record == expected)
            #expect(record.observed >= before && record.observed <= clock.now)
            before = record.observed
        }
    }

    @Test("a content above the limit leaves its digest and its length", arguments: Ending.allCases)
    func digests(ending: Ending) throws {
        let path = scratch.file("a.mcap")
        let contents = [8, 9, 100_000].map { [UInt8](repeating: 7, count: $0) }
        let writer = try HistoryWriter(
            path: path, process: "alpha", clock: clock, contentLimit: 8)
        for (index, content) in contents.enumerated() {
            try writer.record(
                envelope(UInt64(index + 1), content: content), .sent, transport: "zmq")
        }
        if ending != .live { try writer.seal() }
        if ending == .sealed { try HistorySealer.seal(path: path) }

        let history = try HistoryReader.read(path: path)
        #expect(history.notes == [])
        try #require(history.records.count == 3)
        #expect(history.records[0].content == .bytes(contents[0]))
        for index in 1...2 {
            let record = history.records[index]
            #expect(
                record.content
                    == .digest(ContentDigest.xxh3(contents[index]), length: contents[index].count))
            #expect(record.content.digest == Content.bytes(contents[index]).digest)
            #expect(record.content.length == contents[index].count)
            #expect(record.contentEncoding == .json)
        }
    }

    @Test("what is sent carries its cause; what is delivered or shadowed does not repeat it")
    func causes() throws {
        let path = scratch.file("a.mcap")
        let cause = envelope(5, from: "beta", to: .agent("alpha")).identity
        let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
        let answer = envelope(1, cause: cause)
        try writer.record(answer, .sent, transport: "zmq")
        try writer.record(answer, .sent, transport: "nats", lane: .shadow)
        try writer.record(answer, .delivered, transport: "zmq")
        let history = try HistoryReader.read(path: path)
        #expect(history.records.count == 3)
        #expect(
            history.annotations == [
                .cause(of: answer.identity, by: cause, at: history.records[0].observed)
            ])
    }

    @Test("contents larger than every window are recorded whole")
    func largeContents() throws {
        let path = scratch.file("a.mcap")
        var generator = SeededGenerator(seed: 3)
        let contents = [70_000, 0, 20_000_000, 1, 9_000_000].map { count in
            let byte = UInt8.random(in: 0...255, using: &generator)
            return [UInt8](repeating: byte, count: count)
        }
        let writer = try HistoryWriter(
            path: path, process: "alpha", clock: clock, contentLimit: .max)
        for (index, content) in contents.enumerated() {
            try writer.record(
                envelope(UInt64(index + 1), content: content), .sent, transport: "zmq")
        }
        #expect(
            try HistoryReader.read(path: path).records.map(\.content.length)
                == contents.map(\.count))
        try writer.seal()
        try HistorySealer.seal(path: path)
        let history = try HistoryReader.read(path: path)
        #expect(history.notes == [])
        #expect(history.records.map(\.content) == contents.map(Content.bytes))
    }

    @Test("a file that exists is never touched")
    func existing() throws {
        let path = scratch.file("a.mcap")
        try write([1, 2, 3], to: path)
        #expect(throws: HistoryError(.create, path, .system(EEXIST))) {
            try HistoryWriter(path: path, process: "alpha", clock: clock)
        }
        #expect(try contents(of: path) == [1, 2, 3])
        #expect(access("\(path).new-\(getpid())", F_OK) == -1, "a draft was left behind")
    }

    @Test("a sealed writer refuses, and sealing twice does nothing")
    func sealedWriter() throws {
        let path = scratch.file("a.mcap")
        let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
        try writer.seal()
        try writer.seal()
        #expect(throws: HistoryError(.record, path, .closed)) {
            try writer.record(envelope(1), .sent, transport: "zmq")
        }
        #expect(throws: HistoryError(.record, path, .closed)) {
            try writer.annotate(.note("late", at: 1))
        }
        #expect(try contents(of: path).suffix(50) == MCAP.trailer[...])
    }

    @Test("a directory that is not there is an error with its path")
    func missingDirectory() {
        let path = scratch.file("nowhere/a.mcap")
        let error = #expect(throws: HistoryError.self) {
            try HistoryWriter(path: path, process: "alpha", clock: clock)
        }
        #expect(error?.reason == .system(ENOENT))
        #expect(error?.description.contains(path) == true)
    }

    @Test(
        "digests are written as sixteen digits and read back",
        arguments: [0, 1, .max, 0xABC] as [UInt64])
    func digestText(digest: UInt64) {
        let text = ContentDigest.text(digest)
        #expect(text.count == 21)
        #expect(ContentDigest.value(of: text) == digest)
    }

    @Test(
        "what is no digest is refused",
        arguments: ["", "xxh3:", "xxh3:12", "xxh3:+23456789abcdef0", "md5:0123456789abcdef"])
    func notADigest(text: String) {
        #expect(ContentDigest.value(of: text) == nil)
    }

    @Test("the digest is XXH3 of 64 bits, by its own test vectors")
    func digestVectors() {
        #expect(ContentDigest.text(ContentDigest.xxh3([])) == "xxh3:2d06800538d394c2")
        #expect(
            ContentDigest.text(ContentDigest.xxh3(Array("synmesh".utf8))) == "xxh3:dc535cd365b4edc8"
        )
    }

    @Test(
        "CRC-32 is zlib's, by its own test vectors",
        arguments: [("", 0), ("123456789", 0xCBF4_3926), ("a", 0xE8B7_BE43)])
    func checksum(text: String, expected: UInt32) {
        #expect(Checksum.of(Array(text.utf8)) == expected)
    }
}
