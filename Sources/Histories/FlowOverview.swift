internal import Recording
public import Wire

/// What became of one flow, as all histories together say; the lane that is acted on.
public struct FlowOverview: Sendable {
    /// Sender and destination.
    public let flow: Flow
    /// Envelopes that were recorded as sent.
    public internal(set) var sent = 0
    /// Deliveries, at all receivers, without repeats.
    public internal(set) var delivered = 0
    /// Sent and not delivered; nil where nobody can say: for topics, and where a side has no history.
    public internal(set) var lost: Int?
    /// Sequences that are missing between the first and the last that a receiver has; where it has none,
    /// between those that were sent.
    public internal(set) var gaps: UInt64 = 0
    /// Deliveries of what the receiver had.
    public internal(set) var repeats = 0
    /// Bytes of contents, as sent, or delivered where no sender recorded.
    public internal(set) var bytes = 0
    /// The longest content.
    public internal(set) var bytesMax = 0
    /// Times of recording.
    public internal(set) var first: UInt64 = .max
    /// The last one.
    public internal(set) var last: UInt64 = 0
    /// Message types and how often they were recorded on the side that is counted.
    public internal(set) var types: [String: Int] = [:]
    /// Transports of deliveries, else of what was sent.
    public internal(set) var transports: [String: Int] = [:]
    /// Who received.
    public internal(set) var receivers: Set<String> = []
    /// From sending until the receiver recorded it.
    public internal(set) var latencies = LatencyCounts()

    /// Envelopes a second, from the first to the last; nil where that is no time.
    public var rate: Double? {
        let count = max(sent, delivered)
        guard count > 1, last > first else { return nil }
        return Double(count - 1) / (Double(last - first) / 1e9)
    }

    /// The flows of a summary, by name.
    public static func all(in summary: HistorySummary) -> [FlowOverview] {
        var streams: [Flow: [(HistorySummary.Key, HistorySummary.Stream)]] = [:]
        for (key, stream) in summary.streams where key.lane == .primary {
            streams[key.flow, default: []].append((key, stream))
        }
        return streams.keys.sorted().map { flow in
            FlowOverview(flow, streams[flow] ?? [], summary.processes)
        }
    }

    private init(
        _ flow: Flow, _ streams: [(key: HistorySummary.Key, stream: HistorySummary.Stream)],
        _ processes: Set<String>
    ) {
        self.flow = flow
        let sent = streams.filter { $0.key.direction == .sent }
        let delivered = streams.filter { $0.key.direction == .delivered }
        for (_, stream) in streams {
            first = min(first, stream.first)
            last = max(last, stream.last)
            bytesMax = max(bytesMax, stream.bytesMax)
        }
        for (key, stream) in delivered {
            repeats += stream.repeats
            gaps += stream.sequences.gapCount
            receivers.insert(key.agent)
            latencies.add(stream.latencies)
            transports.merge(stream.transports, uniquingKeysWith: +)
        }
        self.delivered = delivered.reduce(0) { $0 + $1.stream.sequences.count }
        var sequences: [UInt32: (sent: SequenceSet, delivered: SequenceSet)] = [:]
        for (key, stream) in sent {
            sequences[key.incarnation, default: (SequenceSet(), SequenceSet())].sent
                .formUnion(stream.sequences)
        }
        for (key, stream) in delivered {
            sequences[key.incarnation, default: (SequenceSet(), SequenceSet())].delivered
                .formUnion(stream.sequences)
        }
        self.sent = sequences.values.reduce(0) { $0 + $1.sent.count }
        if delivered.isEmpty { gaps = sequences.values.reduce(0) { $0 + $1.sent.gapCount } }
        if case .agent(let name) = flow.destination, !sent.isEmpty,
            !delivered.isEmpty || processes.contains(name)
        {
            lost = sequences.values.reduce(0) { $0 + $1.sent.count(without: $1.delivered) }
        }
        for (_, stream) in sent.isEmpty ? delivered : sent {
            bytes += stream.bytes
            types.merge(stream.types, uniquingKeysWith: +)
            if delivered.isEmpty { transports.merge(stream.transports, uniquingKeysWith: +) }
        }
    }
}
