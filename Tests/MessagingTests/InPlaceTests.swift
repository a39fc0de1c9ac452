import Messaging
import Recording
import Testing
import Wire

@Suite("Contents that are not copied") struct InPlaceTests {
    private static func content(_ size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    }

    @Test(
        "What is sent and received where it is arrives as it was when it was sent",
        arguments: [InPlace.threshold - 1, InPlace.threshold, 3_000_000])
    func unchanged(size: Int) throws {
        let mesh = try TestMesh(.zeroMQ)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let topic = "\(mesh.root).clouds"
        try b.client.subscribe(to: topic)
        let original = Self.content(size)
        var content = original
        try a.client.send(to: b.client.name, type: "t", content: content)
        // The sender goes on with its own array while libzmq still has the other's.
        content[0] &+= 1
        try a.client.publish(topic: topic, type: "t", content: content)
        content[0] &+= 1
        var received: [Envelope] = []
        while received.count < 2, let envelope = try b.client.receive(timeout: .seconds(10)) {
            received.append(envelope)
        }
        let direct = try #require(received.first { $0.destination == .agent(b.client.name) })
        let published = try #require(received.first { $0.destination == .topic(topic) })
        #expect(direct.contentSize == size)
        #expect(direct.content == original)
        #expect(published.content.dropFirst() == original.dropFirst())
        #expect(published.content[0] == original[0] &+ 1)
        #expect(a.recorder.envelopes(.sent) == [direct, published].sorted { $0.sent < $1.sent })
        for envelope in received {
            // Two looks at a copy would be looks at two places.
            let places = (0..<2).map { _ in envelope.withContent { $0.baseAddress } }
            #expect(places[0] == places[1])
            let cloud = try b.client.receivePointCloud(envelope) { $0.baseAddress }
            #expect(cloud == places[0])
        }
    }

    @Test("A received cloud is kept and sent on where it is")
    func forwarded() throws {
        let mesh = try TestMesh(.zeroMQ)
        let (a, b, c) = (try mesh.agent("a"), try mesh.agent("b"), try mesh.agent("c"))
        let content = Self.content(1_000_000)
        let sending = try a.client.sendPointCloud(
            to: [.agent(b.client.name)], byteCount: content.count, points: 1
        ) { $0.copyBytes(from: content) }
        #expect(sending.failures.isEmpty)
        let envelope = try #require(try b.client.receive(timeout: .seconds(10)))
        let place = envelope.withContent { $0.baseAddress }
        let kept = try b.client.keepPointCloud(envelope)
        #expect(kept.withBytes { $0.baseAddress } == place)
        _ = try b.client.forwardPointCloud(kept, to: [.agent(c.client.name)])
        let sent = try #require(b.recorder.envelopes(.sent).last)
        #expect(sent.withContent { $0.baseAddress } == place)
        let arrived = try #require(try c.client.receive(timeout: .seconds(10)))
        #expect(arrived.content == content)
    }
}
