import JSON
import Messaging
import Recording
import Routing
import Testing
import Wire

@Suite("Batching") struct BatchingTests {
    static let kinds = MeshKind.allCases
    /// So long that only what fills a batch, or says so, sends it.
    static let patient = Batching(messages: 50, bytes: 65_536, latency: .seconds(30))

    @Test("What goes in batches arrives once, in order, beside what does not", arguments: kinds)
    func order(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let a = try mesh.agent("a", batching: Self.patient)
        let b = try mesh.agent("b")
        let large = pattern(70_000)
        var sent: [Identity] = []
        for index in 0..<300 {
            // The large ones are no part of any batch, and stay where they are in their flow.
            sent.append(
                try a.client.send(
                    to: b.client.name, type: index % 3 == 0 ? "third" : "other",
                    content: index % 70 == 69 ? large : Array(String(index).utf8),
                    encoding: index % 2 == 0 ? .binary : .json, cause: sent.last))
        }
        try a.client.flush()
        let received = try b.client.receive(count: 300)
        #expect(received.map(\.identity) == sent)
        #expect(received.map(\.sequence) == Array(1...300))
        // Every field is what was recorded by the sender, but for the bridges on the way.
        let fields = received.map { envelope in
            var envelope = envelope
            envelope.hops = 0
            return envelope
        }
        #expect(fields == a.recorder.envelopes(.sent))
        #expect(b.recorder.envelopes(.delivered) == received)
        #expect(b.client.counters.repeats == 0 && b.client.counters.gaps == 0)
        #expect(Array(b.client.counters.delivered.values) == [300])
        #expect(a.client.counters.sent == [.agent(b.client.name): 300])
    }

    @Test(
        "Topics too, for who is subscribed to them", arguments: [MeshKind.zeroMQ, .nats, .bridged])
    func topics(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let a = try mesh.agent("a", batching: Self.patient)
        let (b, c) = (try mesh.agent("b"), try mesh.agent("c"))
        try b.client.subscribe(to: mesh.root)
        try c.client.subscribe(to: mesh.root + ".odd")
        for index in 0..<200 {
            try a.client.publish(
                topic: mesh.root + (index % 2 == 0 ? ".even" : ".odd"), type: "x",
                content: Array(String(index).utf8))
        }
        try a.client.flush()
        #expect(try b.client.receive(count: 200).count == 200)
        #expect(try c.client.receive(count: 100).map(\.sequence) == Array(1...100))
    }

    @Test(
        "What waits leaves at its time, though nothing follows",
        arguments: [MeshKind.zeroMQ, .nats])
    func deadline(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let a = try mesh.agent(
            "a", batching: Batching(messages: 1_000, bytes: 65_536, latency: .milliseconds(20)))
        let b = try mesh.agent("b")
        try a.client.send(to: b.client.name, type: "x", content: [1])
        try a.client.send(to: b.client.name, type: "x", content: [2])
        // It has not left yet, and leaves while the sender does no more than wait.
        #expect(try a.client.receive(timeout: .milliseconds(40)) == nil)
        #expect(try b.client.receive(count: 2).map(\.content) == [[1], [2]])
    }

    @Test(
        "Who asks is answered at once, and the end sends all", arguments: [MeshKind.zeroMQ, .nats])
    func ends(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let a = try mesh.agent("a", batching: Self.patient)
        let b = try mesh.agent("b")
        for _ in 0..<3 { try a.client.send(to: b.client.name, type: "x", content: []) }
        a.client.close()
        #expect(try b.client.receive(count: 3).count == 3)
    }

    @Test("Who takes no batches gets single envelopes")
    func singles() throws {
        let transport = CountingTransport()
        var options = AgentClient.Options()
        options.batching = Batching(
            latency: .seconds(30), singles: ["old"], areTopicsSingle: true)
        let client = try AgentClient(
            name: "a", incarnation: 1, clock: .starting(), transport: transport, options: options)
        for _ in 0..<4 {
            try client.send(to: "old", type: "x", content: [1])
            try client.publish(topic: "t", type: "x", content: [1])
            try client.send(to: "new", type: "x", content: [1])
        }
        #expect(transport.sent.map(\.kind) == Array(repeating: .content, count: 8))
        try client.flush()
        #expect(transport.sent.last?.kind == .batch && transport.sent.last?.envelopeCount == 4)
    }

    @Test("Both limits are kept: of messages, and of bytes")
    func limits() throws {
        let transport = CountingTransport()
        var options = AgentClient.Options()
        options.batching = Batching(messages: 10, bytes: 4_096, latency: .seconds(30))
        let client = try AgentClient(
            name: "a", incarnation: 1, clock: .starting(), transport: transport, options: options)
        for _ in 0..<25 { try client.send(to: "b", type: "x", content: [1]) }
        #expect(transport.sent.map(\.envelopeCount) == [10, 10])
        for _ in 0..<10 { try client.send(to: "b", type: "x", content: pattern(1_000)) }
        try client.flush()
        #expect(transport.sent.allSatisfy { $0.contentSize <= 4_096 && $0.envelopeCount <= 10 })
        #expect(transport.sent.flatMap(\.identities).map(\.sequence) == Array(1...35))
    }

    @Test("A batch without room is named envelope by envelope, and its receiver is told once")
    func dropped() throws {
        let transport = CountingTransport()
        var options = AgentClient.Options()
        options.sendTimeout = .milliseconds(20)
        options.batching = Batching(messages: 5, latency: .seconds(30))
        let recorder = MemoryRecorder()
        let client = try AgentClient(
            name: "a", incarnation: 1, clock: .starting(), transport: transport,
            recorder: recorder, options: options)
        transport.hasRoom = false
        for _ in 0..<4 { try client.send(to: "b", type: "x", content: [1]) }
        #expect(throws: MessagingError.self) {
            try client.send(to: "b", type: "x", content: [1])
        }
        let dropped = recorder.annotations.compactMap { annotation -> UInt64? in
            guard case .dropped(let identity, _, _, _) = annotation else { return nil }
            return identity.sequence
        }
        #expect(dropped == [1, 2, 3, 4, 5])
        #expect(client.counters.dropped == 5 && client.unsentInBatches == 4)
        transport.hasRoom = true
        try client.send(to: "b", type: "x", content: [1])
        try client.flush()
        #expect(transport.sent.map(\.kind) == [.gap, .content])
        let notice = try #require(transport.sent.first.flatMap { try? Value(parsing: $0.content) })
        #expect(notice["from"] == 1 && notice["through"] == 5)
    }

    @Test("Planted faults are those of envelopes, not of batches")
    func defects() throws {
        let mesh = try TestMesh(.zeroMQ)
        let a = try mesh.agent("a", defects: Defects(lose: 10), batching: Self.patient)
        let b = try mesh.agent("b")
        for _ in 0..<100 { try a.client.send(to: b.client.name, type: "x", content: []) }
        try a.client.flush()
        let received = try b.client.receive(count: 90).map(\.sequence)
        #expect(received == (1...100).filter { $0 % 10 != 0 })
    }

    @Test("A move of the receiver keeps batches whole and in order", arguments: ["nats", "zmq"])
    func move(to transport: String) throws {
        let mesh = try TestMesh(.bridged)
        let a = try mesh.agent("a", batching: Batching(messages: 7, latency: .seconds(30)))
        let moved = transport == "nats" ? "c" : "b"
        let first = try mesh.agent(moved)
        func exchange() throws {
            for _ in 0..<50 {
                try a.client.send(to: mesh.name(moved), type: "x", content: [1])
            }
        }
        try exchange()
        var delivered = try first.client.receive(count: 20)
        try mesh.branch?.command("hold", ["agent": .string(mesh.name(moved)), "topics": []])
        try exchange()
        let result = try first.client.drain { delivered.append($0) }
        #expect(result.isInboundComplete && result.isOutboundComplete)
        first.client.close()
        try exchange()
        let second = try mesh.agent(
            moved, incarnation: 2,
            over: transport == "nats"
                ? try mesh.overNATS(moved) : try mesh.overZeroMQ(moved, 2),
            restoring: first.client.state)
        try mesh.branch?.command(
            "release",
            ["agent": .string(mesh.name(moved)), "transport": .string(transport), "epoch": 2])
        try a.client.flush()
        delivered += try second.client.receive(count: 150 - delivered.count)
        #expect(delivered.map(\.sequence) == Array(1...150))
        #expect(second.client.counters.gaps == 0)
    }
}
