/// A published content, which stays as it is until the end of this value's life.
public struct Reading: ~Copyable {
    private let pool: Pool
    /// What is read; with the digest that was published, also where the reader did not know it.
    public let reference: SlotReference

    init(pool: Pool, reference: SlotReference) {
        self.pool = pool
        self.reference = reference
    }

    deinit { pool.endReading(reference.slot) }

    /// How many bytes it has.
    public var size: Int { Int(reference.size) }

    /// Lends the bytes where they lie.
    ///
    /// - Parameter body: Reads them; they are no longer there once the reading ends.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(pool.content(reference.slot, count: size)))
    }

    /// Lets more readers come for the same content, without a copy.
    ///
    /// The lease starts again.
    ///
    /// - Parameter readers: How many more will come.
    /// - Returns: What they need to know.
    /// - Throws: `.busy` when the record could not be changed.
    public func share(readers: Int) throws(SharedMemoryError) -> SlotReference {
        precondition(readers >= 0, "fewer readers than none")
        try pool.share(reference, readers: readers)
        return reference
    }
}
