internal import DequeModule
internal import Wire

/// The way out to one destination: a bounded queue, and credit where the destination gives it.
struct Outlet {
    private(set) var queue: ParcelQueue
    /// How many more contents the destination takes; nil: it does not say.
    private(set) var credit: Int?
    private(set) var window = 0
    /// Send all that waits, credit or not: the destination drains.
    var isFlushing = false
    /// What the destination must be told will never come, behind what waits.
    var gaps = GapLedger()
    /// The same, before what waits.
    var evicted = GapLedger()
    /// Send past the credit, as far as the socket takes it.
    ///
    /// Nobody hears of new credit while the proxy does not read. What is sent so is owed, and taken
    /// from the credit that comes.
    var isOverdrawn = false
    /// It took nothing for so long that nothing waits for it any more.
    var isStalled = false
    /// How many contents have left, ever.
    private(set) var taken = 0
    /// Who was asked to send no more for now, and to whom.
    var asked: [PauseRequest] = []

    init(limits: QueueLimits) {
        queue = ParcelQueue(limits: limits)
    }

    /// Adds to the end; false when the bound is reached.
    mutating func offer(_ parcel: Parcel) -> Bool { queue.offer(parcel) }

    /// Adds something that the proxy itself says.
    mutating func append(_ parcel: Parcel) { queue.append(parcel) }

    /// What is to be sent next, if the destination takes it.
    var next: Parcel? {
        guard let first = queue.parcels.first else { return nil }
        guard let credit, first.takesCredit, !isFlushing, !isOverdrawn else { return first }
        return credit > 0 ? first : nil
    }

    /// Whether something waits for nothing but credit.
    var waitsForCredit: Bool { !queue.parcels.isEmpty && next == nil }

    /// Puts the notices of what was taken out before what is left of it, once that can go: until
    /// then more may be taken out, and be told by the same notices.
    mutating func prependEvicted(clock: RunClock) {
        guard !evicted.isEmpty, let next, next.takesCredit else { return }
        for notice in evicted.take(clock: clock).reversed() { queue.prepend(notice) }
    }

    /// Adds to the end, and takes out the oldest contents for it where there is no room.
    mutating func force(_ parcel: Parcel) -> [Parcel] {
        let victims = queue.makeRoom(for: parcel)
        queue.append(parcel)
        return victims
    }

    /// What `next` said was sent.
    mutating func sent() {
        guard let first = queue.parcels.first else { return }
        if first.takesCredit { tookContent(first.messageCount) }
        queue.removeFirst()
    }

    /// Whether nothing waits, nothing is to be told first, and the destination takes a content.
    var isOpen: Bool {
        queue.parcels.isEmpty && gaps.isEmpty && evicted.isEmpty && (credit ?? 1) > 0
    }

    /// Contents were sent; a batch may overdraw, since nobody could send one that is larger than
    /// its receiver's whole window otherwise.
    mutating func tookContent(_ count: Int = 1) {
        taken += count
        guard let credit else { return }
        self.credit = credit - count
    }

    /// Puts the envelopes of the batch that is next in its place; false where it cannot be read.
    mutating func splitNext() -> Bool { queue.splitFirst() }

    /// What `next` said goes nowhere.
    mutating func removeNext() { queue.removeFirst() }

    /// The destination attaches and takes this many; nil: it gives no credit.
    mutating func attach(window: Int?) {
        credit = window
        self.window = window ?? 0
        isFlushing = false
    }

    /// The destination consumed this many.
    mutating func replenish(_ count: Int) {
        guard let credit else { return }
        self.credit = min(window, credit + min(count, Int(UInt32.max)))
    }

    /// Puts the notices of gaps behind what waits, once there is room again.
    mutating func appendGaps(clock: RunClock) {
        guard !gaps.isEmpty, queue.messages < queue.limits.messages else { return }
        for notice in gaps.take(clock: clock) { queue.append(notice) }
    }

    /// Forgets what the proxy itself said to an incarnation that is gone.
    mutating func removeOwn() { queue.removeAll(where: \.isOwn) }

    /// All that waits, but for what the proxy itself said.
    mutating func takeAll() -> [Parcel] { queue.takeAll().filter { !$0.isOwn } }

    var isEmpty: Bool { queue.parcels.isEmpty }

    /// The most bytes that waited at once since the last call.
    mutating func takeBytesMax() -> Int { queue.takeBytesMax() }

    /// Envelopes that wait.
    var count: Int { queue.messages }
}
