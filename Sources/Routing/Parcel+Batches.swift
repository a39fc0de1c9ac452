internal import Wire

/// A parcel may be a batch: passed on whole wherever its receiver takes it so, counted by its
/// envelopes, and named by each of them.
extension Parcel {
    /// Whether it is a batch.
    var isBatch: Bool { header[1] == Envelope.Kind.batch.rawValue }

    /// How many envelopes it stands for.
    var messageCount: Int {
        guard isBatch else { return 1 }
        return content.withUnsafeBytes { Batch.count(of: $0) } ?? 1
    }

    /// Whether what says that it is a batch can be one, as far as its first bytes tell.
    var isWhole: Bool {
        !isBatch || content.withUnsafeBytes { Batch.count(of: $0) } != nil
    }

    /// The names of all that it stands for; none only for a header that was never checked.
    var identities: [Identity] {
        guard let view = HeaderView(header) else { return [] }
        let first = view.identity(in: header)
        return (0..<UInt64(messageCount)).map { offset in
            Identity(
                flow: first.flow, incarnation: first.incarnation,
                sequence: first.sequence &+ offset)
        }
    }

    /// The envelopes that it stands for; nil where it cannot be read.
    var envelopes: [Envelope]? { try? envelope?.unbatched }

    /// Its envelopes, each in a parcel of its own; nil where it cannot be read.
    var split: [Parcel]? {
        isBatch ? envelopes.map { $0.map { Parcel($0) } } : [self]
    }
}
