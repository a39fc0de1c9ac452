internal import Histogram
public import Recording
internal import Wire

/// Where messages went, how often and how large, and what that suggests.
public struct Routes: Sendable {
    /// One sender, destination and message type.
    public struct Key: Sendable, Hashable, Comparable {
        /// The sender.
        public let source: String
        /// An agent, or `topic:NAME`.
        public let destination: String
        /// Message type.
        public let type: String

        /// By sender, destination and type.
        public static func < (left: Key, right: Key) -> Bool {
            (left.source, left.destination, left.type)
                < (right.source, right.destination, right.type)
        }
    }

    /// What went one way.
    public struct Route: Sendable {
        /// Messages.
        public var count = 0
        /// Bytes of their contents.
        public var bytes = 0
        /// The most in one second of the clock.
        public var peak = 0
        /// The longest content.
        public var bytesMax = 0
        /// Half of the contents are at most this long; to two digits.
        public var bytesMedian = 0
    }

    /// Something that the recording suggests.
    public struct Advice: Sendable, Hashable {
        /// What it is about.
        public enum Subject: String, Sendable, CaseIterable {
            case batching
            case highWaterMark = "high_water_mark"
            case sharedMemory = "shared_memory"
            case maxPayload = "max_payload"
            case topics
        }

        /// What it is about.
        public let subject: Subject
        /// Of which sender, receiver or topic; empty for the whole mesh.
        public let place: String
        /// What was seen, and what to do.
        public let text: String
    }

    /// Batching is not worth its wait below so many messages a second: the seed's rule.
    public static let batchingRate = 1_000
    /// libzmq's and ours: more messages than that do not wait for one receiver unless told otherwise.
    public static let highWaterMark = 1_000
    /// From here on a pool in shared memory beats frames by more than twice (Documentation/tuning.md).
    public static let sharedMemoryBytes = 1_000_000
    /// What a NATS server takes as one message, unless told otherwise.
    public static let maxPayload = 1_048_576
    /// The same content to so many agents one after the other is a broadcast.
    public static let broadcastSize = 3

    /// The routes.
    public private(set) var routes: [Key: Route] = [:]
    /// From the first record to the last, in nanoseconds.
    public private(set) var duration: UInt64 = 0
    /// What was wrong with the files.
    public private(set) var notes: [String] = []
    /// Messages of all routes.
    public var count: Int { routes.values.reduce(0) { $0 + $1.count } }
    /// Bytes of all routes.
    public var bytes: Int { routes.values.reduce(0) { $0 + $1.bytes } }

    private var broadcasts: [String: Int] = [:]
    private var peaks: [String: Int] = [:]

    /// Reads recordings: what was sent, and of senders that did not record what was delivered.
    ///
    /// - Throws: `HistoryError` when a file cannot be read, or is not an MCAP file.
    public init(paths: [String]) throws(HistoryError) {
        let senders = try Self.senders(paths)
        var cursor = try MergedCursor(paths: paths)
        var tally = RouteTally(senders: senders)
        while let item = try cursor.next() {
            guard case .record(let record) = item else { continue }
            tally.take(record, kinds: cursor.kinds)
        }
        notes = cursor.notes
        routes = tally.routes
        broadcasts = tally.broadcasts
        peaks = tally.peaks
        duration = tally.duration
    }

    /// Who recorded what it sent.
    private static func senders(_ paths: [String]) throws(HistoryError) -> Set<String> {
        let summary = try HistorySummary(paths: paths)
        return Set(
            summary.streams.keys.lazy.filter { $0.direction == .sent && $0.lane == .primary }
                .map(\.flow.source))
    }

    /// What the recording suggests, the most telling first.
    public var advice: [Advice] { batching + highWaterMarks + contents + topics }

    private var batching: [Advice] {
        let fast = routes.filter {
            $0.value.peak >= Self.batchingRate && $0.value.bytesMedian <= 4_096
        }
        guard !fast.isEmpty else {
            return [
                Advice(
                    subject: .batching, place: "",
                    text: "No route reaches \(Self.batchingRate) small messages a second: leave "
                        + "batching off.")
            ]
        }
        return fast.sorted { $0.value.peak > $1.value.peak }.map { key, route in
            Advice(
                subject: .batching, place: "\(key.source) -> \(key.destination)",
                text: "Up to \(route.peak) '\(key.type)' a second, half of them of "
                    + "\(route.bytesMedian) bytes or less: batching pays ('batch: {}' of the "
                    + "sender).")
        }
    }

    private var highWaterMarks: [Advice] {
        peaks.filter { $0.value > Self.highWaterMark }.sorted { $0.value > $1.value }.map {
            destination, peak in
            Advice(
                subject: .highWaterMark, place: destination,
                text:
                    "Up to \(peak) messages in a second: a receiver that stands still for that long "
                    + "exceeds the default mark of \(Self.highWaterMark). Let its branch's queue hold "
                    + "\(peak) messages, or choose what happens when it is full (overflow:).")
        }
    }

    private var contents: [Advice] {
        var advice: [Advice] = []
        for (key, route) in routes.sorted(by: { $0.value.bytesMax > $1.value.bytesMax }) {
            let place = "\(key.source) -> \(key.destination)"
            if route.bytesMax >= Self.sharedMemoryBytes {
                advice.append(
                    Advice(
                        subject: .sharedMemory, place: place,
                        text:
                            "'\(key.type)' of up to \(route.bytesMax) bytes: put such contents into "
                            + "a pool in shared memory where both run on one machine."))
            }
            if route.bytesMax > Self.maxPayload {
                advice.append(
                    Advice(
                        subject: .maxPayload, place: place,
                        text:
                            "'\(key.type)' of up to \(route.bytesMax) bytes is more than NATS takes "
                            + "as one message (\(Self.maxPayload)): chunks, a larger max_payload, or "
                            + "shared memory."))
            }
        }
        return advice
    }

    private var topics: [Advice] {
        var advice = broadcasts.sorted { $0.value > $1.value }.map { source, count in
            Advice(
                subject: .topics, place: source,
                text:
                    "Sent the same content to \(Self.broadcastSize) agents or more, one after the "
                    + "other, \(count) times: a topic sends it once.")
        }
        if advice.isEmpty, !routes.keys.contains(where: { $0.destination.hasPrefix("topic:") }) {
            advice.append(
                Advice(
                    subject: .topics, place: "",
                    text: "No topic is used, and nothing is sent to several agents alike: no topic "
                        + "proxy is needed."))
        }
        return advice
    }
}

/// Counts while records pass.
private struct RouteTally {
    private final class Counts {
        var route = Routes.Route()
        var sizes = Histogram<UInt64>(numberOfSignificantValueDigits: .two)
        var second: UInt64 = 0
        var inSecond = 0
    }

    /// The last content of a sender, and to whom it went.
    private struct Spread {
        var fingerprint: ContentFingerprint
        var destinations: Set<String>
    }

    private struct Use {
        let counts: Counts
        let source: String
        let destination: String
        let isTopic: Bool
    }

    private let senders: Set<String>
    private var counts: [Routes.Key: Counts] = [:]
    private var uses: [Use?] = []
    private var spreads: [String: Spread] = [:]
    private var destinations: [String: (second: UInt64, count: Int)] = [:]
    private(set) var broadcasts: [String: Int] = [:]
    private(set) var peaks: [String: Int] = [:]
    private var first: UInt64?
    private var last: UInt64 = 0

    init(senders: Set<String>) { self.senders = senders }

    var duration: UInt64 { first.map { last - $0 } ?? 0 }

    var routes: [Routes.Key: Routes.Route] {
        counts.mapValues { counts in
            var route = counts.route
            route.peak = max(route.peak, counts.inSecond)
            route.bytesMedian = min(
                Int(clamping: counts.sizes.valueAtPercentile(50)), route.bytesMax)
            return route
        }
    }

    mutating func take(_ record: MergedRecord, kinds: [RecordKind]) {
        while uses.count < kinds.count { uses.append(use(of: kinds[uses.count])) }
        guard let use = uses[record.kind] else { return }
        let view = record.view
        let time = view.observed
        if first == nil { first = time }
        last = max(last, time)
        let (counts, length) = (use.counts, view.length)
        counts.route.count += 1
        counts.route.bytes += length
        counts.route.bytesMax = max(counts.route.bytesMax, length)
        counts.sizes.record(UInt64(length))
        let second = time / 1_000_000_000
        if counts.second != second {
            counts.route.peak = max(counts.route.peak, counts.inSecond)
            (counts.second, counts.inSecond) = (second, 0)
        }
        counts.inSecond += 1
        var destination = destinations[use.destination] ?? (second, 0)
        if destination.second != second { destination = (second, 0) }
        destination.count += 1
        destinations[use.destination] = destination
        if destination.count > peaks[use.destination] ?? 0 {
            peaks[use.destination] = destination.count
        }
        if !use.isTopic { note(view.fingerprint, use) }
    }

    private mutating func note(_ fingerprint: ContentFingerprint, _ use: Use) {
        guard spreads[use.source]?.fingerprint == fingerprint else {
            spreads[use.source] = Spread(
                fingerprint: fingerprint, destinations: [use.destination])
            return
        }
        let isNew = spreads[use.source]?.destinations.insert(use.destination).inserted ?? false
        if isNew, spreads[use.source]?.destinations.count == Routes.broadcastSize {
            broadcasts[use.source, default: 0] += 1
        }
    }

    private mutating func use(of kind: RecordKind) -> Use? {
        guard kind.lane == .primary,
            kind.direction == .sent || !senders.contains(kind.flow.source)
        else { return nil }
        let destination = kind.flow.destination.description
        let key = Routes.Key(source: kind.flow.source, destination: destination, type: kind.type)
        let known = counts[key] ?? Counts()
        counts[key] = known
        return Use(
            counts: known, source: kind.flow.source, destination: destination,
            isTopic: destination.hasPrefix("topic:"))
    }
}
