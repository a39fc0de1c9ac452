public import Recording
public import Wire

/// What a history says, counted flow by flow.
public struct HistorySummary: Sendable {
    /// One flow as one process saw it from one side.
    public struct Key: Sendable, Hashable, Comparable {
        /// The process that recorded.
        public let agent: String
        /// Sender and destination.
        public let flow: Flow
        /// The sender's incarnation.
        public let incarnation: UInt32
        /// Sent or delivered.
        public let direction: Direction
        /// The copy that is acted on, or the one that is only compared.
        public let lane: Lane

        /// By flow, incarnation, sent before delivered, and process.
        public static func < (left: Key, right: Key) -> Bool {
            (left.flow, left.incarnation, left.direction.rank, left.lane.rawValue, left.agent)
                < (
                    right.flow, right.incarnation, right.direction.rank, right.lane.rawValue,
                    right.agent
                )
        }
    }

    /// What is known of one flow from one side.
    public struct Stream: Sendable {
        /// Records, repeats included.
        public var count = 0
        /// Bytes of their contents, as they were sent.
        public var bytes = 0
        /// The longest content.
        public var bytesMax = 0
        /// When the first and the last one were recorded, in nanoseconds by the run's clock.
        public var first: UInt64 = .max
        /// When the last one was recorded.
        public var last: UInt64 = 0
        /// How many of each message type.
        public var types: [String: Int] = [:]
        /// How many by each transport.
        public var transports: [String: Int] = [:]
        /// Which sequences there are.
        public var sequences = SequenceSet()
        /// From sending until the receiver recorded it; of deliveries alone.
        public var latencies = LatencyCounts()

        /// Records of envelopes that were recorded before.
        public var repeats: Int { count - sequences.count }

        /// Counts a record, all but its type and transport.
        mutating func take(_ record: RecordView, isDelivered: Bool) {
            count += 1
            let length = record.length
            bytes += length
            bytesMax = max(bytesMax, length)
            first = min(first, record.observed)
            last = max(last, record.observed)
            sequences.insert(record.sequence)
            guard isDelivered else { return }
            latencies.record(record.observed > record.sent ? record.observed - record.sent : 0)
        }
    }

    /// The processes that recorded.
    public internal(set) var processes: Set<String> = []
    /// The flows.
    public internal(set) var streams: [Key: Stream] = [:]
    /// How often each kind of annotation stands in it.
    public internal(set) var annotations: [String: Int] = [:]
    /// What was wrong with the files.
    public internal(set) var notes: [String] = []

    /// Nothing.
    public init() {}

    /// Records of all flows.
    public var count: Int { streams.values.reduce(0) { $0 + $1.count } }

    /// Records of shadow copies among them.
    public var shadowCount: Int {
        streams.reduce(0) { $0 + ($1.key.lane == .shadow ? $1.value.count : 0) }
    }

    /// When the first and the last record were made; nil where there is none.
    public var span: ClosedRange<UInt64>? {
        let first = streams.values.map(\.first).min() ?? .max
        let last = streams.values.map(\.last).max() ?? 0
        return first <= last ? first...last : nil
    }

    /// Adds what other files say.
    public mutating func add(_ other: HistorySummary) {
        processes.formUnion(other.processes)
        annotations.merge(other.annotations, uniquingKeysWith: +)
        notes += other.notes
        for (key, stream) in other.streams {
            guard var here = streams[key] else {
                streams[key] = stream
                continue
            }
            here.count += stream.count
            here.bytes += stream.bytes
            here.bytesMax = max(here.bytesMax, stream.bytesMax)
            here.first = min(here.first, stream.first)
            here.last = max(here.last, stream.last)
            here.types.merge(stream.types, uniquingKeysWith: +)
            here.transports.merge(stream.transports, uniquingKeysWith: +)
            here.sequences.formUnion(stream.sequences)
            here.latencies.add(stream.latencies)
            streams[key] = here
        }
    }
}

/// Counts a history while it is read.
struct SummaryBuilder {
    private struct Kind {
        /// Where its stream is.
        let index: Int
        let isDelivered: Bool
        let type: String
        let transport: String
        var count = 0
    }

    private var indices: [HistorySummary.Key: Int] = [:]
    private var streams: [HistorySummary.Stream] = []
    private var kinds: [Kind] = []
    private var annotations: [String: Int] = [:]

    /// Counts a record.
    ///
    /// - Parameters:
    ///   - record: The record.
    ///   - all: What the record's kind is a number in; always of the same file.
    mutating func take(_ record: RecordView, kinds all: @autoclosure () -> [RecordKind]) {
        if record.kind >= kinds.count { learn(all()) }
        kinds[record.kind].count += 1
        let isDelivered = kinds[record.kind].isDelivered
        streams[kinds[record.kind].index].take(record, isDelivered: isDelivered)
    }

    private mutating func learn(_ all: [RecordKind]) {
        for kind in all[kinds.count...] {
            let key = HistorySummary.Key(
                agent: kind.agent, flow: kind.flow, incarnation: kind.incarnation,
                direction: kind.direction, lane: kind.lane)
            let index = indices[key] ?? streams.count
            if index == streams.count {
                indices[key] = index
                streams.append(HistorySummary.Stream())
            }
            kinds.append(
                Kind(
                    index: index, isDelivered: kind.direction == .delivered, type: kind.type,
                    transport: kind.transport))
        }
    }

    /// Counts an annotation.
    mutating func take(_ annotation: AnnotationView) {
        annotations[annotation.name ?? "unknown", default: 0] += 1
    }

    /// What was counted.
    func summary(process: String, notes: [String]) -> HistorySummary {
        var summary = HistorySummary()
        summary.processes = [process]
        summary.annotations = annotations
        summary.notes = notes.map { "\(process): \($0)" }
        var streams = streams
        for kind in kinds where kind.count > 0 {
            streams[kind.index].types[kind.type, default: 0] += kind.count
            streams[kind.index].transports[kind.transport, default: 0] += kind.count
        }
        summary.streams = indices.mapValues { streams[$0] }.filter { $0.value.count > 0 }
        return summary
    }
}

extension HistorySummary {
    /// Counts what stands in a file.
    ///
    /// A sealed file says it itself, without being read; any other one is read once.
    ///
    /// - Throws: `HistoryError` when the file cannot be read, or is not an MCAP file.
    public init(path: String) throws(HistoryError) {
        if let sealed = try HistorySummary(sealed: path) {
            self = sealed
            return
        }
        var cursor = try HistoryCursor(path: path)
        var builder = SummaryBuilder()
        while let item = try cursor.next() {
            switch item {
            case .record(let record): builder.take(record, kinds: cursor.kinds)
            case .annotation(let annotation): builder.take(annotation)
            }
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        self = builder.summary(
            process: cursor.process.isEmpty ? name : cursor.process, notes: cursor.notes)
    }

    /// Counts what stands in files, several of them at once.
    ///
    /// - Throws: `HistoryError` when one cannot be read, or is not an MCAP file.
    public init(paths: [String]) throws(HistoryError) {
        self.init()
        let summaries = try FileWorkers.map(paths) { path throws(HistoryError) in
            try HistorySummary(path: path)
        }
        for summary in summaries { add(summary) }
    }
}

extension Direction {
    /// What is sent comes before what is delivered.
    fileprivate var rank: Int { self == .sent ? 0 : 1 }
}
