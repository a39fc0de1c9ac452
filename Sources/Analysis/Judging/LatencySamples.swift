public import Recording
internal import Wire

/// Which deliveries' latencies are taken.
public struct LatencySelection: Sendable, Hashable {
    /// Delivered over it; nil is any.
    public var transport: String?
    /// Sent within these times, by the run's clock.
    public var window: ClosedRange<UInt64>
    /// Only from and to these agents; nil is all.
    public var through: Set<String>?
    /// Not from or to these.
    public var beside: Set<String> = []

    /// Selects.
    public init(
        transport: String? = nil, window: ClosedRange<UInt64>, through: Set<String>? = nil,
        beside: Set<String> = []
    ) {
        self.transport = transport
        self.window = window
        self.through = through
        self.beside = beside
    }

    func takes(_ kind: RecordKind) -> Bool {
        guard kind.direction == .delivered, kind.lane == .primary,
            transport == nil || kind.transport == transport
        else { return false }
        let ends = [kind.flow.source, kind.agent]
        return (through.map { names in ends.contains(where: names.contains) } ?? true)
            && !ends.contains(where: beside.contains)
    }
}

/// How long single deliveries took, for the judge.
public enum LatencySamples {
    /// More than these are thinned out evenly: the judge gets no surer by them.
    static let countMax = 50_000

    /// The latencies of a selection, in microseconds, in the order of the histories.
    ///
    /// - Parameters:
    ///   - histories: What was recorded.
    ///   - selection: What of it.
    ///   - proxies: Those that record for others: they saw a part of the way only.
    /// - Returns: At most 50,000 figures.
    public static func collect(
        _ histories: [History], _ selection: LatencySelection, proxies: Set<String> = []
    ) -> [Double] {
        var figures: [Double] = []
        for history in histories where !proxies.contains(history.process) {
            let isTaken = history.records.kinds.map { selection.takes($0) }
            guard isTaken.contains(true) else { continue }
            history.records.forEachEntry { _, entry in
                guard isTaken[entry.kind], selection.window.contains(entry.sent) else { return }
                figures.append(
                    entry.observed > entry.sent ? Double(entry.observed - entry.sent) / 1_000 : 0)
            }
        }
        guard figures.count > countMax else { return figures }
        return (0..<countMax).map { figures[$0 * figures.count / countMax] }
    }
}
