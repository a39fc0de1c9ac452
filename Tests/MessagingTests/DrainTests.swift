import JSON
import Messaging
import Recording
import Routing
import Testing
import Wire

@Suite("Drained restarts") struct DrainTests {
    private func hold(_ mesh: TestMesh, _ agent: String, topics: [String]) throws {
        let arguments: Value = [
            "agent": .string(mesh.name(agent)), "topics": .array(topics.map(Value.string)),
        ]
        try mesh.branch?.command("hold", arguments)
        try mesh.topics?.command("hold", arguments)
    }

    private func release(_ mesh: TestMesh, _ agent: String, to transport: String) throws {
        let arguments: Value = [
            "agent": .string(mesh.name(agent)), "transport": .string(transport), "epoch": 2,
        ]
        try mesh.branch?.command("release", arguments)
        try mesh.topics?.command("release", arguments)
    }

    /// `a` sends and publishes all the time, on ZeroMQ; `agent` moves from one transport to the
    /// other.
    private func move(_ agent: String, to transport: String) throws {
        let mesh = try TestMesh(.bridged)
        let topic = mesh.root + ".t"
        let a = try mesh.agent("a")
        let first = try mesh.agent(
            agent,
            over: transport == "nats" ? try mesh.overZeroMQ(agent) : try mesh.overNATS(agent))
        try first.client.subscribe(to: topic)
        func exchange(_ count: Int) throws {
            for _ in 0..<count {
                try a.client.send(to: mesh.name(agent), type: "x", content: [1])
                try a.client.publish(topic: topic, type: "x", content: [2])
            }
        }
        try exchange(50)
        let early = try first.client.receive(count: 20)
        try hold(mesh, agent, topics: [topic])
        try exchange(50)
        var delivered = early
        let result = try first.client.drain { delivered.append($0) }
        #expect(result.isInboundComplete)
        #expect(result.isOutboundComplete)
        #expect(result.problems == [])
        #expect(throws: MessagingError.self) {
            try first.client.send(to: a.client.name, type: "x", content: [])
        }
        let state = try Value(parsing: Array(first.client.state.canonical.utf8))
        first.client.close()
        try exchange(50)
        let second = try mesh.agent(
            agent, incarnation: 2,
            over: transport == "nats" ? try mesh.overNATS(agent) : try mesh.overZeroMQ(agent, 2),
            restoring: state)
        try second.client.subscribe(to: topic)
        try exchange(50)
        try release(mesh, agent, to: transport)
        try exchange(50)
        delivered += try second.client.receive(count: 500 - delivered.count)
        let direct = delivered.filter { $0.destination == .agent(mesh.name(agent)) }
        let published = delivered.filter { $0.destination == .topic(topic) }
        #expect(direct.map(\.sequence) == Array(1...250))
        #expect(published.map(\.sequence) == Array(1...250))
        #expect(second.client.counters.gaps == 0)
        #expect(second.client.counters.late == 0)
        #expect(try second.client.receive(timeout: .milliseconds(100)) == nil)
        // The moved agent speaks with a new incarnation, from 1.
        let identity = try second.client.send(to: a.client.name, type: "x", content: [9])
        #expect(identity.incarnation == 2)
        #expect(identity.sequence == 1)
        #expect(try a.client.receive(timeout: .seconds(10))?.identity == identity)
    }

    @Test("From ZeroMQ to NATS under load: each envelope once, in order")
    func toNATS() throws { try move("c", to: "nats") }

    @Test("From NATS to ZeroMQ under load: each envelope once, in order")
    func toZeroMQ() throws { try move("b", to: "zmq") }

    @Test("Without a marker a drain ends at its deadline, and says so")
    func noMarker() throws {
        let mesh = try TestMesh(.zeroMQ)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        try a.client.send(to: b.client.name, type: "x", content: [1])
        var delivered: [Envelope] = []
        let result = try b.client.drain(deadline: .milliseconds(200)) { delivered.append($0) }
        #expect(!result.isInboundComplete)
        #expect(result.isOutboundComplete)
        #expect(delivered.count <= 1)
    }

    @Test("The last marker of an earlier hold is not taken for that of the present one")
    func staleMarker() throws {
        let mesh = try TestMesh(.zeroMQ)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let topic = mesh.root + ".t"
        try b.client.subscribe(to: topic)
        func hold(_ number: Int64) -> Value {
            [
                "agent": .string(b.client.name), "topics": [.string(topic)],
                "epoch": .integer(number),
            ]
        }
        let release: Value = ["agent": .string(b.client.name), "transport": "zmq", "epoch": 1]
        // A move that is given up.
        for proxy in [mesh.branch, mesh.topics] {
            try proxy?.command("hold", hold(1))
            try proxy?.command("release", release)
        }
        try a.client.publish(topic: topic, type: "fence", content: [])
        try a.client.send(to: b.client.name, type: "fence", content: [])
        #expect(try b.client.receive(count: 2).count == 2)
        // The next one, of which the topic proxy has not said its last word yet.
        try mesh.branch?.command("hold", hold(2))
        let result = try b.client.drain(hold: 2, deadline: .milliseconds(300)) { _ in }
        #expect(!result.isInboundComplete)

        let c = try mesh.agent("c")
        try c.client.subscribe(to: topic)
        for proxy in [mesh.branch, mesh.topics] {
            try proxy?.command(
                "hold",
                ["agent": .string(c.client.name), "topics": [.string(topic)], "epoch": 3])
        }
        let last = try c.client.drain(hold: 3) { _ in }
        #expect(last.isInboundComplete)
    }

    @Test("What comes after the deadline, or is too large for the handover, is named as dropped")
    func leftBehind() throws {
        func envelope(_ sequence: UInt64, _ source: String) -> Inbound {
            .arrival(
                Arrival(
                    Envelope(
                        identity: Identity(
                            flow: Flow(source: source, destination: .agent("b")), incarnation: 1,
                            sequence: sequence), type: "x", sent: 1, content: [1, 2, 3]),
                    transport: "scripted"))
        }
        let transport = ScriptedTransport(
            [envelope(1, "a"), envelope(2, "held"), envelope(3, "held")])
        transport.late = [envelope(2, "a"), envelope(3, "a")]
        let recorder = MemoryRecorder()
        var limits = Receiver.Limits()
        limits.handoverBytes = 4
        let client = try AgentClient(
            name: "b", incarnation: 1, clock: .starting(), transport: transport,
            recorder: recorder, limits: limits)
        let result = try client.drain(deadline: .milliseconds(10)) { _ in }
        #expect(!result.isInboundComplete)
        #expect(result.delivered == 1)
        #expect(result.problems.contains { $0.contains("too large for the handover") })
        #expect(client.state["held"]?.array?.count == 1)
        transport.inbound = [envelope(4, "a")]
        client.close()
        let dropped = recorder.annotations.compactMap { annotation -> String? in
            guard case .dropped(let identity, _, "b", _) = annotation else { return nil }
            return "\(identity.flow.source) \(identity.sequence)"
        }
        #expect(dropped.sorted() == ["a 2", "a 3", "a 4", "held 3"])
    }

    @Test("What the proxies keep for the next incarnation is not called dropped")
    func keptIsNotDropped() throws {
        let transport = ScriptedTransport()
        transport.isInboundDrained = true
        transport.late = [
            .arrival(
                Arrival(
                    Envelope(
                        identity: Identity(
                            flow: Flow(source: "a", destination: .agent("b")), incarnation: 1,
                            sequence: 1), type: "x", sent: 1), transport: "scripted"))
        ]
        let recorder = MemoryRecorder()
        let client = try AgentClient(
            name: "b", incarnation: 1, clock: .starting(), transport: transport,
            recorder: recorder)
        let result = try client.drain { _ in }
        #expect(result.isInboundComplete)
        client.close()
        #expect(recorder.annotations == [])
    }

    @Test(
        "Answers sent while draining arrive",
        arguments: [MeshKind.zeroMQ, .nats, .inProcess, .dual])
    func answersWhileDraining(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b, c) = (try mesh.agent("a"), try mesh.agent("b"), try mesh.agent("c"))
        for index in 0..<100 {
            try a.client.send(to: b.client.name, type: "question", content: [UInt8(index)])
        }
        // Once this is there, all of them have passed the branch or the server.
        try a.client.send(to: c.client.name, type: "fence", content: [])
        #expect(try c.client.receive(timeout: .seconds(10))?.type == "fence")
        try hold(mesh, "b", topics: [])
        let result = try b.client.drain { envelope in
            try b.client.send(
                to: a.client.name, type: "answer", content: envelope.content,
                cause: envelope.identity)
        }
        #expect(result.isInboundComplete)
        #expect(result.isOutboundComplete)
        #expect(result.delivered == 100)
        #expect(try a.client.receive(count: 100).map(\.sequence) == Array(1...100))
    }
}
