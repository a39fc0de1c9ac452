/// Which digests of contents a pool computes.
public enum Checksum: String, Sendable, Hashable, CaseIterable {
    /// None.
    case none
    /// When a content is published: it can be compared, and is not verified.
    case write
    /// When a content is published, and again before each reading.
    case verify
}

/// The shape of a pool, fixed when it is made.
public struct PoolLayout: Sendable, Hashable {
    /// The bytes that one slot holds.
    public var slotSize: Int
    /// How many slots there are.
    public var slotCount: Int
    /// Which digests are computed.
    public var checksum: Checksum
    /// How long a published content waits for readers that do not come.
    public var lease: Duration

    /// A layout from its parts.
    public init(slotSize: Int, slotCount: Int, checksum: Checksum, lease: Duration) {
        self.slotSize = slotSize
        self.slotCount = slotCount
        self.checksum = checksum
        self.lease = lease
    }
}

/// What tells a reader where a published content lies, and which one it is.
public struct SlotReference: Sendable, Hashable {
    /// Which slot.
    public var slot: Int
    /// Which of the contents that this slot has had.
    public var generation: UInt64
    /// How many bytes.
    public var size: UInt64
    /// XXH3 (64 bits) of the bytes; nil where the pool computes none.
    public var digest: UInt64?

    /// A reference from its parts.
    public init(slot: Int, generation: UInt64, size: UInt64, digest: UInt64?) {
        self.slot = slot
        self.generation = generation
        self.size = size
        self.digest = digest
    }
}
