/// A shared-memory pool, as it was found at the end of a run.
public struct PoolReport: Sendable, Hashable {
    /// Its name; that of a twin's mesh stands before it.
    public var name: String
    /// The bytes of one slot.
    public var slotSize: Int
    /// How many slots there are.
    public var slots: Int
    /// How often a slot was lent.
    public var loans: Int
    /// How often a content was read.
    public var reads: Int
    /// Contents that were given up with readers still to come.
    public var expired: Int
    /// Contents that readers were still to come for at the end.
    public var unread: Int
    /// Slots that were taken back from owners that had died.
    public var reclaimed: Int
    /// Readings that found something else than was written.
    public var corrupted: Int
    /// Writers that waited for a slot in vain.
    public var refused: Int

    /// Describes a pool.
    public init(
        name: String, slotSize: Int, slots: Int, loans: Int = 0, reads: Int = 0, expired: Int = 0,
        unread: Int = 0, reclaimed: Int = 0, corrupted: Int = 0, refused: Int = 0
    ) {
        self.name = name
        self.slotSize = slotSize
        self.slots = slots
        self.loans = loans
        self.reads = reads
        self.expired = expired
        self.unread = unread
        self.reclaimed = reclaimed
        self.corrupted = corrupted
        self.refused = refused
    }

    /// What is worth saying of it, one sentence each.
    public var findings: [Finding] {
        [
            (expired, "contents were given up: their lease ended before all readers had come"),
            (unread, "contents were not read by all whom they were for"),
            (reclaimed, "slots were taken back from writers that had died"),
            (refused, "contents found no free slot in time"),
        ].filter { $0.0 > 0 }.map { count, what in
            Finding(.note, .evidence, reason: "Pool '\(name)': \(count) \(what).")
        }
    }
}
