import Glibc
import JSON
import NATS
import Recording
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

private typealias Agent = BranchConfiguration.Agent

@Suite("The seed's wire", .timeLimit(.minutes(2)))
struct SeedWireTests {
    let context: Context

    init() throws { context = try Context() }

    @Test("Agents that speak only JSON talk to each other and to envelopes, both ways")
    func bothWays() throws {
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core",
                agents: [
                    Agent(name: "old", wire: .json), Agent(name: "older", wire: .json),
                    Agent(name: "new"),
                ]), in: context)
        let old = try Dealer("old", at: proxy.endpoints["router"], in: context)
        let older = try Dealer("older", at: proxy.endpoints["router"], in: context)
        let new = try Dealer("new", at: proxy.endpoints["router"], in: context)
        try new.attach(window: 10)

        try old.sendSeed(to: "new", type: "task.assignment", ["n": 1])
        let envelope = try new.receive()
        #expect(envelope.identity == agentEnvelope("old", "new", 1).identity)
        #expect(envelope.type == "task_assignment")
        #expect(envelope.contentEncoding == .json)
        #expect(envelope.content == Array(#"{"n":1}"#.utf8))

        // To another of its kind exactly as it was written.
        let text = #"{"to": "older", "from":"old", "type":"task.assignment", "mine": [1, 2]}"#
        try old.send([Array(text.utf8)])
        #expect(try older.frames() == [Array(text.utf8)])

        var answer = agentEnvelope("new", "old", 1, content: Array(#"{"ok":true}"#.utf8))
        answer.contentEncoding = .json
        try new.send(answer)
        #expect(
            try old.receiveSeed()
                == SeedMessage(from: "new", to: "old", type: "test", content: ["ok": true]))
        try new.send(agentEnvelope("new", "old", 2, content: [0, 255, 16]))
        #expect(
            try old.receiveSeed().content == ["encoding": "base64", "data": "AP8Q"])
    }

    @Test("The name of the connection counts, not what a message says of its sender")
    func senderIsTheConnection() throws {
        let proxy = try ProxyThread.branch(
            BranchConfiguration(name: "core", agents: [Agent(name: "new")]), in: context)
        let old = try Dealer("old", at: proxy.endpoints["router"], in: context)
        let new = try Dealer("new", at: proxy.endpoints["router"], in: context)
        try new.attach(window: 10)
        try old.send([SeedMessage(from: "boss", to: "new", type: "x", content: nil).bytes])
        #expect(try new.receive().source == "old")
    }

    @Test("The proxy keeps the history of agents that keep none")
    func history() throws {
        let path = "/tmp/synmesh-seed-\(UInt64.random(in: 0 ... .max)).mcap"
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core",
                agents: [Agent(name: "old", wire: .json), Agent(name: "older", wire: .json)]),
            in: context, history: path)
        defer { proxy.stop() }
        let old = try Dealer("old", at: proxy.endpoints["router"], in: context)
        let older = try Dealer("older", at: proxy.endpoints["router"], in: context)
        for number in 1...3 { try old.sendSeed(to: "older", ["n": Value(number)]) }
        for _ in 1...3 { _ = try older.receiveSeed() }
        try old.sendSeed(to: "nobody", 1)
        _ = try eventually("the dead letter") {
            try proxy.deadLetters(.unknownDestination) == 1 ? () : nil
        }
        proxy.stop()
        let history = try HistoryReader.read(path: path)
        remove(path)
        func sequences(_ direction: Direction) -> [UInt64] {
            history.records.filter {
                $0.direction == direction && $0.identity.flow.destination.name == "older"
            }.map(\.identity.sequence)
        }
        #expect(sequences(.sent) == [1, 2, 3])
        #expect(sequences(.delivered) == [1, 2, 3])
        let dropped = history.annotations.contains { annotation in
            guard case .dropped(let identity, "unknown destination", "core", _) = annotation
            else { return false }
            return identity == agentEnvelope("old", "nobody", 1).identity
        }
        #expect(dropped)
    }

    @Test("Messages that nobody can read are counted, with the name of their sender")
    func unreadable() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("core.mcap")
        let proxy = try ProxyThread.branch(
            BranchConfiguration(name: "core", agents: [Agent(name: "old", wire: .json)]),
            in: context, history: path)
        let old = try Dealer("old", at: proxy.endpoints["router"], in: context)
        for _ in 0..<1_003 { try old.send([Array("{nonsense".utf8)]) }
        // What is for the proxy alone is no message.
        try old.sendToProxy(.credit, "many")
        _ = try eventually("all of them") {
            try proxy.deadLetters(.malformed) == 1_004 ? () : nil
        }
        #expect(proxy.stop() == nil)
        var named: [String: Int] = [:]
        for annotation in try HistoryReader.read(path: path).annotations {
            guard case .unreadable(let count, let from, _, "core", _) = annotation else { continue }
            named[from, default: 0] += count
        }
        #expect(named == ["old": 1_000, "": 3])
    }

    @Test("What no NATS server took is dropped, not delivered")
    func undelivered() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("core.mcap")
        let server = try NATSServer()
        let proxy = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: server.url,
                agents: [
                    Agent(name: "old", wire: .json),
                    Agent(name: "web", transport: .nats, wire: .json),
                ]),
            in: context, history: path)
        let old = try Dealer("old", at: proxy.endpoints["router"], in: context)
        let connection = try Connection(server, name: "web")
        let subscription = try connection.listen(to: "agent.web.>")
        try old.sendSeed(to: "web", 1)
        _ = try #require(try subscription.next(timeout: patience))
        server.stop()
        _ = try eventually("the proxy to notice") {
            try proxy.status("nats", "connected").bool == false ? () : nil
        }
        for number in 2...3 { try old.sendSeed(to: "web", Value(number)) }
        _ = try eventually("3 messages") {
            try proxy.status("messages").integer == 3 ? () : nil
        }
        #expect(proxy.stop() == nil)
        let history = try HistoryReader.read(path: path)
        let delivered = history.records.filter { $0.direction == .delivered }
        #expect(delivered.map(\.identity.sequence) == [1])
        let dropped = history.annotations.compactMap { annotation in
            if case .dropped(let identity, _, _, _) = annotation { identity.sequence } else { nil }
        }
        #expect(dropped == [2, 3])
    }
}
