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

    /// Only content takes credit.
    var takesCredit: Bool { header[1] == Envelope.Kind.content.rawValue }

    /// The envelope; nil only for a header that was never checked.
    var envelope: Envelope? { try? Envelope(header: header, content: content) }

    /// The message in the seed's wire, as it was written or as it is now.
    var seedBytes: [UInt8] {
        if let seed { return seed }
        return envelope.map { SeedMessage.bytes(of: $0) } ?? []
    }
}

/// How much may wait.
struct QueueLimits: Sendable, Hashable {
    var messages: Int
    var bytes: Int
}

/// Envelopes that wait, bounded in messages and bytes.
struct ParcelQueue {
    private(set) var parcels: Deque<Parcel> = []
    private(set) var bytes = 0
    let limits: QueueLimits

    init(limits: QueueLimits) {
        self.limits = limits
    }

    /// Adds to the end; false when there is no room.
    ///
    /// One that is alone always fits.
    mutating func offer(_ parcel: Parcel) -> Bool {
        guard
            parcels.isEmpty
                || parcels.count < limits.messages
                    && bytes + parcel.byteCount <= limits.bytes
        else { return false }
        append(parcel)
        return true
    }

    /// Adds to the end, room or not: for the few things that the proxy itself says.
    mutating func append(_ parcel: Parcel) {
        parcels.append(parcel)
        bytes += parcel.byteCount
    }

    mutating func removeFirst() {
        bytes -= parcels.removeFirst().byteCount
    }

    mutating func removeAll(where isWorthless: (Parcel) -> Bool) {
        parcels.removeAll { isWorthless($0) }
        bytes = parcels.reduce(0) { $0 + $1.byteCount }
    }

    mutating func takeAll() -> Deque<Parcel> {
        defer {
            parcels = []
            bytes = 0
        }
        return parcels
    }
}
