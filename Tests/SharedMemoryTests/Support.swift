internal import Glibc
internal import SharedMemory
internal import Synchronization
internal import TestSupport

/// A pool in /dev/shm that is gone after the test.
final class TestPool {
    let path: String
    let segment: PoolSegment
    let layout: PoolLayout

    private static let counter = Atomic(0)

    /// The start of the names of all the pools of these tests.
    static let prefix = "synmesh-test-\(getpid())-pool-"

    /// A path that nothing is at.
    static func freshPath() -> String {
        "/dev/shm/\(prefix)\(counter.add(1, ordering: .relaxed).newValue)"
    }

    init(
        slotSize: Int = 10_000, slotCount: Int = 4, checksum: Checksum = .verify,
        lease: Duration = .seconds(60)
    ) throws {
        path = Self.freshPath()
        layout = PoolLayout(
            slotSize: slotSize, slotCount: slotCount, checksum: checksum, lease: lease)
        segment = try PoolSegment.create(path: path, layout: layout)
    }

    deinit { unlink(path) }

    func open() throws -> Pool { try Pool(opening: path, name: "clouds") }
}

extension Pool {
    /// Publishes that many bytes of one value.
    func publish(_ value: UInt8, count: Int, readers: Int = 1) throws -> SlotReference {
        let loan = try lend(count)
        loan.withBytes { bytes in
            for index in bytes.indices { bytes[index] = value }
        }
        return try loan.publish(size: count, readers: readers)
    }

    /// A loan that there must be.
    func lend(_ byteCount: Int) throws -> Loan {
        guard let loan = try loan(byteCount: byteCount) else {
            throw TestFailure("no slot is free")
        }
        return loan
    }

    /// Which slot would be lent now; nil when none.
    func freeSlot() throws -> Int? {
        guard let loan = try loan(byteCount: 1) else { return nil }
        return loan.slot
    }

    /// Reads all that a reference names.
    func bytes(_ reference: SlotReference) throws -> [UInt8] {
        let reading = try read(reference)
        return reading.withBytes { [UInt8]($0) }
    }
}

/// The reason of what `body` throws; nil when it throws nothing.
func reason(
    _ body: () throws(SharedMemoryError) -> Void
) -> SharedMemoryError.Reason? {
    do throws(SharedMemoryError) {
        try body()
        return nil
    } catch {
        return error.reason
    }
}
