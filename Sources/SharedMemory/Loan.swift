/// A slot that one writer fills in place.
///
/// Given back unpublished at the end of its life.
public struct Loan: ~Copyable {
    private let pool: Pool
    /// Which slot.
    public let slot: Int
    /// How many bytes may be filled in.
    public let byteCount: Int
    /// Which of the contents that this slot has had it will be.
    public let generation: UInt64
    private var isPublished = false

    init(pool: Pool, slot: Int, byteCount: Int, generation: UInt64) {
        self.pool = pool
        self.slot = slot
        self.byteCount = byteCount
        self.generation = generation
    }

    deinit {
        if !isPublished { pool.giveBack(slot) }
    }

    /// Lends the bytes, which hold whatever was there before.
    ///
    /// - Parameter body: Fills them in; they are no longer its own once it returns.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(pool.content(slot, count: byteCount))
    }

    /// Ends the writing and lets readers in.
    ///
    /// - Precondition: `size` is no more than `byteCount`, and `readers` is not negative.
    ///
    /// - Parameters:
    ///   - size: How many bytes, from the first on, are the content.
    ///   - readers: How many will come; once they have, the slot can be lent again.
    /// - Returns: What a reader needs to know.
    /// - Throws: `.notFound` when the pool was removed, `.corrupted` when its file was cut; the slot is
    ///   given back.
    public consuming func publish(
        size: Int, readers: Int
    ) throws(SharedMemoryError) -> SlotReference {
        precondition(size >= 0 && size <= byteCount, "more bytes than were lent")
        precondition(readers >= 0, "fewer readers than none")
        let reference = try pool.publish(
            slot, generation: generation, size: size, readers: readers)
        isPublished = true
        return reference
    }
}
