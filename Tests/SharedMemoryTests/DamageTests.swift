internal import Glibc
internal import TestSupport
import Testing

@testable import SharedMemory

@Suite("Pools: damaged headers and records")
struct DamageTests {
    private static let values: [UInt64] = [
        0, 1, 2, 3, 127, 128, 4_095, 4_096, 65_537, 1 << 31, 1 << 32, 1 << 53, 1 << 63,
        UInt64.max, UInt64.max - 1, UInt64(Int64.max),
    ]

    @Test("Whatever the header and the records hold, there are answers or typed errors")
    func anything() throws {
        let pool = try TestPool(slotSize: 5_000, slotCount: 3, lease: .nanoseconds(1))
        let rogue = try Mapping.open(pool.path, attempt: "").0
        let geometry = try PoolGeometry(pool.layout, attempt: "")
        let opened = try pool.open()
        let head = UnsafeMutableRawBufferPointer(
            start: rogue.base, count: Int(geometry.contentOffset))
        var random = SeededGenerator(seed: 77)
        var outcomes: [Bool] = []
        for _ in 0..<6_000 {
            let intact = [UInt8](head)
            let reference = try opened.publish(1, count: 5_000, readers: 2)
            damage(head, &random)
            outcomes.append(use(opened, reference))
            do throws(SharedMemoryError) {
                let other = try Pool(opening: pool.path, name: "damaged")
                outcomes.append(use(other, reference))
            } catch {
                outcomes.append(false)
            }
            _ = reason { () throws(SharedMemoryError) in _ = try pool.segment.status() }
            head.copyBytes(from: intact)
        }
        // Both happened often, so that neither branch was tested by nothing.
        #expect(outcomes.count { $0 } > 1_000)
        #expect(outcomes.count { !$0 } > 1_000)
    }

    @Test("Whatever a record holds, its slot can be lent when nobody holds its lock")
    func anyRecord() throws {
        let pool = try TestPool(slotSize: 100, slotCount: 1, lease: .nanoseconds(1))
        let opened = try pool.open()
        var random = SeededGenerator(seed: 78)
        for _ in 0..<3_000 {
            for word in SlotRecord.Word.allCases {
                opened.record(0)[word] =
                    Bool.random(using: &random)
                    ? random.next() : Self.values.randomElement(using: &random) ?? 0
            }
            let reference = try opened.publish(3, count: 100)
            #expect(try opened.bytes(reference) == [UInt8](repeating: 3, count: 100))
        }
    }

    @Test(
        "A header that contradicts itself is refused",
        arguments: [
            PoolGeometry.Header.magic, .version, .fileSize, .recordOffset, .recordSize,
            .contentOffset, .stride, .slotSize, .slotCount, .checksum, .inode,
        ])
    func contradictions(_ word: PoolGeometry.Header) throws {
        let pool = try TestPool()
        let rogue = try Mapping.open(pool.path, attempt: "").0
        let right = rogue.load(word)
        // A slot size within the same pages would be a pool too, and is not told from it.
        let values = Self.values.filter { $0 != right } + [right + 4_096, right &- 4_096]
        for value in values where !(word == .checksum && value <= 2) {
            rogue.store(word, value)
            #expect(
                reason { () throws(SharedMemoryError) in
                    _ = try Pool(opening: pool.path, name: "damaged")
                } == .notAPool, "\(word) \(value)")
        }
    }

    /// Overwrites some words or bytes of the head.
    private func damage(
        _ head: UnsafeMutableRawBufferPointer, _ random: inout SeededGenerator
    ) {
        // What lies behind the records means nothing; most damage is to be where it does.
        let meaningful = 128 + 3 * 128
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let offset = Int.random(
                in: 0..<(Bool.random(using: &random) ? meaningful : head.count), using: &random)
            if Bool.random(using: &random) {
                head[offset] = UInt8.random(in: 0...255, using: &random)
            } else {
                head.storeBytes(
                    of: Self.values.randomElement(using: &random) ?? 0, toByteOffset: offset & ~7,
                    as: UInt64.self)
            }
        }
    }

    /// Does all that there is to do; whether a content could be read.
    private func use(_ pool: Pool, _ reference: SlotReference) -> Bool {
        do throws(SharedMemoryError) {
            let isRead: Bool
            do throws(SharedMemoryError) {
                let reading = try pool.read(reference)
                isRead = reading.withBytes { $0.allSatisfy { $0 == 1 } }
                #expect(isRead, "another content was read")
                _ = try reading.share(readers: 1)
            } catch {
                _ = try pool.loan(byteCount: pool.layout.slotSize)
                return false
            }
            try pool.withdraw(reference, readers: 1)
            try pool.countRefusal()
            if let loan = try pool.loan(byteCount: 10) {
                _ = try loan.publish(size: 10, readers: 1)
            }
            return isRead
        } catch {
            return false
        }
    }
}
