internal import Analysis
internal import Recording
internal import Wire

/// Whether every envelope came to everyone whom it was for, once, in order and unaltered, but for what
/// faults explain.
public struct DeliveryChecker: Checker {
    /// How people name it.
    public let name = "delivery"

    /// A checker.
    public init() {}

    /// Decides.
    public func check(_ evidence: Evidence) -> CheckOutcome {
        let report = Delivery.check(evidence.histories, in: evidence.scope)
        let unexplained = DeviationCounts.classes.filter { report.counts.unexplained[$0] > 0 }
        let errors = report.findings.filter { $0.severity == .error }
        if !unexplained.isEmpty {
            let words = unexplained.map { "\(report.counts.unexplained[$0]) \($0.rawValue)" }
            return CheckOutcome(
                name, .fail, reason: words.joined(separator: ", ") + ".", findings: errors)
        }
        if let note = report.notes.first {
            return CheckOutcome(name, .inconclusive, reason: "\(note).", findings: errors)
        }
        guard report.counts.expected > 0 else {
            return CheckOutcome(name, .inconclusive, reason: "Nothing was to be delivered.")
        }
        guard report.counts.delivered > 0, report.pending == 0 else {
            return CheckOutcome(
                name, .inconclusive,
                reason: "\(report.counts.delivered) of \(report.counts.expected) deliveries, "
                    + "\(report.pending) were still under way.")
        }
        return CheckOutcome(
            name, .pass,
            reason: "\(report.counts.delivered) of \(report.counts.expected) deliveries, nothing "
                + "unexplained.")
    }
}

/// Whether each receiver was delivered each flow in the order in which it was sent.
public struct OrderChecker: Checker {
    /// How people name it.
    public let name = "order"

    private struct Stream: Hashable {
        let flow: Flow
        let incarnation: UInt32
        let receiver: String
    }

    /// A checker.
    public init() {}

    /// Decides; repeats count once.
    public func check(_ evidence: Evidence) -> CheckOutcome {
        var sequences: [Stream: [(observed: UInt64, sequence: UInt64)]] = [:]
        for history in evidence.own {
            let streams = history.records.kinds.map { kind in
                kind.direction == .delivered && kind.lane == .primary
                    ? Stream(flow: kind.flow, incarnation: kind.incarnation, receiver: kind.agent)
                    : nil
            }
            history.records.forEachEntry { _, entry in
                guard let stream = streams[entry.kind] else { return }
                sequences[stream, default: []].append((entry.observed, entry.sequence))
            }
        }
        var findings: [Finding] = []
        var count = 0
        for (stream, entries) in sequences {
            var seen: Set<UInt64> = []
            // Stable: a file's order is the order of recording.
            let firsts = entries.enumerated()
                .sorted { ($0.element.observed, $0.offset) < ($1.element.observed, $1.offset) }
                .map(\.element.sequence).filter { seen.insert($0).inserted }
            count += firsts.count
            for index in Order.displaced(firsts) {
                let identity = Identity(
                    flow: stream.flow, incarnation: stream.incarnation, sequence: firsts[index])
                findings.append(
                    Finding(
                        .error, .reordered, identity: identity, receiver: stream.receiver,
                        reason: "\(identity) came out of order at \(stream.receiver)."))
            }
        }
        return outcome(
            looked: count, at: "deliveries", findings: findings.sortedByEnvelope,
            wrong: "Flows came out of order")
    }
}

/// Whether what follows from something was never seen before it.
///
/// Two rules, which together are causal order as those who took part could see it: an answer is recorded
/// as sent after what it answers was recorded as delivered; and of two envelopes that one process was
/// delivered, the one from which the other follows came first (L. Lamport, Time, Clocks, and the Ordering
/// of Events in a Distributed System, 1978).
public struct CausalChecker: Checker {
    /// How people name it.
    public let name = "causal"
    /// Longer chains of answers are followed as far as this.
    private static let chainMax = 64

    /// A checker.
    public init() {}

    /// Decides.
    public func check(_ evidence: Evidence) -> CheckOutcome {
        let causes = evidence.causes
        var findings: [Finding] = []
        var count = 0
        for (agent, histories) in Dictionary(grouping: evidence.own, by: \.process) {
            var arrivals: [Identity: UInt64] = [:]
            for record in histories.lazy.flatMap(\.records)
            where record.direction == .delivered && record.lane == .primary {
                arrivals[record.identity] = min(
                    arrivals[record.identity] ?? .max, record.observed)
            }
            func finding(_ identity: Identity, _ reason: String) {
                findings.append(
                    Finding(
                        .error, .reordered, identity: identity, receiver: agent, reason: reason))
            }
            for record in histories.lazy.flatMap(\.records)
            where record.direction == .sent && record.lane == .primary {
                guard let cause = causes[record.identity] else { continue }
                count += 1
                guard let arrival = arrivals[cause] else {
                    // What others were told may be known from them; what it was told itself may not.
                    if cause.flow.destination == .agent(agent) {
                        finding(
                            record.identity,
                            "\(record.identity) answers \(cause), which never came to \(agent).")
                    }
                    continue
                }
                if arrival > record.observed {
                    finding(
                        record.identity,
                        "\(record.identity) answers \(cause), which came to \(agent) later.")
                }
            }
            for (identity, arrival) in arrivals {
                var ancestor = causes[identity]
                for _ in 0..<Self.chainMax {
                    guard let here = ancestor else { break }
                    count += 1
                    if let earlier = arrivals[here], earlier > arrival {
                        finding(
                            identity,
                            "\(identity) follows from \(here), which came to \(agent) after it.")
                        break
                    }
                    ancestor = causes[here]
                }
            }
        }
        return outcome(
            looked: count, at: "answers", findings: findings.sortedByEnvelope,
            wrong: "Causes came after what follows from them")
    }
}

extension [Finding] {
    /// By flow, incarnation and sequence, so that the same evidence always says the same.
    var sortedByEnvelope: [Finding] {
        sorted { one, other in
            let key = { (finding: Finding) in
                (
                    finding.flow?.description ?? "", finding.incarnation ?? 0,
                    finding.sequence ?? 0, finding.receiver ?? "", finding.reason
                )
            }
            return key(one) < key(other)
        }
    }
}
