/// Where everything lies in the file of a pool: `Documentation/shared-memory.md`.
struct PoolGeometry: Hashable {
    /// `SYNMPOOL`, read as a little-endian number.
    static let magic: UInt64 = 0x4C4F_4F50_4D4E_5953
    static let version: UInt64 = 2
    static let recordOffset: UInt64 = 128
    static let recordSize: UInt64 = 128
    /// Contents start on a page, so that two never share one.
    static let page: UInt64 = 4_096
    static let slotCountMax = 65_536

    let slotSize: UInt64
    let slotCount: UInt64
    let checksum: Checksum
    /// In nanoseconds.
    let lease: UInt64
    /// From the start of one content to that of the next.
    let stride: UInt64
    /// Where the first content starts.
    let contentOffset: UInt64
    /// The size of the whole file, which is always one that an `Int` holds.
    let fileSize: UInt64

    /// The words of the header, each 8 bytes, little-endian.
    enum Header: UInt64, CaseIterable {
        case magic, version, fileSize, recordOffset, recordSize, contentOffset, stride, slotSize
        case slotCount, checksum, lease, inode, firstGeneration, creator, refused

        var offset: Int { Int(rawValue) * 8 }
    }

    /// Nil when there is no such pool: something is not positive, or the sum is over 8 EiB.
    init?(slotSize: UInt64, slotCount: UInt64, checksum: Checksum, lease: UInt64) {
        guard slotSize > 0, slotCount > 0, slotCount <= Self.slotCountMax, lease > 0,
            lease <= Int64.max, slotSize <= Int64.max
        else { return nil }
        self.slotSize = slotSize
        self.slotCount = slotCount
        self.checksum = checksum
        self.lease = lease
        stride = Self.pages(slotSize)
        contentOffset = Self.pages(Self.recordOffset + slotCount * Self.recordSize)
        let (contents, isTooLarge) = stride.multipliedReportingOverflow(by: slotCount)
        guard !isTooLarge, contents <= UInt64(Int64.max) - contentOffset else { return nil }
        fileSize = contentOffset + contents
    }

    /// Where the record of a slot starts.
    func record(_ slot: Int) -> Int {
        Int(Self.recordOffset + UInt64(slot) * Self.recordSize)
    }

    /// Where the content of a slot starts.
    func content(_ slot: Int) -> Int { Int(contentOffset + UInt64(slot) * stride) }

    /// The layout as its users say it.
    var layout: PoolLayout {
        PoolLayout(
            slotSize: Int(slotSize), slotCount: Int(slotCount), checksum: checksum,
            lease: .nanoseconds(Int64(lease)))
    }

    /// The byte whose lock a writer holds alone, and readers share.
    func contentLock(_ slot: Int) -> Int64 { Int64(slot) * 2 }

    /// The byte whose lock is held for each change of a record.
    func recordLock(_ slot: Int) -> Int64 { Int64(slot) * 2 + 1 }

    /// The byte whose lock is held for each change of the header.
    var headerLock: Int64 { Int64(slotCount) * 2 }

    private static func pages(_ size: UInt64) -> UInt64 { (size + page - 1) / page * page }
}

extension PoolGeometry {
    /// What a layout asks for.
    init(_ layout: PoolLayout, attempt: String) throws(SharedMemoryError) {
        let lease = layout.lease.nanoseconds
        guard
            let geometry = PoolGeometry(
                slotSize: UInt64(clamping: layout.slotSize),
                slotCount: UInt64(clamping: layout.slotCount),
                checksum: layout.checksum, lease: lease)
        else {
            throw SharedMemoryError(
                attempt: attempt, reason: .tooLarge,
                detail: "\(layout.slotCount) slots of \(layout.slotSize) bytes with a lease of "
                    + "\(layout.lease) make no pool",
                remedy: "Slots are 1 to \(Self.slotCountMax), of at least one byte, and the lease "
                    + "is longer than zero.")
        }
        self = geometry
    }

    /// What a header says, when it is one and the file is as large as it says.
    init(
        header: (Header) -> UInt64, fileSize: UInt64, inode: UInt64, attempt: String
    ) throws(SharedMemoryError) {
        func refuse(_ detail: String) -> SharedMemoryError {
            SharedMemoryError(attempt: attempt, reason: .notAPool, detail: detail)
        }
        let version = header(.version)
        guard header(.magic) == Self.magic else {
            throw refuse("the file is no pool, or is still being made")
        }
        guard version == Self.version else {
            throw refuse("the pool has version \(version), and this program knows \(Self.version)")
        }
        guard let checksum = Checksum(word: header(.checksum)),
            let geometry = PoolGeometry(
                slotSize: header(.slotSize), slotCount: header(.slotCount), checksum: checksum,
                lease: header(.lease)),
            header(.recordOffset) == Self.recordOffset, header(.recordSize) == Self.recordSize,
            header(.contentOffset) == geometry.contentOffset, header(.stride) == geometry.stride,
            header(.fileSize) == geometry.fileSize
        else { throw refuse("the header contradicts itself") }
        guard geometry.fileSize == fileSize else {
            throw refuse("the file has \(fileSize) bytes of \(geometry.fileSize)")
        }
        guard header(.inode) == inode else {
            throw refuse("the file is a copy of a pool: locks of one do not hold for the other")
        }
        self = geometry
    }
}

extension Checksum {
    /// The number that stands for it in a header.
    var word: UInt64 {
        switch self {
        case .none: 0
        case .write: 1
        case .verify: 2
        }
    }

    /// Nil for a number that stands for none.
    init?(word: UInt64) {
        switch word {
        case 0: self = .none
        case 1: self = .write
        case 2: self = .verify
        default: return nil
        }
    }
}

extension Duration {
    /// Whole nanoseconds, within 0 and the largest `Int64`.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isSumTooLong) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return isTooLong || isSumTooLong ? UInt64(Int64.max) : UInt64(sum)
    }
}
