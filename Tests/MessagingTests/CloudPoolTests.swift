import Glibc
import JSON
import Messaging
import Recording
import SharedMemory
import Testing
import Wire

/// A pool that is there as long as the value is.
final class TestPool {
    let path = "/dev/shm/synmesh-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    let segment: PoolSegment

    init(
        slots: Int = 1, size: Int = 4_096, checksum: Checksum = .verify,
        lease: Duration = .seconds(60)
    ) throws {
        segment = try PoolSegment.create(
            path: path,
            layout: PoolLayout(
                slotSize: size, slotCount: slots, checksum: checksum, lease: lease))
    }

    deinit { segment.unlink() }

    /// Slots that could be written to now.
    var free: Int {
        get throws { try segment.status().slots.count { !$0.isInUse } }
    }
}

/// Point clouds on their way through shared memory, and beside it.
@Suite("Point clouds on their way") struct CloudPoolTests {
    let mesh: TestMesh

    init() throws { mesh = try TestMesh(.inProcess) }

    static func agent(
        _ name: String, in mesh: TestMesh, pool: TestPool?, overflow: PoolAccess.Overflow = .fail,
        wait: Duration = .zero, incarnation: UInt32 = 1, defects: Defects? = nil
    ) throws -> TestAgent {
        let recorder = MemoryRecorder()
        var options = AgentClient.Options()
        options.defects = defects
        options.threshold = 100
        if let pool {
            options.pool = "clouds"
            options.pools = [
                PoolAccess(name: "clouds", path: pool.path, wait: wait, overflow: overflow)
            ]
        }
        let client = try AgentClient(
            name: mesh.name(name), incarnation: incarnation, clock: mesh.clock,
            transport: mesh.transport(name, incarnation: incarnation), recorder: recorder,
            options: options)
        return TestAgent(client: client, recorder: recorder, mesh: mesh)
    }

    func agent(
        _ name: String, _ pool: TestPool?, overflow: PoolAccess.Overflow = .fail,
        incarnation: UInt32 = 1, defects: Defects? = nil
    ) throws -> TestAgent {
        try Self.agent(
            name, in: mesh, pool: pool, overflow: overflow, incarnation: incarnation,
            defects: defects)
    }

    /// Sends `pattern(count)`.
    @discardableResult
    static func send(
        _ count: Int, from agent: TestAgent, to destinations: [Address]
    ) throws -> AgentClient.CloudSending {
        try agent.client.sendPointCloud(to: destinations, byteCount: count, points: count / 12) {
            $0.copyBytes(from: pattern(count))
        }
    }

    static func cloud(_ agent: TestAgent) throws -> Envelope {
        try #require(try agent.client.receive(timeout: .seconds(10)))
    }

    static func bytes(_ envelope: Envelope, at agent: TestAgent) throws -> [UInt8] {
        try agent.client.receivePointCloud(envelope) { [UInt8]($0) }
    }

    /// What was noted of contents in shared memory.
    static func notes(_ agent: TestAgent) -> [String] {
        agent.recorder.annotations.compactMap { annotation in
            switch annotation {
            case .contentRead(_, _, let isVerified, _, _): isVerified ? "verified" : "read"
            case .contentUnreadable: "unreadable"
            default: nil
            }
        }
    }

    @Test("one slot serves all destinations, and is free when the last has read it")
    func oneSlot() throws {
        let pool = try TestPool()
        let (a, b, c) = try (agent("a", pool), agent("b", pool), agent("c", pool))
        let to = [b, c].map { Address.agent($0.client.name) }
        let sending = try Self.send(1_000, from: a, to: to)
        #expect(sending.identities.count == 2)
        #expect(try pool.segment.status().loans == 1)
        for receiver in [b, c] {
            #expect(try pool.free == 0)
            let envelope = try Self.cloud(receiver)
            #expect(envelope.type == PointCloudType.shared)
            #expect(envelope.contentEncoding == .descriptor)
            #expect(envelope.content.count < 200)
            #expect(try Self.bytes(envelope, at: receiver) == pattern(1_000))
            #expect(Self.notes(receiver) == ["verified"])
        }
        #expect(try pool.free == 1)
    }

    @Test("what is below the threshold, or has no pool, goes inside of the message")
    func direct() throws {
        let pool = try TestPool()
        let (a, b, c) = try (agent("a", pool), agent("b", pool), agent("c", nil))
        for (sender, count) in [(a, 99), (c, 1_000)] {
            try Self.send(count, from: sender, to: [.agent(b.client.name)])
            let envelope = try Self.cloud(b)
            #expect(envelope.type == PointCloudType.direct)
            #expect(envelope.content == pattern(count))
            #expect(try Self.bytes(envelope, at: b) == pattern(count))
        }
        #expect(try pool.segment.status().loans == 0)
    }

    @Test("a full pool is waited for, and then fails before anything gets an identity")
    func full() throws {
        let pool = try TestPool()
        let a = try Self.agent("a", in: mesh, pool: pool, wait: .milliseconds(20))
        let b = try agent("b", pool)
        let to: [Address] = [.agent(b.client.name)]
        try Self.send(1_000, from: a, to: to)
        let began = ContinuousClock.now
        let refused = try Self.send(1_000, from: a, to: to)
        #expect(began.duration(to: .now) >= .milliseconds(20))
        #expect(refused.identities.isEmpty)
        #expect(refused.wasPoolFull)
        #expect(
            refused.failures.map(\.reason) == [.poolFull("clouds", waited: .milliseconds(20))])
        #expect(try pool.segment.status().refused == 1)
        #expect(a.recorder.envelopes(.sent).count == 1)
        _ = try Self.bytes(Self.cloud(b), at: b)
        #expect(try Self.send(1_000, from: a, to: to).identities.count == 1)
    }

    @Test(
        "a full pool, or one of small slots, is gone round where the topology says so",
        arguments: [(1_000, true), (5_000, false)])
    func aside(size: Int, fillsFirst: Bool) throws {
        let pool = try TestPool()
        let a = try agent("a", pool, overflow: .direct)
        let b = try agent("b", pool)
        let to: [Address] = [.agent(b.client.name)]
        if fillsFirst {
            try Self.send(size, from: a, to: to)
        }
        #expect(try Self.send(size, from: a, to: to).identities.count == 1)
        let envelopes = try b.client.receive(count: fillsFirst ? 2 : 1)
        #expect(envelopes.last?.type == PointCloudType.direct)
        for envelope in envelopes {
            #expect(try Self.bytes(envelope, at: b) == pattern(size))
        }
    }

    @Test("what fits neither a slot nor a message is refused with both reasons")
    func noWay() throws {
        let mesh = try TestMesh(.nats)
        mesh.isChunking = false
        let pool = try TestPool()
        let a = try Self.agent("a", in: mesh, pool: pool, overflow: .direct)
        let sending = try Self.send(2 << 20, from: a, to: [.agent(mesh.name("b"))])
        #expect(sending.identities.isEmpty)
        let failure = try #require(sending.failures.first)
        guard case .noWay(let shortage, let bytes, let limit) = failure.reason else {
            Issue.record("\(failure)")
            return
        }
        #expect(shortage.contains("4096"))
        #expect(bytes > limit)
        #expect(failure.remedy?.contains("max_payload") == true)
    }

    @Test("a repeat that the receiver's rule drops reads nothing")
    func repeats() throws {
        let pool = try TestPool()
        let a = try agent("a", pool, defects: Defects(repeat: 1))
        let (b, c) = try (agent("b", pool), agent("c", pool))
        try Self.send(1_000, from: a, to: [b, c].map { .agent($0.client.name) })
        let envelope = try Self.cloud(b)
        _ = try Self.bytes(envelope, at: b)
        #expect(try b.client.isQuiet(after: a.client))
        // The cloud's, and perhaps already the fence's.
        #expect(b.client.counters.repeats >= 1)
        #expect(try pool.free == 0)
        #expect(try Self.bytes(Self.cloud(c), at: c) == pattern(1_000))
        #expect(try pool.free == 1)
    }

    @Test("an envelope's content can be read once: others have a right to their turn")
    func once() throws {
        let pool = try TestPool()
        let (a, b, c) = try (agent("a", pool), agent("b", pool), agent("c", pool))
        try Self.send(1_000, from: a, to: [b, c].map { .agent($0.client.name) })
        let envelope = try Self.cloud(b)
        _ = try Self.bytes(envelope, at: b)
        let error = #expect(throws: MessagingError.self) { try Self.bytes(envelope, at: b) }
        #expect(error?.reason == .alreadyRead)
        #expect(Self.notes(b) == ["verified"])
        #expect(try Self.bytes(Self.cloud(c), at: c) == pattern(1_000))
    }

    @Test("what could not be sent is not waited for")
    func withdrawn() throws {
        let pool = try TestPool()
        let (a, b) = try (agent("a", pool), agent("b", pool))
        let sending = try Self.send(
            1_000, from: a, to: [.topic("not a topic"), .agent(b.client.name)])
        #expect(sending.identities.count == 1)
        #expect(sending.failures.count == 1)
        _ = try Self.bytes(Self.cloud(b), at: b)
        #expect(try pool.free == 1)
    }

    @Test("what is published to a topic stays until its lease ends")
    func topics() throws {
        let pool = try TestPool()
        let (a, b) = try (agent("a", pool), agent("b", pool))
        try b.client.subscribe(to: mesh.root)
        try Self.send(1_000, from: a, to: [.topic(mesh.root)])
        #expect(try Self.bytes(Self.cloud(b), at: b) == pattern(1_000))
        #expect(try pool.free == 0)
    }

    @Test("a content whose lease ended is not read as another one's, and that is noted")
    func stale() throws {
        let pool = try TestPool(lease: .nanoseconds(1))
        let (a, b) = try (agent("a", pool), agent("b", pool))
        for count in [1_000, 2_000] {
            #expect(
                try Self.send(count, from: a, to: [.agent(b.client.name)]).identities.count == 1)
        }
        let first = try Self.cloud(b)
        let error = #expect(throws: MessagingError.self) { try Self.bytes(first, at: b) }
        guard case .sharedMemory(let reason) = error?.reason else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.reason == .stale)
        #expect(Self.notes(b) == ["unreadable"])
        #expect(b.client.counters.unreadable == 1)
        #expect(try Self.bytes(Self.cloud(b), at: b) == pattern(2_000))
    }

    @Test(
        "a content that was altered after it was written is found where digests are compared",
        arguments: [(Checksum.verify, "unreadable"), (.write, "read"), (.none, "read")])
    func altered(checksum: Checksum, note: String) throws {
        let pool = try TestPool(slots: 2, checksum: checksum)
        let a = try agent("a", pool, defects: Defects(alterMemory: 2))
        let b = try agent("b", pool)
        for _ in 0..<2 { try Self.send(1_000, from: a, to: [.agent(b.client.name)]) }
        #expect(try Self.bytes(Self.cloud(b), at: b) == pattern(1_000))
        let second = try Self.cloud(b)
        let read = try? Self.bytes(second, at: b)
        #expect(read != pattern(1_000))
        #expect((read == nil) == (checksum == .verify))
        #expect(Self.notes(b).last == note)
        #expect(try pool.free == 2)
    }

    @Test(
        "what is no descriptor, or names no pool of the mesh, is noted as unreadable",
        arguments: [
            "{}",
            #"{"pool":"other","slot":0,"generation":1,"size":1,"points":1}"#,
            #"{"pool":"clouds","slot":9,"generation":1,"size":1,"points":1}"#,
        ])
    func malformed(content: String) throws {
        let pool = try TestPool()
        let (a, b) = try (agent("a", pool), agent("b", pool))
        try a.client.send(
            to: b.client.name, type: PointCloudType.shared, content: Array(content.utf8),
            encoding: .json)
        let envelope = try Self.cloud(b)
        #expect(throws: MessagingError.self) { try Self.bytes(envelope, at: b) }
        #expect(Self.notes(b) == ["unreadable"])
    }

    @Test("a kept cloud stays, is forwarded without a copy, and is free at the end")
    func kept() throws {
        let pool = try TestPool()
        let (a, b, c) = try (agent("a", pool), agent("b", pool), agent("c", pool))
        try Self.send(1_000, from: a, to: [.agent(b.client.name)])
        do {
            let cloud = try b.client.keepPointCloud(Self.cloud(b))
            #expect(cloud.byteCount == 1_000)
            #expect(cloud.withBytes { [UInt8]($0) } == pattern(1_000))
            #expect(try pool.free == 0)
            _ = try b.client.forwardPointCloud(cloud, to: [.agent(c.client.name)])
        }
        #expect(try pool.free == 0)
        let envelope = try Self.cloud(c)
        #expect(envelope.type == PointCloudType.shared)
        #expect(try Self.bytes(envelope, at: c) == pattern(1_000))
        #expect(try pool.segment.status().loans == 1)
        #expect(try pool.free == 1)
    }

    @Test("a kept cloud passes to the next incarnation, and to one more should that fail")
    func inherited() throws {
        let pool = try TestPool()
        let a = try agent("a", pool)
        var b = try agent("b", pool)
        try Self.send(1_000, from: a, to: [.agent(b.client.name)])
        var state: Value = .null
        do {
            let cloud = try b.client.keepPointCloud(Self.cloud(b))
            state = cloud.state
        }
        #expect(state.canonical.count < 200)
        for incarnation in UInt32(2)...3 {
            #expect(try pool.free == 0)
            b.client.close()
            b = try agent("b", pool, incarnation: incarnation)
            let cloud = try b.client.keptPointCloud(restoring: state)
            #expect(cloud.withBytes { [UInt8]($0) } == pattern(1_000))
            // The second incarnation ends like one that was killed: it takes nothing back.
            if incarnation == 2 { _ = cloud.state }
        }
        #expect(try pool.free == 1)
    }

    @Test("a cloud that came inside of the message is kept and passed on as it is")
    func keptDirect() throws {
        let (a, b, c) = try (agent("a", nil), agent("b", nil), agent("c", nil))
        try Self.send(1_000, from: a, to: [.agent(b.client.name)])
        let cloud = try b.client.keepPointCloud(Self.cloud(b))
        let restored = try b.client.keptPointCloud(restoring: cloud.state)
        #expect(restored.withBytes { [UInt8]($0) } == pattern(1_000))
        _ = try b.client.forwardPointCloud(restored, to: [.agent(c.client.name)])
        #expect(try Self.bytes(Self.cloud(c), at: c) == pattern(1_000))
    }

    @Test(
        "a descriptor passes every transport, and a shadow copy reads nothing",
        arguments: MeshKind.allCases)
    func transports(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let pool = try TestPool(size: 8 << 20)
        let a = try Self.agent("a", in: mesh, pool: pool)
        let b = try Self.agent("b", in: mesh, pool: pool)
        for _ in 0..<3 {
            // More than NATS would carry, in one slot: each is read before the next is sent.
            let sending = try Self.send(2 << 20, from: a, to: [.agent(b.client.name)])
            #expect(sending.failures.isEmpty)
            let envelope = try Self.cloud(b)
            #expect(envelope.contentEncoding == .descriptor)
            #expect(try Self.bytes(envelope, at: b) == pattern(2 << 20))
        }
        #expect(try pool.segment.status().reads == 3)
        if kind == .dual {
            #expect(a.recorder.envelopes(.sent, .shadow).count == 3)
        }
    }
}
