import Recording
import TestSupport
import Testing
import Wire

@testable import Histories

@Suite struct SummaryTests {
    private static let flow = Flow(source: "alpha", destination: .agent("beta"))

    /// A sender's and a receiver's history, with a loss, a gap and a repeat.
    private func write(to directory: String) throws -> [String] {
        let clock = RunClock.starting()
        let sender = try HistoryWriter(
            path: "\(directory)/alpha.1.mcap", process: "alpha", clock: clock)
        let receiver = try HistoryWriter(
            path: "\(directory)/beta.1.mcap", process: "beta", clock: clock)
        for sequence in 1...UInt64(100) {
            let envelope = Envelope(
                identity: Identity(flow: Self.flow, incarnation: 1, sequence: sequence),
                type: sequence % 2 == 0 ? "even" : "odd", sent: clock.now, contentEncoding: .json,
                content: Array(#"{"number":\#(sequence)}"#.utf8))
            try sender.record(envelope, .sent, transport: "zmq")
            // 40 is a gap, 100 is lost at the end, 50 comes twice.
            if sequence == 40 || sequence == 100 { continue }
            for _ in 0..<(sequence == 50 ? 2 : 1) {
                try receiver.record(envelope, .delivered, transport: "zmq")
            }
        }
        try receiver.annotate(.note("well", at: clock.now))
        try sender.seal()
        try receiver.seal()
        return [sender.path, receiver.path]
    }

    @Test("It counts what was sent, delivered, lost, missing and repeated")
    func counts() throws {
        let directory = try TemporaryDirectory()
        let summary = try HistorySummary(paths: try write(to: directory.path))
        #expect(summary.notes == [])
        #expect(summary.processes == ["alpha", "beta"])
        #expect(summary.annotations == ["note": 1])
        let flows = FlowOverview.all(in: summary)
        try #require(flows.count == 1)
        let flow = flows[0]
        #expect(flow.sent == 100)
        #expect(flow.delivered == 98)
        #expect(flow.lost == 2)
        #expect(flow.gaps == 1)
        #expect(flow.repeats == 1)
        #expect(flow.types == ["odd": 50, "even": 50])
        #expect(flow.transports == ["zmq": 99])
        #expect(flow.bytes == (9 * 12 + 90 * 13 + 14) - 0)
        #expect(flow.latencies.count == 99)
        #expect(flow.latencies.nanoseconds(at: 50) ?? 0 <= flow.latencies.longest)
    }

    @Test("A sealed history says of itself what reading it says")
    func sealed() throws {
        let directory = try TemporaryDirectory()
        let paths = try write(to: directory.path)
        let before = try paths.map { try HistorySummary(path: $0).metadata(messageCount: 7) }
        for path in paths { try HistorySealing.seal(path: path) }
        let sealed = try paths.map { try #require(try HistorySummary(sealed: $0)) }
        #expect(sealed.map { $0.metadata(messageCount: 7) } == before)
        for path in paths { #expect(try HistoryExamination(path: path).faults == []) }
    }

    @Test("A summary that does not fit the file's messages is not believed")
    func stale() throws {
        let directory = try TemporaryDirectory()
        let path = try write(to: directory.path)[1]
        try HistorySealer.seal(path: path, observer: Liar())
        #expect(try HistorySummary(sealed: path) == nil)
        #expect(try HistorySummary(path: path).count == 99)
    }

    /// Says something of other messages.
    private struct Liar: HistoryObserver {
        func take(_ record: RecordView, kinds: @autoclosure () -> [RecordKind]) {}
        func take(_ annotation: AnnotationView) {}
        func metadata(process: String, messageCount: UInt64) -> [HistoryMetadata] {
            HistorySummary().metadata(messageCount: messageCount + 1).map { [$0] } ?? []
        }
    }
}
