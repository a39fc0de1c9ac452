extension Pool {
    /// Alters one byte of a published content behind everybody's back.
    ///
    /// A planted fault, so that what is said of contents that were altered can be checked.
    ///
    /// - Parameter reference: What was published; nothing happens where it is empty or gone.
    public func plantAlteration(of reference: SlotReference) {
        guard uses.indices.contains(reference.slot), isCurrent(reference), reference.size > 0,
            reference.size <= UInt64(layout.slotSize)
        else { return }
        content(reference.slot, count: Int(reference.size))[Int(reference.size / 2)] ^= 0xFF
    }
}
