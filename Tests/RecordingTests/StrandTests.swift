import TestSupport
import Testing
import Wire

@testable import Recording

extension HistoryWriter {
    /// Records an envelope without a cause by what it has in common with one before, if there is one.
    func recordByStrand(_ envelope: Envelope) throws(HistoryError) -> Bool {
        guard envelope.cause == nil,
            let strand = strand(of: envelope, .sent, transport: "zmq")
        else { return false }
        return try envelope.withContent { bytes throws(HistoryError) in
            try record(
                bytes, sequence: envelope.sequence, sent: envelope.sent, observed: nil, on: strand)
        }
    }
}

@Suite("Envelopes recorded by what they have in common")
struct StrandTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    private static let envelopes = (1...UInt64(5_000)).map { sequence in
        envelope(
            sequence, type: "type-\(sequence / 700)",
            content: [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: Int(sequence)))
    }

    @Test("they are the same in the file, one by one, as those recorded whole")
    func same() throws {
        let (whole, strands) = (scratch.file("whole.mcap"), scratch.file("strands.mcap"))
        let writer = try HistoryWriter(path: whole, process: "alpha", clock: clock)
        for envelope in Self.envelopes { try writer.record(envelope, .sent, transport: "zmq") }
        let other = try HistoryWriter(path: strands, process: "alpha", clock: clock)
        var count = 0
        for envelope in Self.envelopes {
            if try other.recordByStrand(envelope) {
                count += 1
            } else {
                try other.record(envelope, .sent, transport: "zmq")
            }
        }
        // All but the first of each type.
        #expect(count == 5_000 - 8)
        #expect(writer.messageCount == other.messageCount)
        func records(_ path: String) throws -> [HistoryRecord] {
            let history = try HistoryReader.read(path: path)
            #expect(history.notes == [])
            return history.records.map { record in
                var record = record
                record.observed = 0
                return record
            }
        }
        #expect(try records(whole) == records(strands))
    }

    @Test("what differs in more than number, times and content is to be recorded whole")
    func refusals() throws {
        let path = scratch.file("a.mcap")
        let writer = try HistoryWriter(
            path: path, process: "alpha", clock: clock, contentLimit: 100)
        #expect(writer.strand(of: envelope(1), .sent, transport: "zmq") == nil)
        try writer.record(envelope(1), .sent, transport: "zmq")
        #expect(writer.strand(of: envelope(1), .delivered, transport: "zmq") == nil)
        #expect(writer.strand(of: envelope(1), .sent, transport: "nats") == nil)
        #expect(writer.strand(of: envelope(1, type: "pong"), .sent, transport: "zmq") == nil)
        let strand = try #require(writer.strand(of: envelope(1), .sent, transport: "zmq"))
        func record(_ size: Int, _ sequence: UInt64) throws -> Bool {
            let content = [UInt8](repeating: 7, count: size)
            return try content.withUnsafeBytes {
                try writer.record($0, sequence: sequence, sent: 1, observed: 2, on: strand)
            }
        }
        #expect(try record(100, 2))
        // A digest stands for it, and the high bits are the channel's.
        #expect(try !record(101, 3))
        #expect(try !record(1, 1 << 32))
        let history = try HistoryReader.read(path: path)
        #expect(history.records.map(\.identity.sequence) == [1, 2])
        #expect(history.records.last?.observed == 2 && history.records.last?.sent == 1)
        try writer.seal()
        #expect(throws: HistoryError.self) { try record(1, 4) }
    }
}
