import Glibc
import Messaging
import Recording
import TestSupport
import Testing
import Wire

/// What came in batches waits as it came: each of it must be recorded when its turn is, neither
/// before nor twice, and nothing of it be lost.
@Suite("Batches that wait to be handed out")
struct BundleTests {
    let scratch: TemporaryDirectory
    let clock = RunClock.starting()

    init() throws { scratch = try TemporaryDirectory() }

    private static func envelope(
        _ sequence: UInt64, to destination: Address = .agent("b"), cause: Identity? = nil
    ) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: "a", destination: destination), incarnation: 1,
                sequence: sequence),
            type: sequence % 5 == 0 ? "other" : "x", sent: sequence, cause: cause,
            contentEncoding: sequence % 7 == 0 ? .json : .binary, content: [UInt8(sequence)])
    }

    private static func batch(
        _ sequences: ClosedRange<UInt64>, to destination: Address = .agent("b"),
        cause: (sequence: UInt64, by: Identity)? = nil
    ) throws -> Inbound {
        var draft = Batch.Draft()
        for sequence in sequences {
            draft.append(
                envelope(
                    sequence, to: destination,
                    cause: cause?.sequence == sequence ? cause?.by : nil))
        }
        let whole = draft.take()
        let batch = try #require(whole)
        return .batch(
            try Batch.Items(of: batch), transport: "scripted", isCredited: false)
    }

    private func client(
        _ inbound: [Inbound], _ recorder: any MessageRecorder
    ) throws -> AgentClient {
        try AgentClient(
            name: "b", incarnation: 1, clock: clock, transport: ScriptedTransport(inbound),
            recorder: recorder)
    }

    @Test("each is recorded as delivered when it is handed out, and not before")
    func turns() throws {
        let path = scratch.file("b.mcap")
        let writer = try HistoryWriter(path: path, process: "b", clock: clock)
        let client = try client([Self.batch(1...20), Self.batch(21...40)], writer)
        for sequence in 1...UInt64(40) {
            #expect(try client.receive(timeout: .seconds(10)) == Self.envelope(sequence))
            let records = try HistoryReader.read(path: path).records
            try #require(records.map(\.identity.sequence) == Array(1...sequence))
            #expect(records.last?.type == Self.envelope(sequence).type)
            #expect(records.last?.contentEncoding == Self.envelope(sequence).contentEncoding)
            #expect(records.last?.content == .bytes([UInt8(sequence)]))
            #expect(client.counters.delivered.values.first == sequence)
        }
        #expect(try client.receive(timeout: .zero) == nil)
    }

    @Test("what is sent in batches is on record one by one, before any batch leaves")
    func sent() throws {
        let path = scratch.file("a.mcap")
        let writer = try HistoryWriter(path: path, process: "a", clock: clock)
        let transport = CountingTransport()
        var options = AgentClient.Options()
        options.batching = Batching(messages: 50, latency: .seconds(30))
        let client = try AgentClient(
            name: "a", incarnation: 1, clock: clock, transport: transport, recorder: writer,
            options: options)
        for sequence in 1...UInt64(49) {
            let envelope = Self.envelope(sequence)
            try client.send(
                to: "b", type: envelope.type, content: envelope.content,
                encoding: envelope.contentEncoding)
            let records = try HistoryReader.read(path: path).records
            try #require(
                records.map(\.identity) == (1...sequence).map { Self.envelope($0).identity })
            #expect(records.last?.type == envelope.type)
            #expect(records.last?.contentEncoding == envelope.contentEncoding)
            #expect(records.last?.content == .bytes(envelope.content))
        }
        #expect(transport.sent.isEmpty)
        try client.flush()
        let records = Array(try HistoryReader.read(path: path).records)
        let batch = try #require(transport.sent.first)
        let arrived = try batch.unbatched
        #expect(arrived.map(\.sent) == records.map(\.sent))
        #expect(arrived.map(\.type) == records.map(\.type))
        #expect(records.allSatisfy { $0.observed >= $0.sent })
    }

    @Test("an answer within a batch is found; what stands before it is recorded first, and stays")
    func answer() throws {
        let recorder = MemoryRecorder()
        let question = Identity(
            flow: Flow(source: "b", destination: .agent("a")), incarnation: 1, sequence: 1)
        let client = try client(
            [Self.batch(1...5), Self.batch(6...20, cause: (12, question))], recorder)
        #expect(try client.receive(timeout: .seconds(10))?.sequence == 1)
        let answer = try client.request(to: "a", type: "x", content: [], timeout: .seconds(10))
        #expect(answer.sequence == 12)
        #expect(recorder.envelopes(.delivered).map(\.sequence) == Array(1...12))
        let others = try client.receive(count: 18).map(\.sequence)
        #expect(others == Array(2...11) + Array(13...20))
        #expect(recorder.envelopes(.delivered).map(\.sequence) == Array(1...20))
        #expect(client.counters.delivered.values.first == 20)
    }

    @Test("a recorder that fails in the middle loses nothing, and nothing is recorded twice")
    func failures() throws {
        let recorder = FailingNow()
        let client = try client([Self.batch(1...6), Self.batch(7...9)], recorder)
        var sequences: [UInt64] = []
        for _ in 0..<9 {
            recorder.isFailing = true
            #expect(throws: MessagingError.self) { try client.receive(timeout: .seconds(10)) }
            recorder.isFailing = false
            let envelope = try client.receive(timeout: .seconds(10))
            sequences.append(try #require(envelope).sequence)
        }
        #expect(sequences == Array(1...9))
        #expect(recorder.recorded == Array(1...9))
        #expect(try client.receive(timeout: .zero) == nil)
    }

    @Test("a batch of which some came before, or for what nobody is subscribed to, comes apart")
    func apart() throws {
        let recorder = MemoryRecorder()
        let client = try client(
            [
                Self.batch(1...5), Self.batch(4...8), Self.batch(11...12), Self.batch(9...10),
                Self.batch(1...9, to: .topic("t")),
            ], recorder)
        #expect(try client.receive(count: 12).map(\.sequence) == Array(1...12))
        #expect(try client.receive(timeout: .zero) == nil)
        #expect(client.counters.repeats == 2 && client.counters.filtered == 9)
    }

    @Test("what waits within batches is counted before more is read")
    func full() throws {
        var options = AgentClient.Options()
        options.readyMessages = 10
        let transport = ScriptedTransport(
            try [Self.batch(1...8), Self.batch(9...16), Self.batch(17...24)])
        let client = try AgentClient(
            name: "b", incarnation: 1, clock: clock, transport: transport, options: options)
        #expect(try client.receive(timeout: .seconds(10))?.sequence == 1)
        #expect(transport.inbound.count == 1)
        #expect(try client.receive(count: 23).map(\.sequence) == Array(2...24))
    }
}

private final class FailingNow: MessageRecorder {
    var isFailing = false
    private(set) var recorded: [UInt64] = []

    func record(
        _ envelope: Envelope, _ direction: Recording.Direction, transport: String, lane: Lane
    ) throws(HistoryError) {
        if isFailing { throw HistoryError(.record, "full", .system(ENOSPC)) }
        recorded.append(envelope.sequence)
    }

    func annotate(_ annotation: Annotation) throws(HistoryError) {}
}
