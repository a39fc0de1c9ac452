internal import CLinux
internal import Glibc
internal import Synchronization

/// The file of a pool, as the one who makes and removes it sees it.
///
/// It has no `deinit` that removes the file: what is to be removed however the owner ends is
/// written down beforehand, by its path.
public final class PoolSegment: Sendable {
    /// Where it is.
    public let path: String
    /// Its shape.
    public let layout: PoolLayout

    private let geometry: PoolGeometry
    private let identity: FileIdentity
    private let mapping: Mutex<Mapping>

    private init(path: String, geometry: PoolGeometry, mapping: sending Mapping) {
        self.path = path
        self.geometry = geometry
        layout = geometry.layout
        identity = mapping.identity
        self.mapping = Mutex(mapping)
    }

    /// Makes the file, with all of its room reserved.
    ///
    /// - Parameters:
    ///   - path: Where; nothing may be there yet.
    ///   - layout: The shape of the pool.
    /// - Returns: The pool, ready to be opened.
    /// - Throws: `.noSpace` when there is no room, `.exists` when the path is taken.
    public static func create(
        path: String, layout: PoolLayout
    ) throws(SharedMemoryError) -> PoolSegment {
        // A reference to an earlier pool of the same name names no content of this one.
        try create(
            path: path, layout: layout, firstGeneration: UInt64.random(in: 1..<(1 << 48)) << 4)
    }

    package static func create(
        path: String, layout: PoolLayout, firstGeneration: UInt64
    ) throws(SharedMemoryError) -> PoolSegment {
        let attempt = "could not make the pool \(path)"
        let geometry = try PoolGeometry(layout, attempt: attempt)
        let mapping = try Mapping.create(path, size: geometry.fileSize, attempt: attempt)
        mapping.format(geometry, firstGeneration: firstGeneration)
        return PoolSegment(path: path, geometry: geometry, mapping: mapping)
    }

    /// What the slots are doing now.
    public func status() throws(SharedMemoryError) -> PoolStatus {
        let attempt = "could not look at the pool \(path)"
        return try mapping.withLock { mapping throws(SharedMemoryError) in
            try mapping.check(attempt)
            var slots: [PoolStatus.Slot] = []
            var sums: [SlotRecord.Word: UInt64] = [:]
            for slot in 0..<layout.slotCount {
                let record = SlotRecord(mapping: mapping, offset: geometry.record(slot))
                slots.append(try look(slot, record, mapping, attempt))
                for word in [SlotRecord.Word.loans, .reads, .expired, .reclaimed, .corrupted] {
                    sums[word, default: 0] &+= record[word]
                }
            }
            return PoolStatus(
                slots: slots, loans: sums[.loans, default: 0], reads: sums[.reads, default: 0],
                expired: sums[.expired, default: 0], reclaimed: sums[.reclaimed, default: 0],
                corrupted: sums[.corrupted, default: 0], refused: mapping.load(.refused))
        }
    }

    /// Removes the file's name; who has it open keeps what is mapped, and is lent nothing any more.
    ///
    /// Does nothing when the name is gone or belongs to another file.
    public func unlink() {
        var status = stat()
        guard lstat(path, &status) == 0, FileIdentity(status) == identity else { return }
        Glibc.unlink(path)
    }

    /// What a slot is doing, without any lock, so that nobody waits for who looks: again where a writer
    /// came in between, and in the end rather a picture that may mix two moments than none.
    private func look(
        _ slot: Int, _ record: SlotRecord, _ mapping: Mapping, _ attempt: String
    ) throws(SharedMemoryError) -> PoolStatus.Slot {
        for _ in 0..<64 {
            let before = (record[.state], record[.generation])
            let seen = try lookOnce(slot, record, mapping, attempt)
            if before == (record[.state], record[.generation]) { return seen }
        }
        return try lookOnce(slot, record, mapping, attempt)
    }

    private func lookOnce(
        _ slot: Int, _ record: SlotRecord, _ mapping: Mapping, _ attempt: String
    ) throws(SharedMemoryError) -> PoolStatus.Slot {
        let state: PoolStatus.State =
            switch record[.state] {
            case SlotRecord.free: .free
            case SlotRecord.loaned: .loaned
            case SlotRecord.published: .published
            case let other: .unknown(other)
            }
        let use: PoolStatus.Use
        switch synmesh_lock_holder(mapping.file, geometry.contentLock(slot)) {
        case 0: use = .nobody
        case 1: use = .readers
        case 2: use = .writer
        default: throw .system(attempt)
        }
        let owner = Int(clamping: record[.owner])
        let start = pid_t(exactly: owner).flatMap { startTime(of: $0) }
        return PoolStatus.Slot(
            slot: slot, state: state, generation: record[.generation],
            owner: owner == 0 ? nil : owner, isOwnerAlive: start == record[.ownerStart],
            size: record[.size], pending: record[.pending],
            isExpired: state == .published && record[.pending] > 0
                && !record.isAwaited(now: monotonicTime(), lease: geometry.lease),
            use: use)
    }
}
