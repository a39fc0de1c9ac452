import Messaging
import NATS
import Recording
import TestSupport
import Testing
import Wire

/// Contents that go over NATS in several messages, and what becomes of those that do not arrive whole.
@Suite("Chunks", .serialized) struct ChunkTests {
    private static let content = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 7) }

    @Test(
        "a lost or altered chunk drops its envelope by name, and the next one is not kept waiting",
        arguments: [Defects(loseChunk: 2), Defects(alterChunk: 2), Defects(loseChunk: 3)])
    func broken(defects: Defects) throws {
        let mesh = try TestMesh(.nats)
        let a = try mesh.agent("a", defects: defects)
        let b = try mesh.agent("b")
        let lost = try a.client.send(to: b.client.name, type: "cloud", content: Self.content)
        let next = try a.client.send(to: b.client.name, type: "small", content: [1])
        #expect(try b.client.receive(timeout: .seconds(10))?.identity == next)
        let isNamed = b.recorder.annotations.contains {
            if case .dropped(let identity, _, _, _) = $0 { identity == lost } else { false }
        }
        // The first of what was lost is noticed with the next chunk, the last only by its time.
        #expect(isNamed || defects.loseChunk == 3)
    }

    @Test(
        "buffered or at once: a drain has everything with the server",
        arguments: NATSSending.allCases)
    func flushed(sending: NATSSending) throws {
        let mesh = try TestMesh(.nats)
        let a = try mesh.agent(
            "a", over: NATSTransport(agent: mesh.name("a"), url: mesh.natsURL, sending: sending))
        let b = try mesh.agent("b")
        for number in 0..<500 {
            try a.client.send(to: b.client.name, type: "n", content: [UInt8(number & 0xFF)])
        }
        #expect(try b.client.receive(count: 500).map(\.sequence) == Array(1...500))
    }

    @Test("the headers are read one by one by whoever knows nothing of how they are written")
    func headerLines() throws {
        let connection = try Connection(
            to: try NATSServer.shared.get().url, options: ConnectionOptions(name: "foreign"))
        let envelope = Envelope(
            identity: Identity(
                flow: Flow(source: "a", destination: .topic("t.u")), incarnation: 3, sequence: 12),
            type: "x\r\ny", sent: 7,
            cause: Identity(
                flow: Flow(source: "b", destination: .agent("a")), incarnation: 1, sequence: 2),
            contentEncoding: .json, content: [1, 2])
        let subscription = try connection.subscribe(to: "chunk-tests.>")
        try connection.flush(timeout: .seconds(5))
        try connection.publish(
            "chunk-tests.x", headers: envelope.headers, content: envelope.content)
        let message = try #require(try subscription.next(timeout: .seconds(5)))
        #expect(message.headers.count == 12)
        #expect(message.header("ce-type") == "x  y")
        for (name, value) in envelope.headers { #expect(message.header(name) == value, "\(name)") }
        #expect(message.content == [1, 2])
        connection.close()
    }
}
