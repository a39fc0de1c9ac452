import Foundation
import JSON
import NATS
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// The bridge beside a ROUTER of the user's own: the Python proxy that is shipped as the example.
@Suite("Own proxy", .timeLimit(.minutes(2)))
struct OwnProxyTests {
    let context: Context

    init() throws { context = try Context() }

    private static let repository = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// A running proxy, and where it is.
    private struct Router {
        let endpoint: String
        let program: Program
        let folder: TemporaryDirectory

        init(_ options: String...) throws {
            folder = try TemporaryDirectory()
            endpoint = "ipc://\(folder.path)/router"
            program = try Program(
                ["python3", "\(OwnProxyTests.repository)/agents/python/branch_proxy.py", endpoint]
                    + options, environment: ["HOME": "/root"])
            try #require(selfProbe(endpoint: endpoint, timeout: patience))
        }
    }

    private func bridge(
        _ router: Router, _ server: NATSServer, onNATS: Set<String> = [], log: Log = Log()
    ) throws -> ProxyThread {
        try ProxyThread.bridge(
            BridgeConfiguration(
                name: "core-bridge", branch: "core", router: router.endpoint, nats: server.url,
                agents: ["a", "n", "z"].map {
                    .init(name: $0, transport: onNATS.contains($0) ? .nats : .zmq)
                }), in: context, log: log.append)
    }

    /// An agent's DEALER at a ROUTER that is not ours: one attempt after the other, each with a
    /// connection of its own, until the name is its own.
    private func dealer(_ name: String, at router: Router) throws -> Dealer {
        try eventually("the name \(name)") {
            let dealer = try Dealer(name, at: router.endpoint, in: context)
            try dealer.send([SeedFrame.note(.hello, toOneself: name, 1, number: 0, at: 1)])
            return try dealer.frames(within: .milliseconds(200)) == nil ? nil : dealer
        }
    }

    @Test("what a peer says to itself comes back through the proxy, and through nothing else")
    func probe() throws {
        let router = try Router()
        #expect(selfProbe(endpoint: router.endpoint, timeout: patience))
        #expect(!selfProbe(endpoint: "ipc:///nowhere/router", timeout: .milliseconds(50)))
        router.program.signal(SIGSTOP)
        #expect(!selfProbe(endpoint: router.endpoint, timeout: .milliseconds(200)))
        router.program.signal(SIGCONT)
    }

    @Test(
        "Envelopes cross between the user's ROUTER and NATS, both ways, with their identities",
        arguments: ["--report=60", "--rewrite"])
    func bothWays(option: String) throws {
        let (server, router) = (try NATSServer(), try Router(option))
        let bridge = try bridge(router, server, onNATS: ["n"])
        let dealer = try dealer("a", at: router)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: "agent.n.>")
        for sequence in 1...200 {
            try dealer.send([SeedFrame.bytes(of: agentEnvelope("a", "n", UInt64(sequence)))])
            try connection.publish(agentEnvelope("n", "a", UInt64(sequence)))
        }
        for sequence in 1...200 {
            #expect(
                try subscription.envelope() == agentEnvelope("a", "n", UInt64(sequence), hops: 1))
            let frames = try #require(try dealer.frames())
            try #require(frames.count == 1)
            #expect(
                try SeedFrame(parsing: frames[0])
                    == .envelope(agentEnvelope("n", "a", UInt64(sequence), hops: 1)))
        }
        #expect(try bridge.status("messages").integer == 400)
    }

    @Test("Messages without identity cross as they are")
    func plain() throws {
        let (server, router) = (try NATSServer(), try Router())
        let bridge = try bridge(router, server, onNATS: ["n"])
        let dealer = try dealer("a", at: router)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: "agent.n.>")
        let (there, back) = (
            SeedMessage(from: "a", to: "n", type: "note", content: [1, 2]),
            SeedMessage(from: "n", to: "a", type: "note", content: ["x": nil])
        )
        try dealer.send([there.bytes])
        let message = try #require(try subscription.next(timeout: patience))
        #expect(message.subject == "agent.n.note")
        #expect(message.content == there.bytes)
        try connection.publish("agent.a.note", content: back.bytes)
        #expect(try #require(try dealer.frames()) == [back.bytes])
        _ = bridge
    }

    @Test("A move takes the name to the bridge and back, and loses nothing of a paused sender")
    func move() throws {
        let (server, router) = (try NATSServer(), try Router())
        let bridge = try bridge(router, server)
        let sender = try dealer("a", at: router)
        var mover: Dealer? = try dealer("z", at: router)
        var sequence: UInt64 = 0
        func send(_ count: Int) throws {
            for _ in 0..<count {
                sequence += 1
                try sender.send([SeedFrame.bytes(of: agentEnvelope("a", "z", sequence))])
            }
            // The sender's fence: all of it has been handled.
            try sender.send([SeedFrame.note(.marker, toOneself: "a", 1, number: 1, at: 1)])
            _ = try #require(try sender.frames())
        }
        let agent: Value = ["agent": "z"]
        try send(50)
        try bridge.command("hold", agent)
        for _ in 1...50 { _ = try #require(try mover?.frames()) }
        // The agent ends, and the bridge takes its name as soon as the ROUTER has seen that.
        mover = nil
        try bridge.command("join", agent)
        try send(50)
        let connection = try Connection(server, name: "z")
        let subscription = try connection.listen(to: "agent.z.>")
        let release: Value = ["agent": "z", "transport": "nats", "epoch": 1]
        #expect(try bridge.command("release", release)["released"] == 50)
        try send(50)
        for expected in 51...150 {
            #expect(try subscription.envelope().sequence == UInt64(expected))
        }
        // And back.
        try bridge.command("hold", agent)
        try send(20)
        #expect(try bridge.command("leave", agent)["whole"] == true)
        let again = try dealer("z", at: router)
        let back: Value = ["agent": "z", "transport": "zmq", "epoch": 2]
        #expect(try bridge.command("release", back)["released"] == 20)
        for expected in 151...170 {
            let frame = try #require(try again.frames()?.last)
            guard case .envelope(let envelope) = try SeedFrame(parsing: frame) else {
                Issue.record("no envelope")
                return
            }
            #expect(envelope.sequence == UInt64(expected))
        }
    }

    @Test("A name that somebody else has is not taken from it")
    func taken() throws {
        let (server, router) = (try NATSServer(), try Router())
        let bridge = try bridge(router, server)
        let holder = try dealer("z", at: router)
        #expect(throws: RoutingError.self) { try bridge.command("join", ["agent": "z"]) }
        // Nor is it claimed: the agent is where it was.
        #expect(throws: RoutingError.self) {
            try bridge.command("release", ["agent": "z", "transport": "nats", "epoch": 1])
        }
        try bridge.command("release", ["agent": "z", "transport": "zmq", "epoch": 1])
        try holder.send([SeedFrame.note(.hello, toOneself: "z", 1, number: 0, at: 1)])
        _ = try #require(try holder.frames())
    }

    @Test("A proxy that loses one message in three still gets its markers through")
    func lossy() throws {
        let (server, router) = (try NATSServer(), try Router("--drop", "3"))
        let bridge = try bridge(router, server, onNATS: ["n"])
        let connection = try Connection(server, name: "n")
        for sequence in 1...30 {
            try connection.publish(agentEnvelope("n", "a", UInt64(sequence)))
        }
        try connection.flush(timeout: patience)
        try bridge.command("hold", ["agent": "n"])
        #expect(try bridge.command("leave", ["agent": "n"])["whole"] == true)
    }

    @Test("The bridge says why it cannot start")
    func nobody() throws {
        let server = try NATSServer()
        let error = #expect(throws: RoutingError.self) {
            try ProxyThread.bridge(
                BridgeConfiguration(
                    name: "b", branch: "core", router: "ipc:///nowhere/router", nats: server.url),
                in: context)
        }
        #expect(error?.description.contains("does not give back") == true)
    }
}
