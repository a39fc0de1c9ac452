internal import Analysis
public import Histories
public import JSON
internal import Wire

/// What `synmesh history info` says.
public struct HistoryReport: Sendable {
    private let summary: HistorySummary
    private let flows: [FlowOverview]
    private let place: String
    private let fileCount: Int
    private let fileBytes: Int

    /// A report on what histories say together.
    ///
    /// - Parameters:
    ///   - summary: What they say.
    ///   - place: Where they were found.
    ///   - fileCount: How many files they are.
    ///   - fileBytes: How long the files are together.
    public init(_ summary: HistorySummary, place: String, fileCount: Int, fileBytes: Int) {
        self.summary = summary
        flows = FlowOverview.all(in: summary)
        self.place = place
        self.fileCount = fileCount
        self.fileBytes = fileBytes
    }

    /// The report as lines for a terminal; ends with a line break.
    public func text(colour: Bool, width: Int = 120) -> String {
        let ink = Ink(hasColour: colour)
        var lines = [
            ink.text(Text.cut(place, to: width), .bold),
            "  \(Numbers.count(fileCount, "file")), \(Numbers.bytes(fileBytes)), "
                + "\(Numbers.count(summary.processes.count, "process")), "
                + Numbers.count(summary.count, "record"),
        ]
        if let span = summary.span {
            let milliseconds = Int((span.upperBound - span.lowerBound) / 1_000_000)
            lines.append(
                "  from \(Timestamp.text(span.lowerBound)), "
                    + Numbers.duration(milliseconds: milliseconds))
        }
        var table = Table([
            .left, .right, .right, .right, .right, .right, .right, .right, .right, .right, .right,
        ])
        table.add(
            [
                "flow", "sent", "delivered", "lost", "gaps", "repeats", "rate/s", "bytes", "p50",
                "p99", "max",
            ].map { .init($0) })
        for flow in flows { table.add(row(flow)) }
        if !flows.isEmpty { lines += [""] + table.lines(ink, width: width) }
        let shadow = summary.shadowCount
        if shadow > 0 { lines += ["", "  \(Numbers.count(shadow, "record")) of shadow copies"] }
        if !summary.annotations.isEmpty {
            let counts = summary.annotations.sorted { $0.key < $1.key }
                .map { "\($0.key) \(Numbers.grouped($0.value))" }
            lines += [""]
            lines += Text.wrapped("noted: " + counts.joined(separator: ", "), width: width - 2)
                .map { "  " + $0 }
        }
        if !summary.notes.isEmpty {
            lines += [""] + summary.notes.map { "  " + ink.text(Text.cut($0, to: width - 2), .bad) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func row(_ flow: FlowOverview) -> [Table.Cell] {
        func latency(_ percentile: Double) -> String {
            flow.latencies.nanoseconds(at: percentile)
                .map { Numbers.duration(microseconds: Double($0) / 1_000) } ?? "-"
        }
        let longest =
            flow.latencies.count == 0
            ? "-" : Numbers.duration(microseconds: Double(flow.latencies.longest) / 1_000)
        return [
            .init(flow.flow.description), .init(Numbers.grouped(flow.sent)),
            .init(Numbers.grouped(flow.delivered)),
            .init(flow.lost.map(Numbers.grouped) ?? "-"),
            .init(Numbers.grouped(Int(clamping: flow.gaps))),
            .init(Numbers.grouped(flow.repeats)),
            .init(flow.rate.map { Numbers.fixed($0, $0 < 10 ? 1 : 0) } ?? "-"),
            .init(Numbers.bytes(flow.bytes)), .init(latency(50)), .init(latency(99)),
            .init(longest),
        ]
    }

    /// The report for programs: times in nanoseconds, as texts where they may exceed 2^53.
    public var json: Value {
        var document: [String: Value] = [
            "place": .string(place), "files": Value(fileCount), "file_bytes": Value(fileBytes),
            "processes": .array(summary.processes.sorted().map(Value.string)),
            "records": Value(summary.count),
            "annotations": .object(summary.annotations.mapValues { Value($0) }),
            "notes": .array(summary.notes.map(Value.string)),
            "flows": .array(flows.map(Self.json)),
        ]
        if let span = summary.span {
            document["first_ns"] = .string(String(span.lowerBound))
            document["last_ns"] = .string(String(span.upperBound))
        }
        return .object(document)
    }

    private static func json(_ flow: FlowOverview) -> Value {
        var members: [String: Value] = [
            "source": .string(flow.flow.source),
            "destination": .string(flow.flow.destination.description), "sent": Value(flow.sent),
            "delivered": Value(flow.delivered), "lost": flow.lost.map { Value($0) } ?? .null,
            "gaps": Value(flow.gaps), "repeats": Value(flow.repeats), "bytes": Value(flow.bytes),
            "bytes_max": Value(flow.bytesMax),
            "types": .object(flow.types.mapValues { Value($0) }),
            "transports": .object(flow.transports.mapValues { Value($0) }),
            "receivers": .array(flow.receivers.sorted().map(Value.string)),
            "first_ns": .string(String(flow.first)), "last_ns": .string(String(flow.last)),
            "rate": flow.rate.map(Value.double) ?? .null,
        ]
        for (name, percentile) in [("p50_us", 50.0), ("p90_us", 90.0), ("p99_us", 99.0)] {
            members[name] =
                flow.latencies.nanoseconds(at: percentile).map { .double(Double($0) / 1_000) }
                ?? .null
        }
        members["max_us"] =
            flow.latencies.count == 0 ? .null : .double(Double(flow.latencies.longest) / 1_000)
        return .object(members)
    }
}
