import JSON
import Recording
import TestSupport
import Testing
import Wire

@testable import Messaging

/// A client of the class, with a recorder that only remembers.
private func client(
    _ mesh: TestMesh, _ agent: String, defects: Defects? = nil, batching: Batching? = nil,
    limits: Receiver.Limits = Receiver.Limits()
) throws -> TestAgent {
    let recorder = MemoryRecorder()
    var options = AgentClient.Options()
    options.delivery = .atLeastOnce
    options.defects = defects
    options.batching = batching
    return TestAgent(
        client: try AgentClient(
            name: mesh.name(agent), incarnation: 1, clock: mesh.clock,
            transport: mesh.transport(agent), recorder: recorder, limits: limits,
            options: options),
        recorder: recorder, mesh: mesh)
}

/// Has both do what is due until `isDone`, for ten seconds at most; whether it is.
@discardableResult
private func turn(
    _ one: AgentClient, _ other: AgentClient, _ received: inout [UInt64],
    until isDone: ([UInt64]) -> Bool
) throws -> Bool {
    let end = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < end {
        if isDone(received) { return true }
        if let envelope = try other.receive(timeout: .milliseconds(5)) {
            received.append(envelope.sequence)
        }
        _ = try one.receive(timeout: .milliseconds(1))
    }
    return isDone(received)
}

@Suite("Sent at least once", .serialized) struct AcknowledgingTests {
    @Test(
        "What is lost and repeated on the way arrives, once and in order, and is acknowledged",
        arguments: [MeshKind.inProcess, .zeroMQ, .nats, .dual, .bridged])
    func everyTransport(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let sender = try client(mesh, "a", defects: Defects(lose: 7, repeat: 5))
        let receiver = try mesh.agent("b")
        for number in 0..<100 {
            try sender.client.send(
                to: mesh.name("b"), type: "x", content: Array(String(number).utf8))
        }
        var received: [UInt64] = []
        try turn(sender.client, receiver.client, &received) {
            $0.count >= 100 && sender.client.counters.unacknowledged == 0
        }
        #expect(received == Array(1...100))
        #expect(sender.client.counters.unacknowledged == 0)
        #expect(sender.client.counters.acknowledged == 100)
        #expect(sender.client.counters.resent > 0)
        let through = sender.recorder.annotations.compactMap { annotation in
            if case .acknowledged(_, 1, let through, _, _) = annotation { through } else { nil }
        }
        #expect(through.last == 100)
        #expect(receiver.recorder.envelopes(.delivered).allSatisfy { $0.delivery == .atLeastOnce })
    }

    @Test(
        "Batches are acknowledged in their middle, and what is lost of them is sent again",
        arguments: [MeshKind.inProcess, .zeroMQ, .nats, .dual, .bridged])
    func batches(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let batching = Batching(messages: 100, latency: .milliseconds(2))
        let sender = try client(
            mesh, "a", defects: Defects(lose: 7, repeat: 5), batching: batching)
        let receiver = try mesh.agent("b")
        for number in 0..<550 {
            try sender.client.send(
                to: mesh.name("b"), type: "x", content: Array(String(number).utf8))
        }
        var received: [UInt64] = []
        try turn(sender.client, receiver.client, &received) {
            $0.count >= 550 && sender.client.counters.unacknowledged == 0
        }
        #expect(received == Array(1...550))
        #expect(sender.client.counters.acknowledged == 550)
        #expect(receiver.recorder.envelopes(.delivered).allSatisfy { $0.delivery == .atLeastOnce })
    }

    @Test("They leave full, or when the first has waited for long enough, and not before")
    func batchesWait() throws {
        let mesh = try TestMesh(.inProcess)
        let transport = CountingTransport()
        var options = AgentClient.Options()
        options.delivery = .atLeastOnce
        options.batching = Batching(messages: 10, latency: .milliseconds(200))
        let sender = try AgentClient(
            name: mesh.name("a"), incarnation: 1, clock: mesh.clock, transport: transport,
            options: options)
        for _ in 0..<24 { try sender.send(to: mesh.name("b"), type: "x", content: []) }
        #expect(transport.sent.map(\.envelopeCount) == [10, 10])
        let end = ContinuousClock.now + .seconds(10)
        // The full ones, which nobody acknowledges, may be sent again before.
        var rest: Envelope?
        while rest == nil, ContinuousClock.now < end {
            _ = try sender.receive(timeout: .milliseconds(5))
            rest = transport.sent.first { $0.sequence == 21 }
        }
        #expect(rest?.envelopeCount == 4)
    }

    @Test("What is published is not of the class")
    func topics() throws {
        let mesh = try TestMesh(.inProcess)
        let sender = try client(mesh, "a")
        try sender.client.publish(topic: "\(mesh.root).t", type: "x", content: [])
        #expect(sender.client.counters.unacknowledged == 0)
        #expect(sender.recorder.envelopes(.sent).map(\.delivery) == [.atMostOnce])
    }

    @Test("A full outbox refuses after its patience, before anything has an identity")
    func backpressure() throws {
        let mesh = try TestMesh(.inProcess)
        let sender = try client(mesh, "a")
        let limit = sender.client.unacknowledged.limits.messages
        for _ in 0..<limit {
            try sender.client.send(to: mesh.name("b"), type: "x", content: [])
        }
        #expect(!sender.client.hasOutboxRoom)
        #expect(throws: MessagingError.self) {
            try sender.client.send(
                to: mesh.name("b"), type: "x", content: [], patience: .milliseconds(10))
        }
        #expect(sender.recorder.envelopes(.sent).count == limit)
        let receiver = try mesh.agent("b")
        var received: [UInt64] = []
        try turn(sender.client, receiver.client, &received) { _ in sender.client.hasOutboxRoom }
        try sender.client.send(to: mesh.name("b"), type: "x", content: [])
    }

    @Test("A drained sender hands over what is not acknowledged, and its successor sends it")
    func drained() throws {
        let mesh = try TestMesh(.inProcess)
        let sender = try client(mesh, "a")
        for _ in 0..<5 { try sender.client.send(to: mesh.name("b"), type: "x", content: [1]) }
        // Nobody was there.
        _ = try sender.client.drain(deadline: .milliseconds(100)) { _ in }
        var options = AgentClient.Options()
        options.delivery = .atLeastOnce
        let successor = try AgentClient(
            name: mesh.name("a"), incarnation: 2, clock: mesh.clock,
            transport: mesh.transport("a"), restoring: sender.client.state, options: options)
        let receiver = try mesh.agent("b")
        var received: [UInt64] = []
        try turn(successor, receiver.client, &received) { $0.count >= 5 }
        #expect(received == Array(1...5))
        #expect(receiver.recorder.envelopes(.delivered).map(\.incarnation) == [1, 1, 1, 1, 1])
    }

    @Test("What is too much for the handover is named in it, and read from the history")
    func handsOverByName() throws {
        let mesh = try TestMesh(.inProcess)
        let directory = try TemporaryDirectory()
        let writer = try HistoryWriter(
            path: "\(directory.path)/a.1.mcap", process: mesh.name("a"), clock: mesh.clock)
        var options = AgentClient.Options()
        options.delivery = .atLeastOnce
        var limits = Receiver.Limits()
        limits.handoverBytes = 1_000
        let sender = try AgentClient(
            name: mesh.name("a"), incarnation: 1, clock: mesh.clock,
            transport: mesh.transport("a"), recorder: writer, limits: limits, options: options)
        for _ in 0..<9 {
            try sender.send(to: mesh.name("b"), type: "x", content: pattern(300))
        }
        _ = try sender.drain(deadline: .milliseconds(100)) { _ in }
        try writer.seal()
        let state = sender.state
        #expect(state["unacknowledged"]?.array?.count == 3)
        #expect(state["unacknowledged_recorded"]?.array?.count == 1)
        // Without the history it is lost, and every one is named.
        let recorder = MemoryRecorder()
        let forgetful = try AgentClient(
            name: mesh.name("a"), incarnation: 2, clock: mesh.clock,
            transport: mesh.transport("a"), recorder: recorder, restoring: state,
            options: options)
        #expect(forgetful.counters.unacknowledged == 3)
        #expect(forgetful.counters.dropped == 6)
        let dropped = recorder.annotations.compactMap { annotation in
            if case .dropped(let identity, _, _, _) = annotation { identity.sequence } else { nil }
        }
        #expect(dropped == Array(4...9))
        let past = try OwnHistory.recalled(
            of: mesh.name("a"), before: "\(directory.path)/a.2.mcap", incarnation: 2)
        let heir = try AgentClient(
            name: mesh.name("a"), incarnation: 2, clock: mesh.clock,
            transport: mesh.transport("a"), restoring: state, recalling: past, options: options)
        #expect(heir.counters.unacknowledged == 9)
        let receiver = try mesh.agent("b")
        var received: [UInt64] = []
        try turn(heir, receiver.client, &received) { $0.count >= 9 }
        #expect(received == Array(1...9))
    }

    @Test("After a crash both sides go on from what they recorded")
    func crashes() throws {
        let mesh = try TestMesh(.inProcess)
        let directory = try TemporaryDirectory()
        func agent(_ name: String, _ incarnation: UInt32) throws -> (AgentClient, HistoryWriter) {
            let path = "\(directory.path)/\(name).\(incarnation).mcap"
            let writer = try HistoryWriter(
                path: path, process: mesh.name(name), clock: mesh.clock)
            let past = try OwnHistory.recalled(
                of: mesh.name(name), before: path, incarnation: incarnation)
            var options = AgentClient.Options()
            options.delivery = .atLeastOnce
            let client = try AgentClient(
                name: mesh.name(name), incarnation: incarnation, clock: mesh.clock,
                transport: mesh.transport(name), recorder: writer, recalling: past,
                options: options)
            return (client, writer)
        }
        let (sender, first) = try agent("a", 1)
        let (receiver, second) = try agent("b", 1)
        let large = pattern(100_000)
        for number in 0..<20 {
            try sender.send(
                to: mesh.name("b"), type: "x", content: number == 15 ? large : [UInt8(number)])
        }
        // Ten are recorded; whether that was acknowledged, the crash hides.
        var received = try receiver.receive(count: 10).map(\.sequence)
        let (heir, third) = try agent("b", 2)
        let (successor, fourth) = try agent("a", 2)
        try successor.send(to: mesh.name("b"), type: "x", content: [])
        var contents: [[UInt8]] = []
        let end = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < end, received.count < 21 {
            if let envelope = try heir.receive(timeout: .milliseconds(5)) {
                if envelope.incarnation == 1 { received.append(envelope.sequence) }
                if envelope.incarnation == 2 { received.append(100 + envelope.sequence) }
                contents.append(envelope.content)
            }
            _ = try successor.receive(timeout: .milliseconds(1))
        }
        #expect(received.filter { $0 < 100 } == Array(1...20))
        #expect(received.contains(101))
        // Above the limit of a history's contents, and there whole.
        #expect(contents.contains(large))
        var none: [UInt64] = []
        try turn(successor, heir, &none) { _ in successor.counters.unacknowledged == 0 }
        #expect(none.isEmpty)
        #expect(successor.counters.unacknowledged == 0)
        for writer in [first, second, third, fourth] { try writer.seal() }
    }

    @Test("Planted faults: a copy that is always lost keeps what is behind it waiting")
    func losesEveryCopy() throws {
        let mesh = try TestMesh(.inProcess)
        let sender = try client(mesh, "a", defects: Defects(loseCopies: 5))
        let receiver = try mesh.agent("b")
        for _ in 0..<9 { try sender.client.send(to: mesh.name("b"), type: "x", content: []) }
        var received: [UInt64] = []
        try turn(sender.client, receiver.client, &received) { _ in
            sender.client.counters.resent >= 4
        }
        #expect(received == Array(1...4))
        #expect(sender.client.counters.unacknowledged == 5)
    }

    @Test("Planted faults: a receiver that swallows acknowledges all the same")
    func swallows() throws {
        let mesh = try TestMesh(.inProcess)
        let sender = try client(mesh, "a")
        let receiver = try mesh.agent("b", defects: Defects(swallow: 3))
        for _ in 0..<7 { try sender.client.send(to: mesh.name("b"), type: "x", content: []) }
        var received: [UInt64] = []
        try turn(sender.client, receiver.client, &received) { _ in
            sender.client.counters.unacknowledged == 0
        }
        #expect(received == [1, 2, 4, 5, 7])
        #expect(sender.client.counters.unacknowledged == 0)
    }
}
