import TestSupport
import Testing
import Wire

@testable import Recording

@Suite("Histories that are followed")
struct FollowingTests {
    private func envelope(_ number: UInt64) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: "a", destination: number % 3 == 0 ? .topic("t") : .agent("b")),
                incarnation: 1, sequence: number),
            type: "test", sent: number, content: Array("content \(number)".utf8))
    }

    @Test("A follower reads what a reader does, at every moment and after the end")
    func follows() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/a.1.mcap"
        let writer = try HistoryWriter(
            path: path, process: "a", clock: RunClock.starting(), contentLimit: 12)
        var follower = HistoryFollower(path: path)
        var number: UInt64 = 0
        for round in 1...40 {
            let former = try follower.read()
            for _ in 0..<(round * round) {
                number += 1
                try writer.record(envelope(number), .sent, transport: "zmq")
                if number % 7 == 0 { try writer.annotate(.note("seven", at: number)) }
            }
            #expect(try follower.read() == HistoryReader.read(path: path))
            // What was handed out before stays as it was.
            #expect(former.records.count < Int(number))
            #expect(former.records.last?.identity.sequence ?? 0 == UInt64(former.records.count))
        }
        try writer.seal()
        #expect(try follower.read() == HistoryReader.read(path: path))
        try HistorySealer.seal(path: path)
        let sealed = try follower.read()
        #expect(sealed == (try HistoryReader.read(path: path)))
        #expect(sealed.records.count == Int(number))
    }

    @Test("Records are an array to those who use them as one")
    func array() {
        var records: HistoryRecords = []
        var array: [HistoryRecord] = []
        for number in 1...40_000 {
            let record = HistoryRecord(
                agent: number % 2 == 0 ? "a" : "b", identity: envelope(UInt64(number)).identity,
                type: "test", transport: "zmq", direction: .sent, sent: 1, observed: 2,
                contentEncoding: .json,
                content: number % 5 == 0
                    ? .digest(UInt64(number), length: 1 << 40) : .bytes([UInt8(number & 0xFF)]))
            records.append(record)
            array.append(record)
        }
        #expect(records.elementsEqual(array))
        records[20_000].content = .bytes([1, 2, 3])
        array[20_000].content = .bytes([1, 2, 3])
        records.removeAll { $0.identity.sequence % 3 == 0 }
        array.removeAll { $0.identity.sequence % 3 == 0 }
        records.insert(array[7], at: 3)
        array.insert(array[7], at: 3)
        #expect(records.elementsEqual(array))
        #expect(records.hasSameBytes(at: 3, as: records, at: 8) == true)
        #expect(records.hasSameBytes(at: 0, as: records, at: 1) == false)
    }
}
