/// What the slots of a pool are doing.
public struct PoolStatus: Sendable, Hashable {
    /// Who holds a slot's bytes.
    public enum Use: Sendable, Hashable {
        /// Nobody.
        case nobody
        /// One reader or more.
        case readers
        /// One writer.
        case writer
    }

    /// What a slot holds.
    public enum State: Sendable, Hashable {
        /// Nothing.
        case free
        /// What somebody is writing, or was when it died.
        case loaned
        /// A content.
        case published
        /// A number that no version of this program writes.
        case unknown(UInt64)
    }

    /// One slot.
    public struct Slot: Sendable, Hashable {
        /// Which one, from 0.
        public let slot: Int
        /// What it holds.
        public let state: State
        /// Which of its contents this is.
        public let generation: UInt64
        /// The process that was lent it last; nil when none was.
        public let owner: Int?
        /// Whether that process is still there.
        public let isOwnerAlive: Bool
        /// How many bytes are published.
        public let size: UInt64
        /// How many readers are still to come.
        public let pending: UInt64
        /// Whether those who have not come are no longer waited for.
        public let isExpired: Bool
        /// Who holds its bytes.
        public let use: Use

        /// Whether somebody uses it, or may still come to read it.
        public var isInUse: Bool {
            use != .nobody || (state == .published && pending > 0 && !isExpired)
        }
    }

    /// The slots, in order.
    public let slots: [Slot]
    /// How often a slot was lent.
    public let loans: UInt64
    /// How often a content was read, or refused as corrupted.
    public let reads: UInt64
    /// How many contents were given up with readers still to come.
    public let expired: UInt64
    /// How many slots were taken back from owners that died.
    public let reclaimed: UInt64
    /// How many readings found something else than was published.
    public let corrupted: UInt64
    /// How often a writer gave up waiting for a slot.
    public let refused: UInt64

    /// How many slots somebody uses, or may still come to read.
    public var inUse: Int { slots.count { $0.isInUse } }

    /// How many readers have not come yet, of all contents, those given up included.
    public var pending: UInt64 {
        slots.reduce(0) { sum, slot in
            slot.state == .published ? sum &+ slot.pending : sum
        }
    }
}
