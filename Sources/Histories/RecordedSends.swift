public import Recording
internal import Wire

/// What the agents of a recording sent and were told, as it is needed to play it again.
public struct RecordedSends: Sendable {
    /// What one agent sent.
    public struct Sender: Sendable {
        /// The histories in which it stands.
        public var paths: [String] = []
        /// Messages, up to where it is to be played.
        public var count = 0
        /// Of these, such whose content was not recorded, or lies in shared memory that is gone.
        public var unplayable = 0
    }

    /// When the first message of all was sent.
    public private(set) var origin: UInt64 = .max
    /// By name.
    public private(set) var senders: [String: Sender] = [:]
    /// Who received something.
    public private(set) var receivers: Set<String> = []
    /// The topics that agents subscribed to.
    public private(set) var subscriptions: [String: Set<String>] = [:]
    /// Topics that were published to.
    public private(set) var topics: Set<String> = []
    /// What was wrong with the files.
    public private(set) var notes: [String] = []

    /// Everybody who sent or received.
    public var agents: [String] { receivers.union(senders.keys).sorted() }

    /// Reads recordings.
    ///
    /// What an agent recorded itself counts; of one that did not, what others recorded for it.
    ///
    /// - Parameters:
    ///   - paths: The histories.
    ///   - until: Nanoseconds from the first message on; nil for all.
    /// - Throws: `HistoryError` when a file cannot be read, or is not an MCAP file.
    public init(paths: [String], until: UInt64? = nil) throws(HistoryError) {
        var origins: [UInt64] = []
        for path in paths {
            if let first = try Self.firstSent(path) { origins.append(first) }
        }
        origin = origins.min() ?? 0
        let end = until.map { origin &+ $0 } ?? .max
        var own: [String: Sender] = [:]
        var others: [String: Sender] = [:]
        for path in paths {
            let found = try read(path, until: end)
            for (source, sender) in found.own { own[source, default: Sender()].add(sender) }
            for (source, sender) in found.others { others[source, default: Sender()].add(sender) }
        }
        senders = others.merging(own) { $1 }
    }

    private static func firstSent(_ path: String) throws(HistoryError) -> UInt64? {
        var cursor = try HistoryCursor(path: path)
        while let item = try cursor.next() {
            guard case .record(let record) = item else { continue }
            let kind = cursor.kinds[record.kind]
            if kind.direction == .sent, kind.lane == .primary { return record.sent }
        }
        return nil
    }

    private mutating func read(
        _ path: String, until end: UInt64
    ) throws(HistoryError) -> (own: [String: Sender], others: [String: Sender]) {
        var (own, others): ([String: Sender], [String: Sender]) = ([:], [:])
        var cursor = try HistoryCursor(path: path)
        while let item = try cursor.next() {
            switch item {
            case .annotation(let annotation):
                guard annotation.isNamed("subscribed"),
                    case .subscribed(let agent, let topic, _)? = annotation.annotation
                else { continue }
                subscriptions[agent, default: []].insert(topic)
            case .record(let record):
                let kind = cursor.kinds[record.kind]
                guard kind.lane == .primary, record.sent < end else { continue }
                if case .topic(let name) = kind.flow.destination { topics.insert(name) }
                guard kind.direction == .sent else {
                    switch kind.flow.destination {
                    case .agent(let name): receivers.insert(name)
                    case .topic: receivers.insert(kind.agent)
                    }
                    continue
                }
                let sender = Sender(
                    paths: [path], count: 1,
                    unplayable: record.isDigest || kind.contentEncoding == .descriptor ? 1 : 0)
                if kind.agent == kind.flow.source {
                    own[kind.flow.source, default: Sender()].add(sender)
                } else {
                    others[kind.flow.source, default: Sender()].add(sender)
                }
            }
        }
        notes += cursor.notes.map { "\(path): \($0)" }
        return (own, others)
    }
}

extension RecordedSends.Sender {
    fileprivate mutating func add(_ other: Self) {
        for path in other.paths where paths.last != path { paths.append(path) }
        count += other.count
        unplayable += other.unplayable
    }
}
