internal import DequeModule
internal import JSON
internal import Wire

/// An envelope on its way through a proxy, in bytes.
struct Parcel: Sendable {
    var header: [UInt8]
    let content: [UInt8]
    /// The message as its sender, who speaks only the seed's wire, wrote it.
    let seed: [UInt8]?
    /// Said by the proxy itself; worthless to whoever comes after the present receiver.
    let isOwn: Bool

    init(header: [UInt8], content: [UInt8]) {
        self.header = header
        self.content = content
        seed = nil
        isOwn = false
    }

    init(_ envelope: Envelope, seed: [UInt8]? = nil, isOwn: Bool = false) {
        header = envelope.header
        content = envelope.content
        self.seed = seed
        self.isOwn = isOwn
    }

    /// What it takes of a queue's bound.
    var byteCount: Int { header.count + content.count + (seed?.count ?? 0) }

    /// Only content takes credit, in a batch or not.
    var takesCredit: Bool { header[1] == Envelope.Kind.content.rawValue || isBatch }

    /// Whether its sender sends it again until it is acknowledged.
    var isKept: Bool { header[4] & Envelope.atLeastOnceFlag != 0 }

    /// The envelope; nil only for a header that was never checked.
    var envelope: Envelope? { try? Envelope(header: header, content: content) }

    /// The message in the seed's wire, as it was written or as it is now.
    var seedBytes: [UInt8] {
        if let seed { return seed }
        return envelope.map { SeedMessage.bytes(of: $0) } ?? []
    }
}

/// How much may wait, and what happens to what comes then.
struct QueueLimits: Sendable, Hashable {
    var messages: Int
    var bytes: Int
    var overflow = QueueOverflow.dropNewest
}

/// Envelopes that wait, bounded in messages and bytes.
struct ParcelQueue {
    private(set) var parcels: Deque<Parcel> = []
    private(set) var bytes = 0
    /// Envelopes that wait; a batch is as many as it holds.
    private(set) var messages = 0
    /// The most bytes that waited at once since `takeBytesMax`.
    private var bytesMax = 0
    let limits: QueueLimits

    init(limits: QueueLimits) {
        self.limits = limits
    }

    /// Adds to the end; false when there is no room.
    ///
    /// One that is alone always fits.
    mutating func offer(_ parcel: Parcel) -> Bool {
        guard hasRoom(for: parcel) else { return false }
        append(parcel)
        return true
    }

    /// Adds to the end, room or not: for the few things that the proxy itself says.
    mutating func append(_ parcel: Parcel) {
        parcels.append(parcel)
        bytes += parcel.byteCount
        bytesMax = max(bytesMax, bytes)
        messages += parcel.messageCount
    }

    /// Puts something before all that waits.
    mutating func prepend(_ parcel: Parcel) {
        parcels.prepend(parcel)
        bytes += parcel.byteCount
        messages += parcel.messageCount
    }

    /// Takes out the oldest contents until there is room for one more parcel.
    ///
    /// What is no content (a marker, a notice) stays: there is little of it, and it is not made
    /// again.
    mutating func makeRoom(for parcel: Parcel) -> [Parcel] {
        var evicted: [Parcel] = []
        while !hasRoom(for: parcel),
            let index = parcels.firstIndex(where: \.takesCredit)
        {
            let oldest = parcels.remove(at: index)
            bytes -= oldest.byteCount
            messages -= oldest.messageCount
            evicted.append(oldest)
        }
        return evicted
    }

    private func hasRoom(for parcel: Parcel) -> Bool {
        parcels.isEmpty
            || messages + parcel.messageCount <= limits.messages
                && bytes + parcel.byteCount <= limits.bytes
    }

    /// Whether this much of a bound is used, in messages or in bytes.
    func isFilled(to part: Int, of parts: Int) -> Bool {
        messages * parts >= limits.messages * part || bytes * parts >= limits.bytes * part
    }

    mutating func removeFirst() {
        let first = parcels.removeFirst()
        bytes -= first.byteCount
        messages -= first.messageCount
    }

    mutating func removeAll(where isWorthless: (Parcel) -> Bool) {
        parcels.removeAll { isWorthless($0) }
        recount()
    }

    private mutating func recount() {
        bytes = parcels.reduce(0) { $0 + $1.byteCount }
        messages = parcels.reduce(0) { $0 + $1.messageCount }
    }

    /// Puts the envelopes of the batch that is first in its place; false where it cannot be read.
    mutating func splitFirst() -> Bool {
        guard let parts = parcels.first?.split else { return false }
        parcels.removeFirst()
        parcels.prepend(contentsOf: parts)
        recount()
        return true
    }

    /// The most bytes that waited at once since the last call; room that they took is given up.
    mutating func takeBytesMax() -> Int {
        if parcels.isEmpty, bytesMax > 0 { parcels = [] }
        defer { bytesMax = bytes }
        return bytesMax
    }

    mutating func takeAll() -> Deque<Parcel> {
        defer {
            parcels = []
            bytes = 0
            messages = 0
        }
        return parcels
    }
}
