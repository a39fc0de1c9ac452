import DequeModule
import JSON
import NATS
import Recording
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

private typealias Agent = BranchConfiguration.Agent

/// What a branch sees, numbers and records on NATS of programs that keep no history.
@Suite("The tap", .timeLimit(.minutes(3)))
struct TapTests {
    let context: Context
    let directory: TemporaryDirectory
    let server: NATSServer

    init() throws {
        context = try Context()
        directory = try TemporaryDirectory()
        server = try NATSServer()
    }

    private var path: String { directory.file("core.mcap") }

    private func branch(_ agents: [BranchConfiguration.Agent]) throws -> ProxyThread {
        var configuration = BranchConfiguration(name: "core", nats: server.url, agents: agents)
        configuration.isTapping = true
        configuration.recorded = Set(agents.filter { !$0.keepsHistory }.map(\.name))
        return try ProxyThread.branch(configuration, in: context, history: path)
    }

    private func records(
        _ direction: Direction, to agent: String
    ) throws -> [HistoryRecord] {
        try HistoryReader.read(path: path).records.filter {
            $0.direction == direction && $0.identity.flow.destination == .agent(agent)
        }
    }

    private func seed(_ from: String, _ to: String, _ number: Int) -> [UInt8] {
        SeedMessage(from: from, to: to, type: "note", content: ["n": Value(number)]).bytes
    }

    @Test("Under load, two that talk past every proxy are recorded exactly, in order, once")
    func direct() throws {
        let proxy = try branch([
            Agent(name: "a", transport: .nats, wire: .json),
            Agent(name: "b", transport: .nats, wire: .json),
            Agent(name: "c", transport: .nats, wire: .json),
        ])
        let receiver = try Connection(server, name: "c")
        let subscription = try receiver.listen(to: "agent.c.>")
        let senders = [
            "a": try Connection(server, name: "a"), "b": try Connection(server, name: "b"),
        ]
        let count = 10_000
        for number in 1...count {
            for (name, connection) in senders {
                try connection.publish("agent.c.note", content: seed(name, "c", number))
            }
        }
        for connection in senders.values { try connection.flush(timeout: patience) }
        _ = try eventually("all to be seen") {
            try proxy.status("agents", "c", "handed").integer == Int64(2 * count) ? () : nil
        }
        #expect(proxy.stop() == nil)
        #expect(subscription.pending == 2 * count)
        for name in senders.keys {
            let numbers = (1...UInt64(count)).map(\.self)
            let sent = try records(.sent, to: "c").filter { $0.identity.flow.source == name }
            let delivered = try records(.delivered, to: "c").filter {
                $0.identity.flow.source == name
            }
            #expect(sent.map(\.identity.sequence) == numbers)
            #expect(delivered.map(\.identity) == sent.map(\.identity))
            #expect(sent.map(\.content) == numbers.map { .bytes(Array("{\"n\":\($0)}".utf8)) })
            #expect(sent.allSatisfy { $0.transport == "nats" })
        }
    }

    @Test(
        "Whom of ours such a program speaks to gets its messages with an identity, once, anywhere")
    func numbered() throws {
        let proxy = try branch([
            Agent(name: "old", transport: .nats, wire: .json), Agent(name: "z"),
            Agent(name: "n", transport: .nats),
        ])
        let dealer = try Dealer("z", at: proxy.endpoints["router"], in: context)
        try dealer.attach(window: 1_000)
        let connection = try Connection(server, name: "n")
        let subscription = try connection.listen(to: "agent.n.>")
        let old = try Connection(server, name: "old")
        for number in 1...100 {
            try old.publish("agent.n.note", content: seed("old", "n", number))
            try old.publish("agent.z.note", content: seed("old", "z", number))
        }
        var numbered: [Envelope] = []
        while numbered.count < 100 {
            let message = try #require(try subscription.next(timeout: patience))
            guard message.header("ce-specversion") != nil else { continue }
            numbered.append(try Envelope(headers: message.header, content: message.content))
        }
        #expect(numbered.map(\.sequence) == (1...100).map(\.self))
        let received = try dealer.receive(100)
        #expect(received.map(\.sequence) == (1...100).map(\.self))
        #expect(proxy.stop() == nil)
        #expect(try records(.sent, to: "n").map(\.identity) == numbered.map(\.identity))
        #expect(try records(.sent, to: "z").map(\.identity) == received.map(\.identity))
        // Both record for themselves.
        #expect(try records(.delivered, to: "n").isEmpty)
        #expect(try records(.delivered, to: "z").isEmpty)
    }

    @Test("What ours send on NATS to such a program is given on in its wire, byte by byte")
    func translated() throws {
        let proxy = try branch([
            Agent(name: "old", transport: .nats, wire: .json),
            Agent(name: "older", wire: .json), Agent(name: "n", transport: .nats),
        ])
        let old = try Connection(server, name: "old")
        let subscription = try old.listen(to: "agent.old.>")
        let older = try Dealer("older", at: proxy.endpoints["router"], in: context)
        let connection = try Connection(server, name: "n")
        let content = #"{ "big": 12345678901234567890123, "n":1.50 }"#
        for name in ["old", "older"] {
            var envelope = agentEnvelope("n", name, 1, content: Array(content.utf8))
            envelope.contentEncoding = .json
            try connection.publish(
                Subject.translated(to: name, type: "test"), headers: envelope.headers,
                content: envelope.content)
        }
        let text = try #require(try subscription.next(timeout: patience))
        #expect(text.headers.isEmpty)
        #expect(
            String(decoding: text.content, as: UTF8.self)
                == #"{"from":"n","to":"old","type":"test","content":\#(content)}"#)
        let frames = try #require(try older.frames())
        #expect(SeedMessage.content(of: try #require(frames.first)) == Array(content.utf8))
        // One that is sent past the branch is no message of that wire: it is lost, and named.
        try connection.publish(agentEnvelope("n", "old", 2))
        _ = try eventually("the dead letter") {
            try proxy.deadLetters(.wrongWire) == 1 ? () : nil
        }
        #expect(proxy.stop() == nil)
        #expect(try records(.delivered, to: "old").map(\.identity.sequence) == [1])
        #expect(try records(.delivered, to: "older").map(\.identity.sequence) == [1])
    }

    @Test("A move with messages under way hands each over once, in order, under one numbering")
    func move() throws {
        let proxy = try branch([
            Agent(name: "old", transport: .nats, wire: .json), Agent(name: "mover", wire: .json),
        ])
        let dealer = try Dealer("mover", at: proxy.endpoints["router"], in: context)
        let old = try Connection(server, name: "old")
        func say(_ numbers: ClosedRange<Int>) throws {
            for number in numbers {
                try old.publish("agent.mover.note", content: seed("old", "mover", number))
            }
            try old.flush(timeout: patience)
        }
        try say(1...10)
        for number in 1...10 { #expect(try dealer.receiveSeed().content["n"] == Value(number)) }
        let hold: Value = ["agent": "mover", "topics": []]
        try proxy.command("hold", hold)
        try say(11...20)
        let mover = try Connection(server, name: "mover")
        let subscription = try mover.listen(to: "agent.mover.>")
        let there: Value = ["agent": "mover", "transport": "nats", "epoch": 1]
        #expect(try proxy.command("release", there) == ["released": 10])
        try say(21...30)
        for number in 11...30 {
            let message = try #require(try subscription.next(timeout: patience))
            #expect(try SeedMessage(parsing: message.content).content["n"] == Value(number))
        }
        // And back: what the program has had from NATS itself is not held for it as well.
        try proxy.command("hold", hold)
        try subscription.unsubscribe()
        try say(31...40)
        let back: Value = ["agent": "mover", "transport": "zmq", "epoch": 2]
        _ = try eventually("what came meanwhile") {
            try proxy.status("agents", "mover", "held").integer == 10 ? () : nil
        }
        #expect(try proxy.command("release", back) == ["released": 10])
        for number in 31...40 { #expect(try dealer.receiveSeed().content["n"] == Value(number)) }
        #expect(proxy.stop() == nil)
        let sent = try records(.sent, to: "mover").map(\.identity)
        #expect(sent.map(\.sequence) == (1...40).map(\.self))
        #expect(Set(sent.map(\.incarnation)).count == 1)
        #expect(try records(.delivered, to: "mover").map(\.identity) == sent)
        #expect(
            try records(.delivered, to: "mover").map(\.transport)
                == Array(repeating: "zmq", count: 10) + Array(repeating: "nats", count: 20)
                + Array(repeating: "zmq", count: 10))
    }

    @Test("What the tap itself lost is said, so that nobody counts on it")
    func blind() throws {
        let inbox = try Inbox()
        let bridge = try NATSBridge(
            .init(
                url: server.url, name: "slow", limits: QueueLimits(messages: 10, bytes: 10_000),
                pendingMessagesMax: 100), inbox: inbox)
        #expect(try bridge.start(waiting: patience))
        defer { _ = bridge.stop(within: .zero) }
        bridge.subscribe(tag: "a", to: ["agent.a.>"], token: 1)
        _ = try eventually("the subscription") {
            inbox.takeAll().contains {
                if case .done(1, true) = $0 { true } else { false }
            } ? () : nil
        }
        let connection = try Connection(server, name: "n")
        for number in 1...(Inbox.envelopesMax + 5_000) {
            try connection.publish("agent.a.note", content: seed("n", "a", number))
        }
        try connection.flush(timeout: patience)
        var seen = 0
        _ = try eventually("the loss to be said") {
            var isSaid = false
            for event in inbox.takeAll() {
                if case .plain = event { seen += 1 }
                if case .blind = event { isSaid = true }
            }
            return isSaid ? () : nil
        }
        #expect(seen < Inbox.envelopesMax + 5_000)
    }
}
