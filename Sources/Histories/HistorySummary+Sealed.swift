internal import JSON
public import Recording
internal import Wire

extension HistorySummary {
    /// The metadata of a sealed file in which its summary stands.
    static let metadataName = "synmesh-summary"
    private static let version = "1"
    /// A summary of more ranges of sequences is not kept: reading the file is as good.
    private static let rangesMax = 500_000

    /// Reads what a sealed file says of itself.
    ///
    /// - Returns: Nil where it says nothing, or nothing that fits its messages.
    init?(sealed path: String) throws(HistoryError) {
        guard let sealed = try SealedSummary(path: path, metadata: Self.metadataName),
            let members = sealed.metadata, members["version"] == Self.version,
            members["messages"] == String(sealed.messageCount),
            let text = members["summary"], let value = try? Value(parsing: text)
        else { return nil }
        self.init()
        guard let process = value["process"]?.string,
            let annotations = value["annotations"].flatMap(Self.counts),
            let streams = value["streams"]?.array
        else { return nil }
        processes = [process]
        self.annotations = annotations
        for value in streams {
            guard let (key, stream) = Self.stream(value) else { return nil }
            self.streams[key] = stream
        }
    }

    /// What a sealed file is to say of itself; nil where it would be longer than is useful.
    func metadata(messageCount: UInt64) -> HistoryMetadata? {
        let ranges = streams.values.reduce(0) { $0 + $1.sequences.ranges.count }
        guard ranges <= Self.rangesMax else { return nil }
        let streams = streams.sorted { $0.key < $1.key }.map { Self.value($0.key, $0.value) }
        let value: Value = [
            "process": .string(processes.first ?? ""),
            "annotations": .object(annotations.mapValues { Value($0) }),
            "streams": .array(streams),
        ]
        return HistoryMetadata(
            name: Self.metadataName,
            members: [
                "version": Self.version, "messages": String(messageCount),
                "summary": value.canonical,
            ])
    }

    private static func value(_ key: Key, _ stream: Stream) -> Value {
        [
            "agent": .string(key.agent), "source": .string(key.flow.source),
            "destination": .string(key.flow.destination.description),
            "incarnation": Value(key.incarnation), "direction": .string(key.direction.rawValue),
            "lane": .string(key.lane.rawValue), "count": Value(stream.count),
            "bytes": Value(stream.bytes), "bytes_max": Value(stream.bytesMax),
            // Texts: 64 bits are more than a JSON number bears.
            "first": .string(String(stream.first)), "last": .string(String(stream.last)),
            "types": .object(stream.types.mapValues { Value($0) }),
            "transports": .object(stream.transports.mapValues { Value($0) }),
            "sequences": .string(
                stream.sequences.ranges.map { range in
                    range.count == 1
                        ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
                }.joined(separator: " ")),
            "latencies": stream.latencies.json,
        ]
    }

    private static func stream(_ value: Value) -> (Key, Stream)? {
        guard let agent = value["agent"]?.string, let source = value["source"]?.string,
            let destination = value["destination"]?.string,
            let incarnation = value["incarnation"]?.integer.flatMap({ UInt32(exactly: $0) }),
            let direction = value["direction"]?.string.flatMap(Direction.init(rawValue:)),
            let lane = value["lane"]?.string.flatMap(Lane.init(rawValue:)),
            let count = value["count"]?.integer, let bytes = value["bytes"]?.integer,
            let bytesMax = value["bytes_max"]?.integer,
            let first = value["first"]?.string.flatMap({ UInt64($0) }),
            let last = value["last"]?.string.flatMap({ UInt64($0) }),
            let types = value["types"].flatMap(counts),
            let transports = value["transports"].flatMap(counts),
            let sequences = value["sequences"]?.string.flatMap(sequences),
            let latencies = value["latencies"].flatMap(LatencyCounts.init(json:))
        else { return nil }
        var stream = Stream()
        stream.count = Int(count)
        stream.bytes = Int(bytes)
        stream.bytesMax = Int(bytesMax)
        (stream.first, stream.last) = (first, last)
        (stream.types, stream.transports) = (types, transports)
        (stream.sequences, stream.latencies) = (sequences, latencies)
        let key = Key(
            agent: agent, flow: Flow(source: source, destination: Address(destination)),
            incarnation: incarnation, direction: direction, lane: lane)
        return (key, stream)
    }

    private static func counts(_ value: Value) -> [String: Int]? {
        guard let members = value.object else { return nil }
        var counts: [String: Int] = [:]
        for (name, value) in members {
            guard let count = value.integer else { return nil }
            counts[name] = Int(count)
        }
        return counts
    }

    private static func sequences(_ text: String) -> SequenceSet? {
        var ranges: [ClosedRange<UInt64>] = []
        for part in text.split(separator: " ") {
            let ends = part.split(separator: "-")
            guard let low = ends.first.flatMap({ UInt64($0) }),
                let high = ends.last.flatMap({ UInt64($0) }), low <= high,
                ranges.last.map({ $0.upperBound < low }) ?? true
            else { return nil }
            ranges.append(low...high)
        }
        return SequenceSet(ranges)
    }
}

extension SummaryBuilder: HistoryObserver {
    mutating func metadata(process: String, messageCount: UInt64) -> [HistoryMetadata] {
        let summary = summary(process: process, notes: [])
        return summary.metadata(messageCount: messageCount).map { [$0] } ?? []
    }
}

/// Seals histories so that they say themselves what stands in them.
public enum HistorySealing {
    /// Seals the history at `path` in place, with its summary; one that is sealed already is left as
    /// it is.
    ///
    /// - Throws: `HistoryError`, and then the original is as it was.
    public static func seal(path: String) throws(HistoryError) {
        try HistorySealer.seal(path: path, observer: SummaryBuilder())
    }

    /// Seals histories, several at once: while the disk takes one the next is read.
    ///
    /// - Returns: Why some could not be sealed, in the order of the paths; those are as they were.
    public static func seal(paths: [String]) -> [HistoryError] {
        do throws(HistoryError) {
            return try FileWorkers.map(paths) { path throws(HistoryError) -> HistoryError? in
                do throws(HistoryError) {
                    try seal(path: path)
                    return nil
                } catch {
                    return error
                }
            }.compactMap(\.self)
        } catch {
            return [error]
        }
    }
}
