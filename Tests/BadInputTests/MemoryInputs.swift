import Glibc
import JSON
import SharedMemory
import Synchronization
import TestSupport
import Testing
import Threads
import Wire

/// What any process with write access may do to a pool that others use.
@Suite("Bad input: shared memory", .serialized, .timeLimit(.minutes(10)))
struct MemoryInputs {
    private static let layout = PoolLayout(
        slotSize: 5_000, slotCount: 3, checksum: .verify, lease: .milliseconds(1))

    private static func path() -> String {
        "/dev/shm/synmesh-test-\(getpid())-bad-\(UInt32.random(in: 0...UInt32.max))"
    }

    private static func publish(_ value: UInt8, to pool: Pool) throws -> SlotReference {
        let loan = try eventually("a free slot") { () -> SlotReference? in
            guard let loan = try pool.loan(byteCount: 5_000) else { return nil }
            loan.withBytes { bytes in
                for index in bytes.indices { bytes[index] = value }
            }
            return try loan.publish(size: 5_000, readers: 1)
        }
        return loan
    }

    @Test("Descriptors may point anywhere: a content is read whole, or refused")
    func descriptors() throws {
        let path = Self.path()
        let segment = try PoolSegment.create(path: path, layout: Self.layout)
        defer { segment.unlink() }
        let pool = try Pool(opening: path, name: "clouds")
        try Plan(suite: "descriptors", share: 5).play { round, name, inputs in
            let value = UInt8(truncatingIfNeeded: round)
            let reference = try Self.publish(value, to: pool)
            let descriptor = PointCloudDescriptor(
                pool: "clouds", slot: reference.slot, generation: reference.generation,
                size: reference.size, digest: reference.digest, points: 1)
            let bytes = Array(descriptor.json.canonical.utf8)
            for _ in 0..<Plan.roundSize {
                guard let wrong = PointCloudDescriptor(parsing: inputs.mutate(bytes)) else {
                    continue
                }
                let other = SlotReference(
                    slot: wrong.slot, generation: wrong.generation, size: wrong.size,
                    digest: wrong.digest)
                if other == reference { continue }
                do {
                    let reading = try pool.read(other)
                    // Without a digest, nothing says that it is another content.
                    #expect(reading.size <= 5_000, name)
                } catch is SharedMemoryError {
                    continue
                }
            }
            let last = try Self.publish(value, to: pool)
            let reading = try pool.read(last)
            #expect(reading.withBytes { $0.allSatisfy { $0 == value } }, name)
        }
    }

    @Test("Header and records that change under a running writer and reader end neither")
    func changing() throws {
        let path = Self.path()
        let segment = try PoolSegment.create(path: path, layout: Self.layout)
        defer { segment.unlink() }
        let pool = try Pool(opening: path, name: "clouds")
        let intact = try Array(CodecInputs.bytes(of: path).prefix(512))
        try Plan(suite: "changing pools", share: 5).play { round, name, inputs in
            let (isDone, seed) = (Flag(), inputs.random.next())
            let scribbler = try DedicatedThread(named: "scribbler") {
                Self.scribble(on: path, seed: seed, until: isDone)
            }
            for _ in 0..<Plan.roundSize {
                do {
                    guard let loan = try pool.loan(byteCount: 5_000) else { continue }
                    loan.withBytes { $0[0] = 1 }
                    let reference = try loan.publish(size: 5_000, readers: 1)
                    let reading = try pool.read(reference)
                    _ = reading.withBytes { $0[$0.count - 1] }
                    _ = try? segment.status()
                    _ = try? Pool(opening: path, name: "other")
                } catch is SharedMemoryError {
                    continue
                }
            }
            isDone.value.store(true, ordering: .releasing)
            scribbler.join()
            try Self.overwrite(path, at: 0, intact)
            let value = UInt8(truncatingIfNeeded: round)
            let last = try Self.publish(value, to: pool)
            let reading = try pool.read(last)
            #expect(reading.withBytes { $0.allSatisfy { $0 == value } }, name)
        }
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }

    private static func scribble(on path: String, seed: UInt64, until isDone: Flag) {
        var inputs = Mutator(seed: seed)
        while !isDone.value.load(ordering: .acquiring) {
            let bytes = inputs.mutate([UInt8](repeating: 0, count: 8)).prefix(16)
            try? overwrite(path, at: inputs.number(below: 512 - 16), Array(bytes))
        }
    }

    private static func overwrite(_ path: String, at offset: Int, _ bytes: [UInt8]) throws {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw TestFailure("cannot write to the pool") }
        defer { close(file) }
        _ = pwrite(file, bytes, bytes.count, off_t(offset))
    }
}
