import Glibc
import JSON
import Messaging
import Recording
import SharedMemory
import TestSupport
import Testing
import Wire

@Suite("Point clouds in shared memory") struct CloudTests {
    /// A pool, and clients that may use it.
    final class Memory {
        let segment: PoolSegment
        let mesh: TestMesh

        init(slots: Int = 1, lease: Duration = .seconds(60)) throws {
            mesh = try TestMesh(.inProcess)
            segment = try PoolSegment.create(
                path: "/dev/shm/synmesh-test-\(getpid())-\(UInt64.random(in: 0...UInt64.max))",
                layout: PoolLayout(
                    slotSize: 4_096, slotCount: slots, checksum: .verify, lease: lease))
        }

        deinit { segment.unlink() }

        func client(
            _ agent: String, _ recorder: MemoryRecorder, over transport: (any AgentTransport)? = nil
        ) throws -> AgentClient {
            var options = AgentClient.Options()
            options.pool = "clouds"
            options.pools = [
                PoolAccess(
                    name: "clouds", path: segment.path, wait: .milliseconds(5), overflow: .fail)
            ]
            options.threshold = 1
            return try AgentClient(
                name: mesh.name(agent), incarnation: 1, clock: mesh.clock,
                transport: transport ?? mesh.transport(agent), recorder: recorder,
                options: options)
        }

        var isExpired: Bool {
            get throws { try segment.status().slots.contains(where: \.isExpired) }
        }
    }

    static func send(_ client: AgentClient, to name: String) throws -> AgentClient.CloudSending {
        try client.sendPointCloud(to: [.agent(name)], byteCount: 1_000, points: 1) {
            $0.initializeMemory(as: UInt8.self, repeating: 7)
        }
    }

    /// A cloud that the agent `b` received and keeps.
    static func kept(_ memory: Memory, _ recorder: MemoryRecorder) throws -> KeptCloud {
        let a = try memory.client("a", MemoryRecorder())
        let b = try memory.client("b", recorder)
        #expect(try send(a, to: b.name).failures.isEmpty)
        let envelope = try #require(try b.receive(timeout: .seconds(10)))
        return try b.keepPointCloud(envelope)
    }

    @Test("A cloud that finds no slot is on record, though it has no identity")
    func noSlot() throws {
        let memory = try Memory()
        let recorder = MemoryRecorder()
        let a = try memory.client("a", recorder)
        _ = try memory.client("b", MemoryRecorder())
        #expect(try Self.send(a, to: memory.mesh.name("b")).identities.count == 1)
        #expect(recorder.annotations.isEmpty)
        #expect(try Self.send(a, to: memory.mesh.name("b")).wasPoolFull)
        #expect(recorder.entries.count == 1)
        let refusals = recorder.annotations.filter {
            if case .refused(.agent(memory.mesh.name("b")), PointCloudType.shared, _, a.name, _) =
                $0
            {
                true
            } else {
                false
            }
        }
        #expect(refusals.count == 1)
    }

    @Test("A kept cloud survives a second move, however long the first one was ago")
    func secondMove() throws {
        let memory = try Memory(lease: .seconds(1))
        var cloud: KeptCloud? = try Self.kept(memory, MemoryRecorder())
        let first = try #require(cloud?.state)
        cloud = nil
        var second: AgentClient? = try memory.client(
            "c", MemoryRecorder(), over: ScriptedTransport())
        cloud = try second?.keptPointCloud(restoring: first)
        // What the second incarnation shared when it began.
        let end = ContinuousClock.now + .seconds(10)
        while try !memory.isExpired, ContinuousClock.now < end { sched_yield() }
        let state = try #require(cloud?.state)
        cloud = nil
        second = nil
        let writer = try Pool(opening: memory.segment.path, name: "clouds")
        let isTaken = try writer.loan(byteCount: 1) == nil
        #expect(isTaken)
        let third = try memory.client("d", MemoryRecorder(), over: ScriptedTransport())
        let restored = try third.keptPointCloud(restoring: state)
        #expect(restored.withBytes { $0.allSatisfy { $0 == 7 } })
    }

    @Test("A kept cloud that is gone after a move is a content that could not be read")
    func goneAfterMove() throws {
        let memory = try Memory(lease: .milliseconds(1))
        let former = MemoryRecorder()
        var cloud: KeptCloud? = try Self.kept(memory, former)
        let state = try #require(cloud?.state)
        cloud = nil
        let end = ContinuousClock.now + .seconds(10)
        while try !memory.isExpired, ContinuousClock.now < end { sched_yield() }
        let writer = try Pool(opening: memory.segment.path, name: "clouds")
        _ = try writer.loan(byteCount: 1)?.publish(size: 1, readers: 1)
        let recorder = MemoryRecorder()
        let next = try memory.client("c", recorder, over: ScriptedTransport())
        #expect(throws: MessagingError.self) { try next.keptPointCloud(restoring: state) }
        guard case .contentRead(let read, _, _, _, _)? = former.annotations.last,
            case .contentUnreadable(let lost, "clouds", _, next.name, _)? =
                recorder.annotations.last
        else {
            Issue.record("\(former.annotations), \(recorder.annotations)")
            return
        }
        #expect(lost == read)
    }
}
