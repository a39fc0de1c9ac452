import JSON
import Messaging
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
