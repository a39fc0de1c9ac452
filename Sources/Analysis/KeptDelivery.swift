internal import JSON
internal import Recording
internal import Wire

/// The class `at_least_once` in numbers.
public struct KeptCounts: Sendable, Hashable {
    /// Envelopes sent.
    public var sent = 0
    /// Of these, delivered.
    public var delivered = 0
    /// Of these, acknowledged to their senders, and recorded by their receivers.
    public var acknowledged = 0
    /// Delivered, and not acknowledged by the end: their senders would have sent them again.
    public var unacknowledged = 0
    /// Not delivered: nothing excuses it.
    public var lost = 0
    /// Of the lost, acknowledged all the same: their receivers said what is not true.
    public var wronglyAcknowledged = 0
    /// Sent at most once, although their sender was to keep them: what it lost would be excused.
    public var sentAtMostOnce = 0
    /// Delivered to receivers that have acknowledged nothing at all, although they are to.
    public var neverAcknowledged = 0
    /// Copies that receivers had already, and dropped: what sending again costs.
    public var repeatsDropped = 0

    /// Nothing sent.
    public init() {}

    /// By their names in `verdict.json`.
    static var members: [(name: String, path: WritableKeyPath<KeptCounts, Int>)] {
        [
            ("sent", \.sent), ("delivered", \.delivered), ("acknowledged", \.acknowledged),
            ("unacknowledged", \.unacknowledged), ("lost", \.lost),
            ("wrongly_acknowledged", \.wronglyAcknowledged),
            ("sent_at_most_once", \.sentAtMostOnce),
            ("never_acknowledged", \.neverAcknowledged),
            ("repeats_dropped", \.repeatsDropped),
        ]
    }

    var json: Value {
        .object(
            Dictionary(
                uniqueKeysWithValues: Self.members.map { ($0.name, Value(self[keyPath: $0.path])) }
            ))
    }

    static func + (one: KeptCounts, other: KeptCounts) -> KeptCounts {
        var sum = one
        for member in members { sum[keyPath: member.path] += other[keyPath: member.path] }
        return sum
    }
}

/// What one receiver was delivered of the class, and acknowledged.
struct KeptTally {
    var delivered = 0
    var acknowledged = 0
}

/// What is sent until it is acknowledged: no fault excuses that it is not there, and nobody may
/// acknowledge what it has not.
extension DeliveryCheck {
    /// Whether a flow is of the class: because it says so, or because its sender was told to keep it.
    func isKept(_ key: StreamKey, _ sent: [SentEntry]) -> Bool {
        isMarked(sent) || isPromised(key)
    }

    private func isMarked(_ sent: [SentEntry]) -> Bool {
        sent.first.map { record(at: $0.place).delivery == .atLeastOnce } ?? false
    }

    private func isPromised(_ key: StreamKey) -> Bool {
        guard case .agent(let name) = key.flow.destination else { return false }
        return scope.keeping.contains(key.flow.source) && scope.acknowledging.contains(name)
    }

    /// One flow of the class.
    mutating func countKept(_ key: StreamKey, _ sent: [SentEntry]) {
        if !isMarked(sent), let first = sent.first(where: { isInWindow($0.sent) }) {
            var counts = report.counts.atLeastOnce ?? KeptCounts()
            counts.sentAtMostOnce += sent.count { isInWindow($0.sent) }
            report.counts.atLeastOnce = counts
            let identity = record(at: first.place).identity
            collector.add(.error, .acknowledgement) {
                Finding(
                    .error, .acknowledgement, identity: identity,
                    receiver: key.flow.destination.name,
                    reason: "Sent at most once, although '\(key.flow.source)' was to keep it.")
            }
        }
        var counts = report.counts.atLeastOnce ?? KeptCounts()
        counts.sent += sent.count { isInWindow($0.sent) }
        counts.repeatsDropped += index.repeats[key] ?? 0
        report.counts.atLeastOnce = counts
        report.counts.acknowledged = report.counts.acknowledged ?? 0
    }

    /// How many envelopes a receiver may have without having acknowledged any: twice as many as may
    /// wait for one acknowledgement.
    private static let silenceMax = 128

    /// Receivers that acknowledge nothing: their senders would send everything again for ever.
    mutating func checkSilence() {
        for (receiver, tally) in kept.sorted(by: { $0.key < $1.key })
        where tally.acknowledged == 0 && tally.delivered > Self.silenceMax {
            report.counts.atLeastOnce?.neverAcknowledged += tally.delivered
            collector.add(.error, .acknowledgement) {
                Finding(
                    .error, .acknowledgement,
                    reason:
                        "'\(receiver)' was delivered \(tally.delivered) envelopes that are to be "
                        + "acknowledged, and acknowledged none.")
            }
        }
    }

    private func isAcknowledged(_ entry: SentEntry, _ leg: Leg) -> Bool {
        guard entry.sequence <= index.acknowledged[leg.stream] ?? 0 else { return false }
        // What its receiver said it no longer waits for is no acknowledgement.
        return !(index.gaps[leg.stream] ?? []).contains {
            $0.receiver == leg.receiver && $0.sequences.contains(entry.sequence)
        }
    }

    mutating func presentKept(_ entry: SentEntry, _ leg: Leg) {
        report.counts.atLeastOnce?.delivered += 1
        kept[leg.receiver, default: KeptTally()].delivered += 1
        if isAcknowledged(entry, leg) {
            report.counts.atLeastOnce?.acknowledged += 1
            kept[leg.receiver]?.acknowledged += 1
            report.counts.acknowledged = (report.counts.acknowledged ?? 0) + 1
            return
        }
        report.counts.atLeastOnce?.unacknowledged += 1
        let identity = leg.identity(entry.sequence)
        collector.add(.warning, .acknowledgement) {
            Finding(
                .warning, .acknowledgement, identity: identity, receiver: leg.receiver,
                reason: "Delivered, and not acknowledged by the end.")
        }
    }

    mutating func absentKept(_ entry: SentEntry, _ leg: Leg) {
        report.counts.atLeastOnce?.lost += 1
        guard isAcknowledged(entry, leg) else { return }
        report.counts.atLeastOnce?.wronglyAcknowledged += 1
        let identity = leg.identity(entry.sequence)
        collector.add(.error, .acknowledgement) {
            Finding(
                .error, .acknowledgement, identity: identity, receiver: leg.receiver,
                reason: "Acknowledged by '\(leg.receiver)', whose history does not have it.")
        }
    }
}
