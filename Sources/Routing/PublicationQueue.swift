internal import DequeModule
internal import Wire

/// Something for NATS.
struct Publication: Sendable {
    let subject: String
    /// The envelope as it is published; of a plain publication, what it was made of.
    let envelope: Envelope
    /// The bytes alone, for a program that knows nothing of envelopes.
    let plain: [UInt8]?
    /// The envelope as it came, should it be wanted back.
    let parcel: Parcel
    /// The agent that it is for; nil for a topic.
    let agent: String?
    /// Whether its receiver keeps no history, so that the proxy is to hear that it is gone.
    var isRecorded = false

    var byteCount: Int { (plain?.count ?? envelope.contentSize) + 512 }
}

/// Publications that wait, bounded in messages and bytes; a batch is as many messages as it holds.
struct PublicationQueue {
    /// Numbered, so that a flush knows which came before it.
    private var entries: Deque<(number: UInt64, publication: Publication)> = []
    private(set) var bytes = 0
    private(set) var messages = 0
    /// The number of the publication that came last.
    private(set) var accepted: UInt64 = 0
    /// Publications that were taken out to be published, and not put back.
    private(set) var taken = 0
    let limits: QueueLimits

    init(limits: QueueLimits) { self.limits = limits }

    var publications: some Sequence<Publication> { entries.lazy.map(\.publication) }

    /// The number of the one that has waited longest.
    var firstNumber: UInt64? { entries.first?.number }

    /// Whether there is room for one more; one that is alone always has.
    func hasRoom(for publication: Publication) -> Bool {
        entries.isEmpty
            || messages + publication.parcel.messageCount <= limits.messages
                && bytes + publication.byteCount <= limits.bytes
    }

    /// Whether this much of a bound is used, in messages or in bytes.
    func isFilled(to part: Int, of parts: Int) -> Bool {
        messages * parts >= limits.messages * part || bytes * parts >= limits.bytes * part
    }

    /// Adds to the end.
    mutating func append(_ publication: Publication) {
        accepted += 1
        entries.append((accepted, publication))
        count(publication, 1)
    }

    /// Takes out what has waited longest until there is room for one more.
    ///
    /// What is for one agent was held for its move, or tells it of a gap, and stays.
    mutating func makeRoom(for publication: Publication) -> [Publication] {
        var evicted: [Publication] = []
        while !hasRoom(for: publication),
            let index = entries.firstIndex(where: { $0.publication.agent == nil })
        {
            let oldest = entries.remove(at: index).publication
            count(oldest, -1)
            evicted.append(oldest)
        }
        return evicted
    }

    /// Takes what has waited longest.
    mutating func popFirst() -> (number: UInt64, publication: Publication)? {
        guard let first = entries.popFirst() else { return nil }
        count(first.publication, -1)
        taken += 1
        return first
    }

    /// Puts back what was taken last.
    mutating func putBack(_ entry: (number: UInt64, publication: Publication)) {
        entries.prepend(entry)
        count(entry.publication, 1)
        taken -= 1
    }

    /// Takes what is for one agent.
    mutating func takeAll(for agent: String) -> [Publication] {
        let taken = publications.filter { $0.agent == agent }
        guard !taken.isEmpty else { return [] }
        entries.removeAll { $0.publication.agent == agent }
        for publication in taken { count(publication, -1) }
        return taken
    }

    /// Takes everything.
    mutating func takeAll() -> [Publication] {
        defer {
            entries = []
            (bytes, messages) = (0, 0)
        }
        return Array(publications)
    }

    private mutating func count(_ publication: Publication, _ sign: Int) {
        bytes += sign * publication.byteCount
        messages += sign * publication.parcel.messageCount
    }
}
