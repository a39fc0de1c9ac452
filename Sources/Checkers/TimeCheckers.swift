internal import Analysis
internal import Recording
internal import Wire

/// Whether so many percent of all deliveries were fast enough.
public struct LatencyChecker: Checker {
    /// How people name it.
    public let name: String
    private let percentile: Double
    private let budget: UInt64
    private let transport: String?
    private let type: String?
    private let samplesMin: Int

    /// A checker.
    ///
    /// - Parameters:
    ///   - name: How people name it.
    ///   - percentile: More than 0, at most 100.
    ///   - budget: Nanoseconds from sending until the receiver recorded it.
    ///   - transport: Of this transport alone; nil for all.
    ///   - type: Of this message type alone; nil for all.
    ///   - samplesMin: With fewer deliveries it is inconclusive.
    public init(
        name: String, percentile: Double, budget: UInt64, transport: String? = nil,
        type: String? = nil, samplesMin: Int = 20
    ) {
        self.name = name
        self.percentile = percentile
        self.budget = budget
        self.transport = transport
        self.type = type
        self.samplesMin = samplesMin
    }

    /// Decides, by nearest rank.
    public func check(_ evidence: Evidence) -> CheckOutcome {
        var samples: [UInt64] = []
        for history in evidence.own {
            let isMeant = history.records.kinds.map { kind in
                kind.direction == .delivered && kind.lane == .primary
                    && (transport.map { $0 == kind.transport } ?? true)
                    && (type.map { $0 == kind.type } ?? true)
            }
            history.records.forEachEntry { _, entry in
                guard isMeant[entry.kind] else { return }
                samples.append(entry.observed > entry.sent ? entry.observed - entry.sent : 0)
            }
        }
        guard samples.count >= max(1, samplesMin) else {
            return CheckOutcome(
                name, .inconclusive,
                reason: "\(samples.count) deliveries are too few: \(max(1, samplesMin)) are needed."
            )
        }
        samples.sort()
        let rank = Int((Double(samples.count) * percentile / 100).rounded(.up))
        let value = samples[min(max(rank, 1), samples.count) - 1]
        let text =
            "\(Self.milliseconds(value)) ms at \(percentile) % of \(samples.count) deliveries, "
            + "\(Self.milliseconds(budget)) ms allowed."
        return CheckOutcome(name, value <= budget ? .pass : .fail, reason: text)
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> String {
        let microseconds = nanoseconds / 1_000
        let digits = String(microseconds % 1_000)
        return "\(microseconds / 1_000)." + String(repeating: "0", count: 3 - digits.count) + digits
    }
}

/// Whether after each fault was healed every flow that went on was delivered again in time.
public struct LivenessChecker: Checker {
    /// How people name it.
    public let name: String
    private let deadline: UInt64

    /// A checker.
    ///
    /// - Parameters:
    ///   - name: How people name it.
    ///   - deadline: Nanoseconds from the heal to the first delivery of what was sent after it.
    public init(name: String, deadline: UInt64) {
        self.name = name
        self.deadline = deadline
    }

    private struct Route: Hashable {
        let flow: Flow
        let receiver: String
    }

    private struct Arrival {
        let observed: UInt64
        let sent: UInt64
    }

    /// Decides: what was under way when a fault was healed proves nothing.
    public func check(_ evidence: Evidence) -> CheckOutcome {
        guard !evidence.heals.isEmpty else {
            return CheckOutcome(name, .inconclusive, reason: "No fault was healed.")
        }
        let (sent, delivered) = times(evidence)
        var findings: [Finding] = []
        var count = 0
        for heal in evidence.heals.sorted() {
            for (route, arrivals) in delivered {
                // Who was not served before is not missed, and who was sent nothing waits for nothing.
                guard arrivals.contains(where: { $0.observed < heal }),
                    let first = sent[route.flow]?.first(where: { $0 >= heal })
                else { continue }
                count += 1
                let end = first + deadline
                if !arrivals.contains(where: { $0.sent >= heal && $0.observed <= end }) {
                    var finding = Finding(
                        .error, .lost, receiver: route.receiver,
                        reason: "\(route.flow) was not delivered to \(route.receiver) within "
                            + "\(deadline / 1_000_000) ms after a fault was healed.")
                    finding.flow = route.flow
                    findings.append(finding)
                }
            }
        }
        return outcome(
            looked: count, at: "flows after a heal", findings: findings.sortedByEnvelope,
            wrong: "Flows did not come back")
    }

    private func times(
        _ evidence: Evidence
    ) -> (sent: [Flow: [UInt64]], delivered: [Route: [Arrival]]) {
        var sent: [Flow: [UInt64]] = [:]
        var delivered: [Route: [Arrival]] = [:]
        for record in evidence.histories.lazy.flatMap(\.records) where record.lane == .primary {
            switch record.direction {
            case .sent: sent[record.identity.flow, default: []].append(record.sent)
            case .delivered:
                let receiver =
                    switch record.identity.flow.destination {
                    case .agent(let name): name
                    case .topic: record.agent
                    }
                delivered[Route(flow: record.identity.flow, receiver: receiver), default: []]
                    .append(Arrival(observed: record.observed, sent: record.sent))
            }
        }
        return (sent.mapValues { $0.sorted() }, delivered)
    }
}
