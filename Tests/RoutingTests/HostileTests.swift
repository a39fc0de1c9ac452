import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

@Suite("Hostile agents", .timeLimit(.minutes(2)))
struct HostileTests {
    @Test("What only a proxy may say is not passed on", arguments: [Envelope.Kind.marker, .hello])
    func impostor(kind: Envelope.Kind) throws {
        let context = try Context()
        let server = try NATSServer()
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: server.url, agents: [.init(name: "a"), .init(name: "b")]),
            in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context)
        try two.attach(window: 10)
        var envelope = agentEnvelope("a", "b", 1, type: "last")
        envelope.kind = kind
        try one.send(envelope)
        let connection = try Connection(server, name: "a")
        try connection.publish(envelope)
        try connection.publish(agentEnvelope("a", "b", 2))
        #expect(try two.receive().sequence == 2)
        #expect(try proxy.deadLetters(.malformed) == 2)
    }

    @Test(
        "A type that would end a subject early is named and not published",
        arguments: ["x y", "x y z 9", "x.", "*", ">", ""])
    func type(type: String) throws {
        let context = try Context()
        let server = try NATSServer()
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: server.url,
                agents: [.init(name: "a"), .init(name: "n", transport: .nats)]), in: context)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: ">")
        try one.send(agentEnvelope("a", "n", 1, type: type))
        try one.send(agentEnvelope("a", "n", 2))
        // The receiver is told of the gap.
        let notice = try subscription.envelope()
        #expect(notice.kind == .gap)
        #expect(notice.sequence == 1)
        #expect(try subscription.envelope().sequence == 2)
        #expect(try proxy.deadLetters(.malformed) == 1)
    }
}
