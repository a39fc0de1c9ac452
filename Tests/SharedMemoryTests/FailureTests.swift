internal import CLinux
internal import Glibc
internal import TestSupport
import Testing

@testable import SharedMemory

@Suite("Pools: the ways in which shared memory fails")
struct FailureTests {
    @Test("A killed writer leaves its slot to the next, and the file to the owner to remove")
    func killedWriter() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        // Killed with the loan in its hands: the tenth change is the first of publishing.
        let end = try Subject.run(["once", "write", pool.path, "10", "0", "0", "0", "0"])
        #expect(end.signal == SIGKILL)
        let slot = try pool.segment.status().slots[0]
        #expect(slot.state == .loaned && slot.use == .nobody)
        #expect(!slot.isOwnerAlive && slot.owner == Int(end.process))
        #expect(try opened.freeSlot() != nil)
        #expect(try pool.segment.status().reclaimed == 1)
        pool.segment.unlink()
        #expect(access(pool.path, F_OK) == -1)
    }

    @Test(
        "A file that is not ready, or no pool, is refused when it is opened",
        arguments: [0, 7, 127, 128, 4_096, 100_000])
    func notReady(_ size: Int) throws {
        let path = TestPool.freshPath()
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer {
            close(file)
            unlink(path)
        }
        #expect(ftruncate(file, off_t(size)) == 0)
        #expect(openingFails(path) == .notAPool)
    }

    @Test("The magic is what is written last")
    func magicLast() throws {
        let pool = try TestPool()
        let rogue = try Mapping.open(pool.path, attempt: "").0
        rogue.store(.magic, 0)
        #expect(openingFails(pool.path) == .notAPool)
        var changes: [UInt64] = []
        rogue.willStore = { changes.append(rogue.load(.magic)) }
        let geometry = try PoolGeometry(pool.layout, attempt: "")
        rogue.format(geometry, firstGeneration: 1)
        #expect(changes.count > 10 && changes.allSatisfy { $0 == 0 })
        #expect(rogue.load(.magic) == PoolGeometry.magic)
    }

    @Test("What is missing, a directory, a link or a pipe is no pool")
    func otherFiles() throws {
        let directory = try TemporaryDirectory()
        let pool = try TestPool()
        #expect(openingFails(directory.file("none")) == .notFound)
        #expect(openingFails(directory.path) == .system(EISDIR))
        #expect(symlink(pool.path, directory.file("link")) == 0)
        #expect(openingFails(directory.file("link")) == .system(ELOOP))
        #expect(mkfifo(directory.file("fifo"), 0o600) == 0)
        #expect(openingFails(directory.file("fifo")) == .notAPool)
    }

    @Test("A copy of a pool is none: its locks are others'")
    func copy() throws {
        let pool = try TestPool()
        let directory = try TemporaryDirectory()
        _ = try output(of: ["cp", pool.path, directory.file("copy")])
        #expect(openingFails(directory.file("copy")) == .notAPool)
    }

    @Test("A file that somebody cut is refused, and not touched", arguments: [0, 4_096, 20_000])
    func cut(_ size: Int) throws {
        let pool = try TestPool(slotCount: 4)
        let opened = try pool.open()
        let loan = try opened.lend(10_000)
        let reference = try opened.publish(1, count: 10_000, readers: 3)
        let reading = try opened.read(reference)
        #expect(truncate(pool.path, off_t(size)) == 0)
        #expect(openingFails(pool.path) == .notAPool)
        #expect(reasonsOfAll(opened, reference, reading, loan) == Set([.corrupted]))
        #expect(
            reason { () throws(SharedMemoryError) in _ = try pool.segment.status() } == .corrupted)
    }

    @Test("A file that was removed, or made again under the same name, is not mistaken for another")
    func replaced() throws {
        let pool = try TestPool()
        let opened = try pool.open()
        let loan = try opened.lend(10)
        let reference = try opened.publish(1, count: 10, readers: 3)
        let reading = try opened.read(reference)
        unlink(pool.path)
        let next = try PoolSegment.create(path: pool.path, layout: pool.layout)
        #expect(reasonsOfAll(opened, reference, reading, loan) == Set([.notFound]))
        // The old reference names nothing in the new file, and its first owner does not remove it.
        let other = try pool.open()
        #expect(
            reason { () throws(SharedMemoryError) in _ = try other.read(reference) } == .stale)
        pool.segment.unlink()
        #expect(access(pool.path, F_OK) == 0)
        next.unlink()
        #expect(access(pool.path, F_OK) == -1)
    }

    @Test("Where there is no room the pool is refused when it is made, with what to do")
    func noSpace() throws {
        let directory = try TemporaryDirectory()
        let script = """
            mount -t tmpfs -o size=256k none '\(directory.path)' || exit 77
            '\(try builtProgram("shared-memory-subject"))' create '\(directory.path)/pool' 1048576 1
            ls '\(directory.path)'
            """
        let end = try Subject.run(program: "unshare", ["-m", "sh", "-c", script])
        if end.code == 77 || end.text.hasPrefix("unshare: ") {
            try Test.cancel("mounting a file system takes rights that this user has not")
        }
        #expect(end.text.hasPrefix("noSpace could not make the pool"))
        #expect(end.text.contains("it takes 1052672 bytes, and 262144 are free there. Give the"))
        #expect(end.text.split(separator: "\n").count == 1, "a file is left")
    }

    @Test("A limit on the size of files is an error, and not the end of the process")
    func fileSizeLimit() throws {
        let path = TestPool.freshPath()
        let program = try builtProgram("shared-memory-subject")
        let end = try Subject.run(
            program: "sh", ["-c", "ulimit -f 100; exec '\(program)' create \(path) 1048576 1"])
        #expect(end.code == 0)
        #expect(end.text.contains("noSpace") && end.text.contains("ulimit -f"))
        #expect(access(path, F_OK) == -1)
    }

    @Test("No reader removes the file, so the second finds it as the first did")
    func readersDoNotRemove() throws {
        let pool = try TestPool()
        let reference = try pool.open().publish(1, count: 10, readers: 3)
        for _ in 0..<3 {
            let words = ["once", "read", pool.path, "0"] + Subject.words(reference)
            #expect(try Subject.run(words).code == 0)
        }
        #expect(access(pool.path, F_OK) == 0)
    }

    @Test("A name that is taken is refused, whatever has it")
    func nameTaken() throws {
        let pool = try TestPool()
        let reference = try pool.open().publish(1, count: 10)
        #expect(
            reason { () throws(SharedMemoryError) in
                _ = try PoolSegment.create(path: pool.path, layout: pool.layout)
            } == .exists)
        #expect(try pool.open().bytes(reference).count == 10)
    }

    @Test("The file is for its owner alone, whatever the umask", arguments: ["0", "0777", "0022"])
    func permissions(_ mask: String) throws {
        let path = TestPool.freshPath()
        defer { unlink(path) }
        let program = try builtProgram("shared-memory-subject")
        let end = try Subject.run(
            program: "sh", ["-c", "umask \(mask); exec '\(program)' create \(path) 100 1"])
        #expect(end.text == "made\n")
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o600)
    }

    @Test("Slots over 4 GiB have all of their length")
    func largeSlots() throws {
        // A file with holes: only what is touched takes memory.
        let slotSize = 5 << 30
        let geometry = try #require(
            PoolGeometry(slotSize: UInt64(slotSize), slotCount: 2, checksum: .none, lease: 1 << 40))
        let path = TestPool.freshPath()
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer { unlink(path) }
        #expect(ftruncate(file, off_t(geometry.fileSize)) == 0)
        let made = try Mapping(file: file, length: Int(geometry.fileSize), attempt: "")
        made.format(geometry, firstGeneration: 1)
        let opened = try Pool(opening: path, name: "large")
        // As if its pages had been touched: that would fill the holes.
        opened.populated = [slotSize, slotSize]
        var references: [SlotReference] = []
        for value in [1, 2] as [UInt8] {
            let loan = try opened.lend(slotSize)
            loan.withBytes { bytes in
                bytes[0] = value
                bytes[slotSize - 1] = value
            }
            references.append(try loan.publish(size: slotSize, readers: 1))
        }
        for (value, reference) in zip((1 as UInt8)..., references) {
            #expect(reference.size == 5_368_709_120)
            let reading = try Pool(opening: path, name: "large").read(reference)
            let ends = reading.withBytes { [$0[0], $0[slotSize - 1]] }
            #expect(reading.size == slotSize && ends == [value, value])
        }
    }

    @Test(
        "A layout whose sum is no size is refused",
        arguments: [
            (0, 1, Duration.seconds(1)), (-1, 1, .seconds(1)), (1, 0, .seconds(1)),
            (1, -1, .seconds(1)), (1, 65_537, .seconds(1)), (Int.max, 1, .seconds(1)),
            (1 << 61, 4, .seconds(1)), (1 << 62, 2, .seconds(1)), (1, 1, .zero),
            (1, 1, .seconds(-1)),
        ])
    func impossibleLayouts(_ slotSize: Int, _ slotCount: Int, _ lease: Duration) throws {
        let path = TestPool.freshPath()
        let layout = PoolLayout(
            slotSize: slotSize, slotCount: slotCount, checksum: .none, lease: lease)
        #expect(
            reason { () throws(SharedMemoryError) in
                _ = try PoolSegment.create(path: path, layout: layout)
            } == .tooLarge)
        #expect(access(path, F_OK) == -1)
    }

    private func openingFails(_ path: String) -> SharedMemoryError.Reason? {
        reason { () throws(SharedMemoryError) in _ = try Pool(opening: path, name: "clouds") }
    }

    /// The reasons for which everything fails that touches a pool.
    private func reasonsOfAll(
        _ pool: Pool, _ reference: SlotReference, _ reading: borrowing Reading,
        _ loan: consuming Loan
    ) -> Set<SharedMemoryError.Reason?> {
        var reasons: Set<SharedMemoryError.Reason?> = []
        reasons.insert(reason { () throws(SharedMemoryError) in _ = try pool.read(reference) })
        reasons.insert(reason { () throws(SharedMemoryError) in _ = try pool.loan(byteCount: 1) })
        reasons.insert(
            reason { () throws(SharedMemoryError) in
                try pool.withdraw(reference, readers: 1)
            })
        reasons.insert(reason { () throws(SharedMemoryError) in try pool.countRefusal() })
        do throws(SharedMemoryError) {
            _ = try reading.share(readers: 1)
            reasons.insert(nil)
        } catch {
            reasons.insert(error.reason)
        }
        do throws(SharedMemoryError) {
            _ = try loan.publish(size: 1, readers: 1)
            reasons.insert(nil)
        } catch {
            reasons.insert(error.reason)
        }
        return reasons
    }
}
