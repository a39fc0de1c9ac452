internal import Glibc
internal import TestSupport
import Testing

@testable import SharedMemory

@Suite("Pools: the bytes of the file, and a program that knows nothing but their description")
struct FormatTests {
    @Test("A pool has the bytes of the vector")
    func vector() throws {
        let path = TestPool.freshPath()
        defer { unlink(path) }
        _ = try PoolSegment.create(
            path: path,
            layout: PoolLayout(
                slotSize: 100, slotCount: 2, checksum: .verify, lease: .seconds(60)),
            firstGeneration: 1_000)
        let pool = try Pool(opening: path, name: "vector")
        let text = Array("point cloud".utf8)
        let loan = try pool.lend(text.count)
        loan.withBytes { $0.copyBytes(from: text) }
        _ = try loan.publish(size: text.count, readers: 2)
        // What differs from run to run.
        pool.mapping.store(.inode, 77)
        pool.mapping.store(.creator, 4_242)
        pool.record(0)[.owner] = 4_242
        pool.record(0)[.ownerStart] = 5_000
        pool.record(0)[.expires] = 61_000_000_000
        let bytes = [UInt8](UnsafeRawBufferPointer(start: pool.mapping.base, count: 4_112))
        #expect(Self.dump(bytes) == (try Self.file("pool.hex")))
    }

    @Test("What we publish is read by a Python program, which is counted")
    func readByPython() throws {
        let pool = try TestPool()
        let opened = try pool.open()
        let reference = try opened.publish(0xAB, count: 5_000, readers: 2)
        let text = try python(pool, ["read"] + Subject.words(reference))
        #expect(text == String(repeating: "ab", count: 5_000))
        let status = try pool.segment.status()
        #expect(status.pending == 1 && status.reads == 1 && status.slots[0].use == .nobody)
        _ = try opened.bytes(reference)
        _ = try opened.publish(1, count: 1)
        #expect(try python(pool, ["read"] + Subject.words(reference)) == "stale")
    }

    @Test("What a Python program publishes is read by us", arguments: Checksum.allCases)
    func publishedByPython(_ checksum: Checksum) throws {
        let pool = try TestPool(checksum: checksum)
        let opened = try pool.open()
        let taken = try opened.publish(1, count: 1)
        let words = try python(pool, ["publish", "point cloud", "1"]).split(separator: " ")
        try #require(words.count == 4)
        let reference = SlotReference(
            slot: try #require(Int(words[0])), generation: try #require(UInt64(words[1])),
            size: 11, digest: UInt64(words[3]))
        #expect(reference.slot != taken.slot)
        #expect((reference.digest == nil) == (checksum == .none))
        #expect(try opened.bytes(reference) == Array("point cloud".utf8))
        let slot = try pool.segment.status().slots[reference.slot]
        #expect(slot.owner != Int(getpid()) && !slot.isOwnerAlive && slot.pending == 0)
    }

    @Test("Locks hold between the programs, and go with a Python program that is killed")
    func locksWithPython() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        do {
            let loan = try opened.lend(1)
            #expect(try python(pool, ["publish", "point cloud", "1"]) == "full")
            _ = try loan.publish(size: 1, readers: 0)
        }
        let end = try Subject.run(program: "python3", [Self.path("pool.py"), pool.path, "loan"])
        #expect(end.signal == SIGKILL && end.text == "0\n")
        #expect(try pool.segment.status().slots[0].state == .loaned)
        #expect(try opened.freeSlot() == 0)
        #expect(try pool.segment.status().reclaimed == 1)
    }

    private func python(_ pool: TestPool, _ arguments: [String]) throws -> String {
        let bytes = try output(of: ["python3", Self.path("pool.py"), pool.path] + arguments)
        return String(decoding: bytes.dropLast(), as: UTF8.self)
    }

    private static func path(_ name: String) -> String {
        String(#filePath.dropLast("FormatTests.swift".count)) + name
    }

    private static func file(_ name: String) throws -> String {
        let file = open(path(name), O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw TestFailure("no \(name)") }
        defer { close(file) }
        return Subject.text(of: file)
    }

    /// Lines of sixteen bytes, without those that are zero.
    private static func dump(_ bytes: [UInt8]) -> String {
        func digits(_ number: Int, _ count: Int) -> String {
            let text = String(number, radix: 16)
            return String(repeating: "0", count: count - text.count) + text
        }
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let line = bytes[start..<min(start + 16, bytes.count)]
            guard line.contains(where: { $0 != 0 }) else { continue }
            text += digits(start, 4) + ": "
            text += line.map { digits(Int($0), 2) }.joined(separator: " ") + "\n"
        }
        return text
    }
}
