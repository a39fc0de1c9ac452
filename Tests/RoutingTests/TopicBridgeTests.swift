import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// What crosses between a topic proxy and NATS.
@Suite("Bridge of topics", .timeLimit(.minutes(2)))
struct TopicBridgeTests {
    let context: Context

    init() throws { context = try Context() }

    private func topics(_ server: NATSServer) throws -> ProxyThread {
        try ProxyThread.topics(
            TopicConfiguration(name: "tot", nats: server.url, prefixes: ["tot"]), in: context)
    }

    @Test("Topics cross between ZeroMQ and NATS, both ways, and never back")
    func topicsBothWays() throws {
        let server = try NATSServer()
        let proxy = try topics(server)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let subscriber = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot", "other")
        let connection = try Connection(server, name: "n")
        let all = try connection.listen(to: ">")
        for sequence in 1...100 {
            try publisher.publish(topicEnvelope("p", "tot.x", UInt64(sequence)))
        }
        #expect(try subscriber.receive(100) == Array(1...100))
        for sequence in 1...100 {
            let envelope = try all.envelope()
            #expect(envelope.sequence == UInt64(sequence))
            #expect(envelope.hops == 1)
        }
        let other = try Connection(server, name: "other")
        try other.publish(topicEnvelope("n", "tot.y", 1))
        try other.publish(topicEnvelope("n", "other", 1))
        try other.publish("tot.z", content: Array("{}".utf8))
        // Not under the proxy's prefixes: it stays where it was published.
        try publisher.publish(topicEnvelope("p", "other", 2))
        var seen: [String] = []
        for _ in 0..<3 {
            let frames = try #require(try subscriber.frames())
            seen.append(String(decoding: frames[0], as: UTF8.self))
        }
        #expect(seen.sorted() == ["other", "tot.y", "tot.z"])
        proxy.stop()
        try connection.flush(timeout: patience)
        #expect(all.pending == 3)
    }

    @Test("A moving subscriber comes back although the server freezes in the middle")
    func topicMoveBack() throws {
        let server = try NATSServer()
        let proxy = try topics(server)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        try proxy.command("hold", ["agent": "mover", "topics": ["tot"]])
        try publisher.publish(topicEnvelope("p", "tot.x", 1))
        _ = try eventually("a copy") {
            try proxy.status("held", "mover").integer == 1 ? () : nil
        }
        let mover = try TopicPeer(subscribingAt: proxy.endpoints["subscribe"], in: context)
        try mover.confirm("tot", "_marker.mover", as: "mover")
        server.freeze()
        defer { server.thaw() }
        #expect(throws: RoutingError.self) {
            try proxy.command("release", ["agent": "mover", "transport": "nats", "epoch": 1])
        }
        #expect(
            try proxy.command("release", ["agent": "mover", "transport": "zmq", "epoch": 2])
                == ["released": 1])
        #expect(try mover.receive() == topicEnvelope("p", "tot.x", 1))
    }

    @Test("A moving subscriber gets on NATS what was published since the hold")
    func topicMove() throws {
        let server = try NATSServer()
        let proxy = try topics(server)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let hold: Value = ["agent": "mover", "topics": ["tot"]]
        #expect(try proxy.command("hold", hold) == ["held": 0, "nats": true])
        try publisher.publish(topicEnvelope("p", "tot.x", 1))
        let other = try Connection(server, name: "other")
        try other.publish(topicEnvelope("n", "tot.y", 1))
        _ = try eventually("two copies") {
            try proxy.status("held", "mover").integer == 2 ? () : nil
        }
        let connection = try Connection(server, name: "mover")
        let inbox = try connection.listen(to: "agent.mover.>")
        let release: Value = ["agent": "mover", "transport": "nats", "epoch": 1]
        #expect(try proxy.command("release", release) == ["released": 2])
        let received = try [inbox.envelope(), inbox.envelope()]
        #expect(Set(received.map(\.destination)) == [.topic("tot.x"), .topic("tot.y")])
        try publisher.publish(topicEnvelope("p", "tot.x", 2))
        #expect(try proxy.command("release", release) == ["released": 0])
    }
}
