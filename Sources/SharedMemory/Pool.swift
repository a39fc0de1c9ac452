internal import CLinux
internal import CXXHash
internal import Glibc

/// A pool of slots that others made, opened by one thread.
///
/// A writer is loaned a slot, fills it in place and publishes it; whoever is given the reference
/// reads the bytes where they lie. The kernel's locks say who uses a slot, so one who is killed
/// leaves it free.
///
/// ```swift
/// let pool = try Pool(opening: path, name: "clouds")
/// guard let loan = try pool.loan(byteCount: 1_000) else { return }
/// loan.withBytes { fill($0) }
/// let reference = try loan.publish(size: 1_000, readers: 1)
/// let reading = try pool.read(reference)
/// reading.withBytes { use($0) }
/// ```
public final class Pool {
    /// What people call it.
    public let name: String
    /// Its shape.
    public let layout: PoolLayout

    let mapping: Mapping
    let geometry: PoolGeometry
    /// How this opening uses each slot: so many readings, or `loanedHere`.
    ///
    /// The kernel counts one
    /// lock an opening, however often it is taken.
    var uses: [Int]
    /// How many bytes of each slot this opening has had made writable at one go.
    var populated: [Int]
    private let owner: (process: UInt64, start: UInt64)

    static let loanedHere = -1

    /// Called before each change of a word of the pool, for tests that end the process there.
    package var willStore: (() -> Void)? {
        get { mapping.willStore }
        set { mapping.willStore = newValue }
    }

    /// Opens a pool that is ready.
    ///
    /// - Parameters:
    ///   - path: Its file.
    ///   - name: What people call it; part of the errors.
    /// - Throws: `.notFound`, `.notAPool` or what the system says.
    public init(opening path: String, name: String) throws(SharedMemoryError) {
        let attempt = "could not open pool \(name) at \(path)"
        (mapping, geometry) = try Mapping.open(path, attempt: attempt)
        self.name = name
        layout = geometry.layout
        uses = [Int](repeating: 0, count: layout.slotCount)
        populated = uses
        let process = getpid()
        owner = (UInt64(process), startTime(of: process) ?? 0)
    }

    /// Lends a slot, at once or not at all.
    ///
    /// - Parameter byteCount: How many bytes are to be filled in, at most.
    /// - Returns: Nil when every slot is in use.
    /// - Throws: `.tooLarge` for more than a slot has; `.notFound` when the pool was removed.
    public func loan(byteCount: Int) throws(SharedMemoryError) -> Loan? {
        guard byteCount >= 0, byteCount <= layout.slotSize else {
            throw SharedMemoryError(
                attempt: "could not lend \(byteCount) bytes of pool \(name)", reason: .tooLarge,
                detail: "a slot has \(layout.slotSize)", remedy: "Make the pool's `size` larger.")
        }
        try mapping.check("could not lend a slot of pool \(name)")
        for slot in 0..<layout.slotCount where uses[slot] == 0 {
            guard let generation = try take(slot) else { continue }
            uses[slot] = Self.loanedHere
            populate(slot, byteCount)
            return Loan(pool: self, slot: slot, byteCount: byteCount, generation: generation)
        }
        return nil
    }

    /// Begins to read what was published.
    ///
    /// - Throws: `.stale` when the content is gone, `.corrupted` when it is not what was published.
    public func read(_ reference: SlotReference) throws(SharedMemoryError) -> Reading {
        let slot = reference.slot
        // A text costs more than a lock: it is made where it is needed.
        var attempt: String { "could not read slot \(slot) of pool \(name)" }
        try mapping.check(attempt)
        guard try share(reference, attempt) else { throw staleness(reference) }
        uses[slot] += 1
        do throws(SharedMemoryError) {
            guard isCurrent(reference) else { throw staleness(reference) }
            try settle(slot, attempt)
            try verify(reference, attempt)
        } catch {
            endReading(slot)
            throw error
        }
        return Reading(
            pool: self,
            reference: SlotReference(
                slot: slot, generation: reference.generation, size: reference.size,
                digest: record(slot).digest))
    }

    /// Takes back what was said to readers whom no reference reached.
    ///
    /// Does nothing when the content is gone.
    ///
    /// - Parameters:
    ///   - reference: What was published, or shared.
    ///   - readers: How many will not come.
    /// - Throws: `.busy` when the record could not be changed.
    public func withdraw(_ reference: SlotReference, readers: Int) throws(SharedMemoryError) {
        let attempt = "could not withdraw slot \(reference.slot) of pool \(name)"
        guard readers > 0 else { return }
        try mapping.check(attempt)
        // As a reader does: who has the content alone changes the record, too.
        guard try share(reference, attempt) else { return }
        uses[reference.slot] += 1
        defer { endReading(reference.slot) }
        let record = record(reference.slot)
        try change(reference.slot, attempt) {
            guard isCurrent(reference) else { return }
            let pending = record[.pending]
            record[.pending] = pending - min(pending, UInt64(readers))
        }
    }

    /// Counts a loan that its caller gave up to wait for.
    public func countRefusal() throws(SharedMemoryError) {
        let attempt = "could not count a refusal of pool \(name)"
        try mapping.check(attempt)
        _ = try mapping.lockPatiently(geometry.headerLock, exclusive: true, attempt)
        defer { mapping.unlock(geometry.headerLock) }
        mapping.store(.refused, mapping.load(.refused) &+ 1)
    }

    func record(_ slot: Int) -> SlotRecord {
        SlotRecord(mapping: mapping, offset: geometry.record(slot))
    }

    func content(_ slot: Int, count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: mapping.base + geometry.content(slot), count: count)
    }

    /// Changes a record under its lock; the content is shared by who does.
    func change(
        _ slot: Int, _ attempt: @autoclosure () -> String, _ body: () -> Void
    ) throws(SharedMemoryError) {
        _ = try mapping.lockPatiently(geometry.recordLock(slot), exclusive: true, attempt())
        defer { mapping.unlock(geometry.recordLock(slot)) }
        body()
    }

    func isCurrent(_ reference: SlotReference) -> Bool {
        let record = record(reference.slot)
        return record[.state] == SlotRecord.published
            && record[.generation] == reference.generation
    }

    func staleness(_ reference: SlotReference) -> SharedMemoryError {
        SharedMemoryError(
            attempt: "could not read slot \(reference.slot) of pool \(name)", reason: .stale,
            detail: "generation \(reference.generation) is gone",
            remedy: "It was read as often as it was sent, or nobody came within the pool's lease.")
    }
}

@available(*, unavailable, message: "open the pool once a thread")
extension Pool: Sendable {}

// Loans.
extension Pool {
    /// The new generation of a slot that nobody uses, whose content lock is now held; nil when
    /// somebody does.
    private func take(_ slot: Int) throws(SharedMemoryError) -> UInt64? {
        let content = geometry.contentLock(slot)
        // A glance without a lock spares those who wait for readers.
        guard reasonToTake(slot) != nil,
            try mapping.lock(
                content, exclusive: true, "could not lend slot \(slot) of pool \(name)")
        else { return nil }
        // Who has the content alone is the only one who changes the record: readers change it while
        // they share the content.
        guard let reason = reasonToTake(slot) else {
            mapping.unlock(content)
            return nil
        }
        let record = record(slot)
        switch reason {
        case .free, .done: break
        case .expired: record.count(.expired)
        case .abandoned: record.count(.reclaimed)
        }
        // Nothing that is published has this generation, whatever happens from here on.
        record[.state] = SlotRecord.free
        let generation = record[.generation] &+ 1
        record[.generation] = generation
        record[.owner] = owner.process
        record[.ownerStart] = owner.start
        record[.pending] = 0
        record[.hasDigest] = 0
        record.count(.loans)
        record[.state] = SlotRecord.loaned
        return generation
    }

    /// Makes the pages of a large loan writable, which costs half of what the first stores would.
    private func populate(_ slot: Int, _ byteCount: Int) {
        guard byteCount > populated[slot], byteCount >= 1_000_000 else { return }
        synmesh_memory_populate(mapping.base + geometry.content(slot), UInt64(byteCount))
        populated[slot] = byteCount
    }

    private enum Vacancy { case free, done, expired, abandoned }

    /// Why a slot may be lent, if its content lock can be had; nil when readers may still come.
    private func reasonToTake(_ slot: Int) -> Vacancy? {
        let record = record(slot)
        switch record[.state] {
        case SlotRecord.free: return .free
        case SlotRecord.published:
            guard record[.pending] > 0 else { return .done }
            return record.isAwaited(now: monotonicTime(), lease: geometry.lease) ? nil : .expired
        // Loaned, or a number that nobody writes: its owner is dead if the lock can be had.
        default: return .abandoned
        }
    }

    func publish(
        _ slot: Int, generation: UInt64, size: Int, readers: Int
    ) throws(SharedMemoryError) -> SlotReference {
        try mapping.check("could not publish slot \(slot) of pool \(name)")
        let digest = layout.checksum == .none ? nil : digest(slot, size)
        let record = record(slot)
        record[.size] = UInt64(size)
        record[.digest] = digest ?? 0
        record[.hasDigest] = digest == nil ? 0 : 1
        record[.pending] = UInt64(max(readers, 0))
        record[.expires] = monotonicTime() &+ geometry.lease
        record[.state] = SlotRecord.published
        mapping.unlock(geometry.contentLock(slot))
        uses[slot] = 0
        return SlotReference(
            slot: slot, generation: generation, size: UInt64(size), digest: digest)
    }

    /// Gives back what was not published.
    ///
    /// Where the file was cut the lock alone is let go of.
    func giveBack(_ slot: Int) {
        if (try? mapping.check("")) != nil { record(slot)[.state] = SlotRecord.free }
        mapping.unlock(geometry.contentLock(slot))
        uses[slot] = 0
    }

    func digest(_ slot: Int, _ size: Int) -> UInt64 {
        XXH3_64bits(mapping.base + geometry.content(slot), size)
    }
}

// Readings.
extension Pool {
    /// Joins the readers of a slot; false when its next writer has it.
    ///
    /// Who looks for a slot to take has it alone for a moment, and gives it back where a reader may
    /// still come: as long as the record says that, it is tried again.
    private func share(
        _ reference: SlotReference, _ attempt: @autoclosure () -> String
    ) throws(SharedMemoryError) -> Bool {
        let slot = reference.slot
        guard uses.indices.contains(slot), uses[slot] != Self.loanedHere else { return false }
        if uses[slot] > 0 { return true }
        return try mapping.lockPatiently(
            geometry.contentLock(slot), exclusive: false, attempt(),
            while: { isCurrent(reference) })
    }

    /// One reader less to wait for.
    private func settle(
        _ slot: Int, _ attempt: @autoclosure () -> String
    ) throws(SharedMemoryError) {
        let record = record(slot)
        try change(slot, attempt()) {
            record.count(.reads)
            let pending = record[.pending]
            if pending > 0 { record[.pending] = pending - 1 }
        }
    }

    /// Refuses a content that is not the one described.
    private func verify(
        _ reference: SlotReference, _ attempt: @autoclosure () -> String
    ) throws(SharedMemoryError) {
        let record = record(reference.slot)
        let size = record[.size]
        let digest = record.digest
        let fault: String?
        if size != reference.size || size > geometry.slotSize {
            fault = "\(size) bytes are published, and \(reference.size) were described"
        } else if let described = reference.digest, described != digest {
            fault = "another digest is published than was described"
        } else if layout.checksum == .verify {
            if let digest {
                let actual = self.digest(reference.slot, Int(size))
                fault = actual == digest ? nil : "the bytes changed after they were published"
            } else {
                fault = "it was published without a digest, and this pool verifies them"
            }
        } else {
            fault = nil
        }
        guard let fault else { return }
        try change(reference.slot, attempt()) { record.count(.corrupted) }
        throw SharedMemoryError(attempt: attempt(), reason: .corrupted, detail: fault)
    }

    /// Adds readers to those who may still come.
    func share(
        _ reference: SlotReference, readers: Int
    ) throws(SharedMemoryError) {
        let attempt = "could not share slot \(reference.slot) of pool \(name)"
        try mapping.check(attempt)
        let record = record(reference.slot)
        var isGone = false
        try change(reference.slot, attempt) {
            guard isCurrent(reference) else {
                isGone = true
                return
            }
            record[.expires] = monotonicTime() &+ geometry.lease
            let (sum, isTooMany) = record[.pending].addingReportingOverflow(
                UInt64(max(readers, 0)))
            record[.pending] = isTooMany ? UInt64.max : sum
        }
        guard isGone else { return }
        // This reading holds the lock that a new generation needs: somebody does without locks.
        throw SharedMemoryError(
            attempt: attempt, reason: .corrupted,
            detail: "the record changed under a reading: somebody writes without the locks")
    }

    func endReading(_ slot: Int) {
        uses[slot] -= 1
        if uses[slot] == 0 { mapping.unlock(geometry.contentLock(slot)) }
    }
}
