/// The words that say what is in a slot, as they lie in the file.
///
/// They are changed by who has the content alone, or shares it and holds the lock of the record. Each
/// change of several words ends with the one that makes it true, so that a process may be killed
/// between any two.
struct SlotRecord {
    /// The words of a record, each 8 bytes, little-endian.
    enum Word: Int, CaseIterable {
        case state, generation, owner, ownerStart, size, digest, hasDigest, pending, expires
        case loans, reads, expired, reclaimed, corrupted
    }

    static let free: UInt64 = 0
    static let loaned: UInt64 = 1
    static let published: UInt64 = 2

    let mapping: Mapping
    let offset: Int

    subscript(_ word: Word) -> UInt64 {
        get { mapping.load(offset + word.rawValue * 8) }
        nonmutating set { mapping.store(offset + word.rawValue * 8, newValue) }
    }

    /// The digest that was published, if one was.
    var digest: UInt64? { self[.hasDigest] == 1 ? self[.digest] : nil }

    /// Whether readers may still come for what is published.
    ///
    /// - Parameters:
    ///   - now: The monotonic time.
    ///   - lease: That of the pool: no honest expiry is further away.
    /// - Returns: False also for an expiry that nobody wrote.
    func isAwaited(now: UInt64, lease: UInt64) -> Bool {
        let expires = self[.expires]
        return self[.pending] > 0 && expires > now && expires - now <= lease
    }

    /// Counts one more.
    ///
    /// A counter is evidence and not truth: it may start again at 0.
    func count(_ word: Word) { self[word] = self[word] &+ 1 }
}
