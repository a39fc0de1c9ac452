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
    private final class Counts {
        var stream = HistorySummary.Stream()
    }

    private final class Kind {
        let counts: Counts
        let isDelivered: Bool
        let type: String
        let transport: String
        var count = 0

        init(_ counts: Counts, _ kind: RecordKind) {
            self.counts = counts
            isDelivered = kind.direction == .delivered
            type = kind.type
            transport = kind.transport
        }
    }

    private var streams: [HistorySummary.Key: Counts] = [:]
    private var kinds: [Kind] = []
    private var annotations: [String: Int] = [:]

    /// Counts a record.
    ///
    /// - Parameters:
    ///   - record: The record.
    ///   - all: What the record's kind is a number in; always of the same file.
    mutating func take(_ record: RecordView, kinds all: [RecordKind]) {
        while kinds.count < all.count {
            let kind = all[kinds.count]
            let key = HistorySummary.Key(
                agent: kind.agent, flow: kind.flow, incarnation: kind.incarnation,
                direction: kind.direction, lane: kind.lane)
            let counts = streams[key] ?? Counts()
            streams[key] = counts
            kinds.append(Kind(counts, kind))
        }
        let kind = kinds[record.kind]
        kind.count += 1
        let counts = kind.counts
        counts.stream.count += 1
        let length = record.length
        counts.stream.bytes += length
        if length > counts.stream.bytesMax { counts.stream.bytesMax = length }
        if record.observed < counts.stream.first { counts.stream.first = record.observed }
        if record.observed > counts.stream.last { counts.stream.last = record.observed }
        counts.stream.sequences.insert(record.sequence)
        if kind.isDelivered {
            counts.stream.latencies.record(
                record.observed > record.sent ? record.observed - record.sent : 0)
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
        for kind in kinds where kind.count > 0 {
            kind.counts.stream.types[kind.type, default: 0] += kind.count
            kind.counts.stream.transports[kind.transport, default: 0] += kind.count
        }
        summary.streams = streams.mapValues(\.stream).filter { $0.value.count > 0 }
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

    /// Counts what stands in files.
    ///
    /// - Throws: `HistoryError` when one cannot be read, or is not an MCAP file.
    public init(paths: [String]) throws(HistoryError) {
        self.init()
        for path in paths { add(try HistorySummary(path: path)) }
    }
}

extension Direction {
    /// What is sent comes before what is delivered.
    fileprivate var rank: Int { self == .sent ? 0 : 1 }
}
