internal import Glibc
import Testing

@testable import SharedMemory

@Suite("Pools: loans and readings")
struct PoolTests {
    @Test(
        "What is published is read where it lies, by other openings too",
        arguments: Checksum.allCases)
    func roundTrip(_ checksum: Checksum) throws {
        let pool = try TestPool(checksum: checksum)
        let writer = try pool.open()
        let reader = try pool.open()
        #expect(reader.layout == pool.layout)
        let reference = try writer.publish(7, count: 10_000, readers: 2)
        #expect(reference.size == 10_000)
        #expect((reference.digest == nil) == (checksum == .none))
        #expect(try reader.bytes(reference) == [UInt8](repeating: 7, count: 10_000))
        #expect(try writer.bytes(reference) == [UInt8](repeating: 7, count: 10_000))
        let status = try pool.segment.status()
        #expect(status.inUse == 0 && status.loans == 1 && status.reads == 2)
    }

    @Test("A loan is never more than a slot, and a content may have no bytes")
    func sizes() throws {
        let pool = try TestPool(slotSize: 100)
        let opened = try pool.open()
        #expect(
            reason { () throws(SharedMemoryError) in
                _ = try opened.loan(byteCount: 101)
            } == .tooLarge)
        #expect(try opened.bytes(opened.publish(1, count: 0)) == [])
        #expect(try opened.bytes(opened.publish(1, count: 100)).count == 100)
    }

    @Test("Contents lie on pages of their own, and not in each other")
    func neighbours() throws {
        let pool = try TestPool(slotSize: 4_097, slotCount: 3)
        let opened = try pool.open()
        let references = try (1...3).map { try opened.publish(UInt8($0), count: 4_097) }
        for (value, reference) in zip((1 as UInt8)..., references) {
            #expect(try opened.bytes(reference) == [UInt8](repeating: value, count: 4_097))
        }
    }

    @Test("A full pool answers at once with nothing")
    func full() throws {
        let pool = try TestPool(slotCount: 2)
        let opened = try pool.open()
        let first = try opened.publish(1, count: 1)
        let second = try opened.lend(1)
        #expect(try opened.freeSlot() == nil)
        try opened.countRefusal()
        #expect(try pool.segment.status().refused == 1)
        _ = try opened.bytes(first)
        #expect(try opened.publish(2, count: 1).slot == first.slot)
        _ = consume second
    }

    @Test("A loan that ends unpublished leaves its slot free")
    func givenBack() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        for _ in 0..<3 { #expect(try opened.freeSlot() != nil) }
        let status = try pool.segment.status()
        #expect(status.slots[0].state == .free && status.reclaimed == 0)
    }

    @Test("A slot is lent again once as many readers came as were said, and not before")
    func pendingCounts() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        let reference = try opened.publish(1, count: 10, readers: 3)
        for left in [2, 1, 0] as [UInt64] {
            #expect(try opened.freeSlot() == nil)
            _ = try opened.bytes(reference)
            #expect(try pool.segment.status().pending == left)
        }
        #expect(try opened.freeSlot() != nil)
    }

    @Test("One who was not counted reads, as long as the slot was not lent again")
    func overRead() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        let reference = try opened.publish(1, count: 10, readers: 1)
        for _ in 0..<2 { #expect(try opened.bytes(reference).count == 10) }
        #expect(try pool.segment.status().pending == 0)
    }

    @Test("What a reading holds stays, whoever else ends, and whatever time passes")
    func readersAtOnce() throws {
        let pool = try TestPool(slotCount: 1, lease: .nanoseconds(1))
        let one = try pool.open()
        let other = try pool.open()
        let reference = try one.publish(9, count: 10, readers: 3)
        let expected = [UInt8](repeating: 9, count: 10)
        // Two in one opening, where the kernel counts one lock, and later one elsewhere.
        let first = try one.read(reference)
        do {
            let second = try one.read(reference)
            #expect(second.withBytes { [UInt8]($0) } == expected)
        }
        #expect(try pool.segment.status().slots[0].use == .readers)
        #expect(try other.freeSlot() == nil)
        let third = try other.read(reference)
        #expect(try one.freeSlot() == nil)
        #expect(try other.freeSlot() == nil)
        #expect(first.withBytes { [UInt8]($0) } == expected)
        end(first)
        #expect(try one.freeSlot() == nil)
        #expect(third.withBytes { [UInt8]($0) } == expected)
        end(third)
        #expect(try pool.segment.status().slots[0].use == .nobody)
        #expect(try one.freeSlot() != nil)
    }

    @Test("Sharing lets more readers come without a copy, and starts the lease again")
    func share() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        let reference = try opened.publish(9, count: 10, readers: 1)
        let before = opened.record(0)[.expires]
        let shared = try opened.read(reference).share(readers: 2)
        #expect(shared == reference)
        #expect(opened.record(0)[.expires] > before)
        for _ in 0..<2 {
            #expect(try opened.freeSlot() == nil)
            _ = try opened.bytes(shared)
        }
        #expect(try opened.freeSlot() != nil)
    }

    @Test("A reading knows the digest also where the reader did not")
    func digestOfReading() throws {
        let pool = try TestPool()
        let opened = try pool.open()
        let reference = try opened.publish(9, count: 10)
        var bare = reference
        bare.digest = nil
        #expect(try opened.read(bare).share(readers: 1) == reference)
    }

    @Test("A reference that reached nobody is withdrawn")
    func withdraw() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        let reference = try opened.publish(1, count: 10, readers: 3)
        try opened.withdraw(reference, readers: 2)
        #expect(try pool.segment.status().pending == 1)
        try opened.withdraw(reference, readers: 5)
        #expect(try opened.freeSlot() != nil)
        // Nothing is left of it, and nothing happens to what came after.
        let next = try opened.publish(2, count: 10, readers: 3)
        try opened.withdraw(reference, readers: 1)
        try opened.withdraw(
            SlotReference(slot: 99, generation: 1, size: 1, digest: nil), readers: 1)
        #expect(try pool.segment.status().pending == 3)
        #expect(try opened.bytes(next).count == 10)
    }

    @Test("What nobody came to read within the lease is given up, counted and stale")
    func expiry() throws {
        let pool = try TestPool(slotCount: 1, lease: .nanoseconds(1))
        let opened = try pool.open()
        let reference = try opened.publish(1, count: 10, readers: 2)
        #expect(try pool.segment.status().slots[0].isExpired)
        let next = try opened.publish(2, count: 10)
        #expect(next.slot == reference.slot && next.generation > reference.generation)
        #expect(reason { () throws(SharedMemoryError) in _ = try opened.read(reference) } == .stale)
        #expect(try pool.segment.status().expired == 1)
    }

    @Test("A stale reference is refused, and is in nobody's way")
    func stale() throws {
        let pool = try TestPool(slotCount: 1)
        let writer = try pool.open()
        let reader = try pool.open()
        let old = try writer.publish(1, count: 10)
        _ = try reader.bytes(old)
        let loan = try writer.lend(10)
        for opened in [writer, reader] {
            #expect(reason { () throws(SharedMemoryError) in _ = try opened.read(old) } == .stale)
        }
        let next = try loan.publish(size: 10, readers: 1)
        #expect(reason { () throws(SharedMemoryError) in _ = try reader.read(old) } == .stale)
        for slot in [-1, 1, Int.max, Int.min] {
            var other = next
            other.slot = slot
            #expect(reason { () throws(SharedMemoryError) in _ = try reader.read(other) } == .stale)
        }
        #expect(try pool.segment.status().pending == 1)
        #expect(try reader.bytes(next).count == 10)
    }

    @Test("A reference that does not agree with the slot is corrupted")
    func disagreement() throws {
        let pool = try TestPool(checksum: .write)
        let opened = try pool.open()
        let reference = try opened.publish(1, count: 10, readers: 2)
        var other = reference
        other.size = 11
        #expect(
            reason { () throws(SharedMemoryError) in _ = try opened.read(other) } == .corrupted)
        other = reference
        other.digest = 0
        #expect(
            reason { () throws(SharedMemoryError) in _ = try opened.read(other) } == .corrupted)
        let status = try pool.segment.status()
        #expect(status.corrupted == 2 && status.pending == 0 && status.slots[0].use == .nobody)
    }

    @Test("Bytes that changed after they were published are found where digests are verified")
    func bitFlip() throws {
        for (checksum, expected) in [
            (Checksum.none, nil), (.write, nil), (.verify, SharedMemoryError.Reason.corrupted),
        ] {
            let pool = try TestPool(checksum: checksum)
            let opened = try pool.open()
            let reference = try opened.publish(1, count: 10_000)
            let rogue = try Mapping.open(pool.path, attempt: "").0
            (rogue.base + opened.geometry.content(reference.slot) + 9_999).storeBytes(
                of: 3, as: UInt8.self)
            #expect(
                reason { () throws(SharedMemoryError) in _ = try opened.read(reference) }
                    == expected)
            #expect(try pool.segment.status().corrupted == (expected == nil ? 0 : 1))
        }
    }

    @Test("Status says who has what")
    func status() throws {
        let pool = try TestPool(slotCount: 4)
        let opened = try pool.open()
        let loan = try opened.lend(1)
        let read = try opened.publish(1, count: 5, readers: 1)
        let reading = try opened.read(read)
        let waiting = try opened.publish(1, count: 6, readers: 2)
        let slots = try pool.segment.status().slots
        #expect(slots.map(\.state) == [.loaned, .published, .published, .free])
        #expect(slots.map(\.use) == [.writer, .readers, .nobody, .nobody])
        #expect(slots.map(\.isInUse) == [true, true, true, false])
        #expect(slots.map(\.pending) == [0, 0, 2, 0])
        #expect(slots.map(\.owner) == [Int(getpid()), Int(getpid()), Int(getpid()), nil])
        #expect(slots[0].isOwnerAlive && slots[2].generation == waiting.generation)
        #expect(slots[1].size == 5 && slots[2].size == 6)
        end(reading)
        _ = consume loan
        #expect(try pool.segment.status().inUse == 1)
    }

    @Test("Who has a content for a moment, and gives it back, refuses no reader")
    func momentary() throws {
        let pool = try TestPool(slotCount: 1)
        let opened = try pool.open()
        let other = try Mapping.open(pool.path, attempt: "").0
        let reference = try opened.publish(1, count: 1, readers: 2)
        let content = opened.geometry.contentLock(0)
        #expect(try other.lock(content, exclusive: true, ""))
        var tries = 0
        let isHad = try opened.mapping.lockPatiently(content, exclusive: false, "") {
            tries += 1
            if tries == 3 { other.unlock(content) }
            return opened.isCurrent(reference)
        }
        #expect(isHad && tries == 3)
        end(try opened.read(reference))
        // Where its next writer has it, who comes is told so at once.
        #expect(try other.lock(content, exclusive: true, ""))
        SlotRecord(mapping: other, offset: opened.geometry.record(0))[.state] = SlotRecord.free
        #expect(
            reason { () throws(SharedMemoryError) in end(try opened.read(reference)) } == .stale)
        other.unlock(content)
    }

    @Test("One who stopped in the middle of a change delays others by a bounded time")
    func frozenHolder() throws {
        let pool = try TestPool(slotCount: 2)
        let opened = try pool.open()
        let frozen = try Mapping.open(pool.path, attempt: "").0
        let reference = try opened.publish(1, count: 1, readers: 1)
        #expect(try frozen.lock(opened.geometry.recordLock(0), exclusive: true, ""))
        // The slot next to it can be had.
        #expect(try opened.publish(2, count: 1).slot == 1)
        do throws(SharedMemoryError) {
            end(try opened.read(reference))
            Issue.record("read under the lock of another")
        } catch {
            #expect(error.reason == .busy)
        }
        frozen.unlock(opened.geometry.recordLock(0))
        end(try opened.read(reference))
        #expect(try opened.freeSlot() == 0)
    }
}

/// Ends a reading here and now.
func end(_ reading: consuming Reading) {}
