public import Recording
internal import Wire

/// How long envelopes were under way on one transport.
public struct Percentiles: Sendable, Hashable {
    /// Deliveries measured.
    public let count: Int
    /// Half took at most this long.
    public let p50Microseconds: Double
    /// 99 of 100 took at most this long.
    public let p99Microseconds: Double
    /// The longest.
    public let maxMicroseconds: Double

    /// Percentiles measured elsewhere.
    public init(
        count: Int, p50Microseconds: Double, p99Microseconds: Double, maxMicroseconds: Double
    ) {
        self.count = count
        self.p50Microseconds = p50Microseconds
        self.p99Microseconds = p99Microseconds
        self.maxMicroseconds = maxMicroseconds
    }

    /// Exact percentiles by nearest rank; `nil` of nothing.
    public init?(ofNanoseconds samples: [UInt64]) {
        guard !samples.isEmpty else { return nil }
        let sorted = samples.sorted()
        func rank(_ percent: Int) -> Double {
            Double(sorted[(sorted.count * percent + 99) / 100 - 1]) / 1_000
        }
        self.init(
            count: sorted.count, p50Microseconds: rank(50), p99Microseconds: rank(99),
            maxMicroseconds: rank(100))
    }
}

/// Latency per transport, and how NATS compares to ZeroMQ.
public struct Latency: Sendable, Hashable {
    /// By transport of delivery: `zmq`, `nats`, `inproc`.
    public var transports: [String: Percentiles]

    /// Latency measured elsewhere.
    public init(transports: [String: Percentiles]) {
        self.transports = transports
    }

    /// Measures what was delivered: from sending until the receiver recorded it.
    ///
    /// Only what was sent within the window counts (`nil`: all), and only in the lane (`nil`: both,
    /// as the comparison of a dual run's two transports needs). What a proxy recorded for an agent,
    /// as sent or as delivered, does not: it saw a part of the way only.
    public static func measure(
        _ histories: [History], window: ClosedRange<UInt64>? = nil, lane: Lane? = nil,
        proxies: Set<String> = []
    ) -> Latency {
        var partial: Set<StreamKey> = []
        for history in histories where proxies.contains(history.process) {
            for kind in history.records.kinds where kind.direction == .sent {
                partial.insert(StreamKey(flow: kind.flow, incarnation: kind.incarnation))
            }
        }
        var samples: [String: [UInt64]] = [:]
        for history in histories {
            let kinds = history.records.kinds.map { kind in
                kind.direction == .delivered && (lane == nil || kind.lane == lane)
                    && !proxies.contains(kind.agent)
                    && !partial.contains(
                        StreamKey(flow: kind.flow, incarnation: kind.incarnation))
                    ? kind.transport : nil
            }
            // By transport, so that the samples of one are appended without looking them up.
            for transport in Set(kinds.compactMap(\.self)) {
                var durations = samples.removeValue(forKey: transport) ?? []
                let isMeasured = kinds.map { $0 == transport }
                history.records.forEachEntry { _, entry in
                    guard isMeasured[entry.kind], window?.contains(entry.sent) ?? true else {
                        return
                    }
                    durations.append(
                        entry.observed > entry.sent ? entry.observed - entry.sent : 0)
                }
                samples[transport] = durations.isEmpty ? nil : durations
            }
        }
        return Latency(transports: samples.compactMapValues(Percentiles.init(ofNanoseconds:)))
    }

    /// NATS's median over ZeroMQ's; `nil` where one of them has no samples.
    public var p50Ratio: Double? { ratio(\.p50Microseconds) }

    /// NATS's 99th percentile over ZeroMQ's.
    public var p99Ratio: Double? { ratio(\.p99Microseconds) }

    private func ratio(_ value: (Percentiles) -> Double) -> Double? {
        guard let zmq = transports["zmq"].map(value), let nats = transports["nats"].map(value),
            zmq > 0
        else { return nil }
        return nats / zmq
    }
}
