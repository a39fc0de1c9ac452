internal import DequeModule
public import Wire

/// What an agent's former incarnations put on record of the delivery class `at_least_once`.
///
/// After a crash nobody hands over a state: what was sent and not acknowledged, and how far each
/// flow was delivered, stands in the histories alone. They are read one message at a time, oldest
/// first; what is kept is as much as the agent itself kept.
public struct OwnHistory: Sendable {
    /// How far a flow was delivered.
    public struct Mark: Sendable, Hashable {
        /// The flow.
        public let flow: Flow
        /// The incarnation of its sender.
        public let incarnation: UInt32
        /// The sequence after the last that was delivered or given up.
        public internal(set) var next: UInt64
        /// What was given up before that.
        public internal(set) var abandoned: [ClosedRange<UInt64>]

        /// How far a flow was delivered.
        public init(
            flow: Flow, incarnation: UInt32, next: UInt64, abandoned: [ClosedRange<UInt64>]
        ) {
            self.flow = flow
            self.incarnation = incarnation
            self.next = next
            self.abandoned = abandoned
        }
    }

    private struct Key: Hashable {
        let flow: Flow
        let incarnation: UInt32
    }

    private struct Delivered {
        var mark: Mark
        var isKept = false
    }

    let agent: String
    /// Sent, not acknowledged, and not there to be sent again.
    private var contentless: [Key: [UInt64]] = [:]
    private var sent: [Key: Deque<Envelope>] = [:]
    private var delivered: [Key: Delivered] = [:]
    /// What was wrong with the files.
    public internal(set) var notes: [String] = []

    /// Nothing read yet.
    ///
    /// - Parameter agent: Whose histories will be read.
    public init(agent: String) { self.agent = agent }

    /// What is known already, of histories that need not be read again.
    ///
    /// - Parameters:
    ///   - agent: Whose histories they are.
    ///   - marks: How far each flow of the class was delivered.
    ///   - unacknowledged: Sent and not acknowledged, by flow and sequence.
    public init(agent: String, marks: [Mark], unacknowledged: [Envelope]) {
        self.agent = agent
        for mark in marks {
            delivered[Key(flow: mark.flow, incarnation: mark.incarnation)] = Delivered(
                mark: mark, isKept: true)
        }
        for envelope in unacknowledged {
            let key = Key(flow: envelope.identity.flow, incarnation: envelope.incarnation)
            sent[key, default: []].append(envelope)
        }
    }

    /// Sent and not acknowledged, and their contents stand nowhere: nobody can send them again.
    public var lost: [Identity] {
        contentless.flatMap { key, sequences in
            sequences.map {
                Identity(flow: key.flow, incarnation: key.incarnation, sequence: $0)
            }
        }.sorted()
    }

    /// Sent and not acknowledged, by flow and sequence, with their contents.
    public var unacknowledged: [Envelope] {
        sent.values.joined().sorted { $0.identity < $1.identity }
    }

    /// How far each flow of the class was delivered to the agent.
    public var marks: [Mark] {
        delivered.values.filter(\.isKept).map(\.mark).sorted {
            ($0.flow, $0.incarnation) < ($1.flow, $1.incarnation)
        }
    }

    /// Takes in one file; the incarnations' files come in their order.
    ///
    /// - Throws: `HistoryError` when the file cannot be read, or is not an MCAP file.
    public mutating func read(path: String) throws(HistoryError) {
        _ = try read(path: path, from: nil)
    }

    /// Takes in one file from a place on.
    ///
    /// - Returns: False where there is no such place in it; then what was taken in is of no use.
    mutating func read(path: String, from place: HistoryPlace?) throws(HistoryError) -> Bool {
        var channels: [UInt16: Channel] = [:]
        var annotations: Set<UInt16> = []
        func define(_ record: ChannelRecord) {
            channels[record.id] = record.channel
            if record.topic == Channel.annotationsTopic { annotations.insert(record.id) }
        }
        let known = place?.records ?? []
        for record in known { define(record) }
        var walk =
            place.map { RecordWalk(from: $0.offset, knowing: known.map(\.id)) } ?? RecordWalk()
        let isThere = try walk.run(path: path) { event in
            switch event {
            case .channel(let record, _): define(record)
            case .message(let message):
                if let channel = channels[message.channel] {
                    take(message, of: channel)
                } else if annotations.contains(message.channel),
                    let annotation = Annotation(json: message.data)
                {
                    take(annotation)
                }
            case .header, .metadata, .schema: break
            }
        }
        guard place == nil || isThere && walk.notes.isEmpty else { return false }
        notes += walk.notes.map { "\(path): \($0)" }
        return true
    }

    private mutating func take(_ message: MessageRecord, of channel: Channel) {
        guard channel.delivery == .atLeastOnce, channel.lane == .primary else { return }
        let key = Key(flow: channel.flow, incarnation: channel.incarnation)
        let sequence = UInt64(channel.sequenceHigh) << 32 | UInt64(message.sequence)
        switch channel.direction {
        case .delivered:
            var entry = entry(key)
            entry.isKept = true
            entry.mark.next = max(entry.mark.next, sequence + 1)
            delivered[key] = entry
        case .sent where channel.flow.source == agent:
            guard !channel.isDigest else {
                contentless[key, default: []].append(sequence)
                return
            }
            sent[key, default: []].append(
                Envelope(
                    identity: Identity(
                        flow: channel.flow, incarnation: channel.incarnation, sequence: sequence),
                    type: channel.type, sent: message.published,
                    contentEncoding: channel.contentEncoding, delivery: .atLeastOnce,
                    content: [UInt8](message.data)))
        case .sent: break
        }
    }

    private func entry(_ key: Key) -> Delivered {
        delivered[key]
            ?? Delivered(
                mark: Mark(flow: key.flow, incarnation: key.incarnation, next: 1, abandoned: []))
    }

    private mutating func take(_ annotation: Annotation) {
        switch annotation {
        case .acknowledged(let flow, let incarnation, let through, _, _):
            let key = Key(flow: flow, incarnation: incarnation)
            while let first = sent[key]?.first, first.sequence <= through {
                sent[key]?.removeFirst()
            }
            if sent[key]?.isEmpty == true { sent[key] = nil }
            contentless[key]?.removeAll { $0 <= through }
        case .cause(let identity, let by, _):
            let key = Key(flow: identity.flow, incarnation: identity.incarnation)
            // It stands right behind what it is the cause of.
            guard var last = sent[key]?.last, last.identity == identity else { return }
            last.cause = by
            sent[key]?.removeLast()
            sent[key]?.append(last)
        case .dropped(let identity, _, let by, _) where by == agent:
            let key = Key(flow: identity.flow, incarnation: identity.incarnation)
            sent[key]?.removeAll { $0.sequence == identity.sequence }
            contentless[key]?.removeAll { $0 == identity.sequence }
        case .gap(let flow, let incarnation, let from, let through, _, let by, _)
        where by == agent && from <= through && through < UInt64.max:
            let key = Key(flow: flow, incarnation: incarnation)
            var entry = entry(key)
            entry.mark.next = max(entry.mark.next, through + 1)
            if entry.mark.abandoned.last != from...through {
                entry.mark.abandoned.append(from...through)
            }
            delivered[key] = entry
        default: break
        }
    }
}
