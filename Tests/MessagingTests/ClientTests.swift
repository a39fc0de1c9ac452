import Foundation
import JSON
import Messaging
import NATS
import Recording
import Routing
import Synchronization
import TestSupport
import Testing
import Wire
import ZeroMQ

@Suite("The client") struct ClientTests {
    @Test("A branch never has more under way than the window, and is granted what was consumed")
    func creditWindow() throws {
        let nodes = try TestNodes(prefixes: [])
        let context = try Context()
        let clock = RunClock.starting()
        func client(_ name: String) throws -> AgentClient {
            var configuration = ZeroMQTransport.Configuration(
                agent: name, incarnation: 1, branch: nodes.branch)
            configuration.window = 100
            return try AgentClient(
                name: name, incarnation: 1, clock: clock,
                transport: ZeroMQTransport(configuration, clock: clock, in: context))
        }
        let (a, b) = (try client("a"), try client("b"))
        for _ in 0..<1_000 { try a.send(to: "b", type: "x", content: [1]) }
        // The last one comes only because what came before was consumed and granted.
        #expect(try b.receive(count: 1_000).map(\.sequence) == Array(1...1_000))
        let observed = nodes.observed
        #expect(observed.hellos == ["a", "b"])
        #expect(observed.outstandingMax <= 100)
        #expect(observed.queuedMax > 0)
        #expect(observed.grants.allSatisfy { $0 >= 50 })
        #expect(observed.grants.reduce(0, +) > 850)
    }

    @Test("A branch that does not answer is an error in time")
    func noBranch() throws {
        let context = try Context()
        var configuration = ZeroMQTransport.Configuration(
            agent: "a", incarnation: 1, branch: "tcp://127.0.0.1:1")
        configuration.attachTimeout = .milliseconds(50)
        let error = #expect(throws: MessagingError.self) {
            try ZeroMQTransport(configuration, clock: .starting(), in: context)
        }
        #expect(error?.reason == .timeout(.milliseconds(50)))
        #expect(error?.description.contains("tcp://127.0.0.1:1") == true)
    }

    @Test("A branch that has no such agent says so")
    func notRegistered() throws {
        let mesh = try TestMesh(.zeroMQ)
        let error = #expect(throws: MessagingError.self) { try mesh.overZeroMQ("stranger") }
        #expect(error?.reason == .notRegistered)
    }

    @Test("A topic that no proxy serves is refused", arguments: [MeshKind.zeroMQ])
    func noTopicProxy(kind: MeshKind) throws {
        let a = try TestMesh(kind).agent("a")
        let publish = #expect(throws: MessagingError.self) {
            try a.client.publish(topic: "elsewhere", type: "x", content: [])
        }
        #expect(publish?.reason == .noTopicProxy)
        let subscribe = #expect(throws: MessagingError.self) {
            try a.client.subscribe(to: "elsewhere")
        }
        #expect(subscribe?.reason == .noTopicProxy)
        #expect(a.recorder.entries.isEmpty)
    }

    @Test(
        "Two agents that flood each other both get through", arguments: [MeshKind.zeroMQ, .bridged])
    func mutualFlood(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let count = 4_000
        let attached = DispatchSemaphore(value: 0)
        let begin = DispatchSemaphore(value: 0)
        let ended = DispatchSemaphore(value: 0)
        let received = Mutex<[String: [UInt64]]>([:])
        let failures = Mutex<[String]>([])
        let make = MeshMaker(mesh)
        for (own, other) in [("a", "b"), ("b", "a")] {
            let peer = mesh.name(other)
            Thread.detachNewThread {
                defer { ended.signal() }
                do {
                    let client = try make.client(own)
                    attached.signal()
                    begin.wait()
                    // 100 kB a message at the start: what is on the way is more than every buffer.
                    for index in 0..<count {
                        try client.send(
                            to: peer, type: "x",
                            content: [UInt8](repeating: 1, count: index < 500 ? 100_000 : 10))
                    }
                    let sequences = try client.receive(count: count, within: .seconds(30))
                        .map(\.sequence)
                    received.withLock { $0[own] = sequences }
                    // What is sent and not yet with the proxy leaves within the socket's linger.
                    client.close()
                } catch {
                    failures.withLock { $0.append("\(own): \(error)") }
                }
            }
        }
        // What is sent to an agent that is not there yet is lost on NATS.
        for _ in 0..<2 { #expect(attached.wait(timeout: .now() + 30) == .success) }
        for _ in 0..<2 { begin.signal() }
        for _ in 0..<2 { #expect(ended.wait(timeout: .now() + 60) == .success) }
        #expect(failures.withLock { $0 } == [])
        let result = received.withLock { $0 }
        #expect(result["a"] == Array(1...UInt64(count)))
        #expect(result["b"] == Array(1...UInt64(count)))
    }

    @Test("Without room a send ends in time, says so, and the receiver is told what will not come")
    func noRoom() throws {
        let mesh = InProcessMesh(inboxMax: 3)
        let clock = RunClock.starting()
        var options = AgentClient.Options()
        options.sendTimeout = .milliseconds(20)
        let recorder = MemoryRecorder()
        let a = try AgentClient(
            name: "a", incarnation: 1, clock: clock,
            transport: InProcessTransport(agent: "a", mesh: mesh), recorder: recorder,
            options: options)
        let b = try AgentClient(
            name: "b", incarnation: 1, clock: clock,
            transport: InProcessTransport(agent: "b", mesh: mesh))
        for _ in 0..<3 { try a.send(to: "b", type: "x", content: [1]) }
        let error = #expect(throws: MessagingError.self) {
            try a.send(to: "b", type: "x", content: [4])
        }
        #expect(error?.reason == .noRoom(waited: .milliseconds(20)))
        guard case .dropped(let identity, _, let by, _) = recorder.annotations.last else {
            Issue.record("not annotated: \(recorder.annotations)")
            return
        }
        #expect(identity.sequence == 4)
        #expect(by == "a")
        #expect(a.counters.dropped == 1)
        #expect(try b.receive(count: 3).map(\.sequence) == [1, 2, 3])
        try a.send(to: "b", type: "x", content: [5])
        // At once, not after the receiver's patience.
        #expect(try b.receive(timeout: .milliseconds(500))?.sequence == 5)
        #expect(b.counters.gaps == 1)
    }

    @Test("While the server is away a send ends in time, with a reason that is also recorded")
    func serverAway() throws {
        let server = try NATSServer()
        let recorder = MemoryRecorder()
        var options = AgentClient.Options()
        options.sendTimeout = .milliseconds(50)
        let client = try AgentClient(
            name: "a", incarnation: 1, clock: .starting(),
            transport: NATSTransport(agent: "a", url: server.url), recorder: recorder,
            options: options)
        try client.send(to: "b", type: "x", content: [1])
        server.stop()
        // The first ones may still go into a connection that nobody reads any more.
        var failure: MessagingError?
        let end = ContinuousClock.now + .seconds(10)
        while failure == nil, ContinuousClock.now < end {
            do throws(MessagingError) {
                try client.send(to: "b", type: "x", content: [2])
            } catch {
                failure = error
            }
        }
        #expect(failure?.reason == .noRoom(waited: .milliseconds(50)))
        guard case .dropped = recorder.annotations.last else {
            Issue.record("not annotated: \(recorder.annotations)")
            return
        }
    }

    @Test("Another descriptor that becomes ready ends the wait")
    func otherItems() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for descriptor in ends { close(descriptor) } }
        let mesh = try TestMesh(.inProcess)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        var items = [PollItem.fileDescriptor(ends[0])]
        _ = write(ends[1], "x", 1)
        #expect(try b.client.receive(timeout: .seconds(30), also: &items) == nil)
        #expect(items[0].isReadable)
        // An envelope goes first.
        try a.client.send(to: b.client.name, type: "x", content: [1])
        #expect(try b.client.receive(timeout: .seconds(30), also: &items)?.content == [1])
    }

    @Test("A plain message of a foreign program on NATS is handed out, numbered by its receiver")
    func foreignOnNATS() throws {
        let mesh = try TestMesh(.nats)
        let b = try mesh.agent("b")
        let foreign = try Connection(
            to: mesh.natsURL, options: ConnectionOptions(name: "foreign"))
        for index in 1...2 {
            let text =
                "{\"from\":\"old\",\"to\":\"b\",\"type\":\"task\",\"content\":{\"n\":\(index)}}"
            try foreign.publish("agent.\(b.client.name).task", content: Array(text.utf8))
        }
        try foreign.publish("agent.\(b.client.name).task", content: Array("nonsense".utf8))
        let received = try b.client.receive(count: 2)
        #expect(received.map(\.source) == ["old", "old"])
        #expect(received.map(\.sequence) == [1, 2])
        #expect(received.map(\.content) == [Array("{\"n\":1}".utf8), Array("{\"n\":2}".utf8)])
        #expect(received.allSatisfy { $0.incarnation == 0 && $0.contentEncoding == .json })
        try foreign.flush(timeout: .seconds(5))
        #expect(try b.client.receive(timeout: .milliseconds(200)) == nil)
        #expect(b.client.counters.malformed == 1)
        let unreadable = b.recorder.annotations.contains { annotation in
            if case .unreadable(1, _, _, b.client.name, _) = annotation { true } else { false }
        }
        #expect(unreadable)
    }

    @Test("After a restart of its branch an agent says again how much it takes")
    func branchRestarts() throws {
        let (clock, context) = (RunClock.starting(), try Context())
        func branch(_ endpoint: String, _ incarnation: UInt32) throws -> ProxyThread {
            try ProxyThread.branch(
                BranchConfiguration(
                    name: "core", endpoint: endpoint, agents: [.init(name: "a"), .init(name: "b")]),
                in: context, clock: clock, incarnation: incarnation)
        }
        let first = try branch("tcp://127.0.0.1:*", 1)
        let endpoint = try #require(first.endpoints["router"])
        func client(_ name: String) throws -> AgentClient {
            try AgentClient(
                name: name, incarnation: 1, clock: clock,
                transport: try ZeroMQTransport(
                    .init(agent: name, incarnation: 1, branch: endpoint), clock: clock,
                    in: context))
        }
        let (a, b) = (try client("a"), try client("b"))
        try a.send(to: "b", type: "x", content: [])
        #expect(try b.receive(count: 1).count == 1)
        first.stop()
        let second = try branch(endpoint, 2)
        defer { second.stop() }
        let end = ContinuousClock.now + .seconds(20)
        // Neither sends anything of its own.
        while try second.command("status")["agents"]?["b"]?["credit"]?.integer != 1_000 {
            try #require(ContinuousClock.now < end, "no hello")
            #expect(try a.receive(timeout: .milliseconds(5)) == nil)
            #expect(try b.receive(timeout: .milliseconds(5)) == nil)
        }
        // More than a window: the credit goes round.
        for _ in 0..<3_000 { try a.send(to: "b", type: "x", content: []) }
        #expect(try b.receive(count: 3_000).map(\.sequence) == Array(2...3_001))
    }

    @Test("A notice about a topic is heeded by its subscribers only")
    func topicNotices() throws {
        func notice(_ topic: String) -> Inbound {
            .gap(
                flow: Flow(source: "a", destination: .topic(topic)), incarnation: 1, from: 1,
                through: 2, reason: "dropped")
        }
        let transport = ScriptedTransport()
        let recorder = MemoryRecorder()
        let client = try AgentClient(
            name: "b", incarnation: 1, clock: .starting(), transport: transport,
            recorder: recorder)
        try client.subscribe(to: "t.a")
        transport.inbound = [notice("t.ab"), notice("t.a")]
        #expect(try client.receive(timeout: .zero) == nil)
        let gaps = recorder.annotations.compactMap { annotation in
            if case .gap(let flow, _, 1, 2, _, _, _) = annotation { flow.destination } else { nil }
        }
        #expect(gaps == [.topic("t.a")])
        #expect(client.counters.filtered == 1)
    }

    @Test("A recorder that fails loses nothing: the envelope is handed out by the next call")
    func recorderFails() throws {
        let mesh = try TestMesh(.inProcess)
        let a = try mesh.agent("a")
        let recorder = FailingRecorder()
        let b = try AgentClient(
            name: mesh.name("b"), incarnation: 1, clock: mesh.clock,
            transport: mesh.transport("b"), recorder: recorder)
        try a.client.send(to: b.name, type: "x", content: [1])
        recorder.isFailing = true
        #expect(throws: MessagingError.self) { try b.receive(timeout: .seconds(10)) }
        #expect(throws: MessagingError.self) { try b.send(to: "c", type: "x", content: []) }
        recorder.isFailing = false
        #expect(try b.receive(timeout: .seconds(10))?.content == [1])
        // What could not be recorded was not sent, and used no number.
        #expect(try b.send(to: "c", type: "x", content: []).sequence == 1)
    }
}

/// Lets other threads make clients of a mesh.
private final class MeshMaker: Sendable {
    // Making a client reads what the mesh fixed when it was made, and nothing else; the mesh is
    // kept by the test that waits for the threads.
    nonisolated(unsafe) private let mesh: TestMesh

    init(_ mesh: TestMesh) { self.mesh = mesh }

    func client(_ name: String) throws -> AgentClient { try mesh.agent(name).client }
}

private final class FailingRecorder: MessageRecorder {
    var isFailing = false

    func record(
        _ envelope: Envelope, _ direction: Recording.Direction, transport: String, lane: Lane
    ) throws(HistoryError) {
        if isFailing { throw HistoryError(.record, "full", .system(ENOSPC)) }
    }

    func annotate(_ annotation: Annotation) throws(HistoryError) {}
}
