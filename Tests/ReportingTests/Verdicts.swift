import Analysis
import Wire

/// Verdicts to make reports of.
enum Verdicts {
    private static let flow = Flow(source: "camera-1", destination: .agent("mesh-1"))

    private static func identity(_ sequence: UInt64, to destination: Address? = nil) -> Identity {
        Identity(
            flow: destination.map { Flow(source: "camera-1", destination: $0) } ?? flow,
            incarnation: 1, sequence: sequence)
    }

    /// A rehearsal in which everything went well.
    static func promoted() -> Verdict {
        var verdict = Verdict(
            scenario: "first-rehearsal", topology: "rehearsal", run: "2026-01-31T12-00-00",
            seed: 42, started: 1_769_860_800_123_000_000, durationMilliseconds: 31_250,
            verdict: .pass, outcome: .promoted,
            reason: "20,480 of 20,480 deliveries, no limit broken.")
        let kinds = ["baseline", "parallel_run", "canary", "rollout", "cutover"]
        verdict.steps = kinds.enumerated().map { index, kind in
            StepReport(
                name: kind.replacing("_", with: "-"), kind: kind,
                startedMilliseconds: index * 6_000, durationMilliseconds: 950 + index * 1_500,
                verdict: .pass, reason: "4,096 of 4,096 deliveries, no limit broken.")
        }
        var delivery = DeliveryCounts()
        delivery.sent = 18_000
        delivery.expected = 20_480
        delivery.delivered = 20_480
        verdict.delivery = delivery
        var comparison = ComparisonCounts(mode: .dual)
        comparison.match = 6_000
        verdict.comparison = comparison
        verdict.latency = latency
        verdict.moves = ["mesh-1", "probe-1"].map { agent in
            MoveReport(
                agent: agent, from: "zmq", to: "nats", strategy: .restart,
                pauseMicroseconds: 61_000, windowMilliseconds: 85, durationMilliseconds: 140,
                inFlight: 12, outcome: "moved")
        }
        return verdict
    }

    private static let latency = Latency(transports: [
        "zmq": Percentiles(
            count: 12_000, p50Microseconds: 81.25, p99Microseconds: 412, maxMicroseconds: 15_200),
        "nats": Percentiles(
            count: 8_480, p50Microseconds: 122.4, p99Microseconds: 730, maxMicroseconds: 11_000_000
        ),
    ])

    /// A canary that went wrong in every way, with text that is hostile to every format.
    static func broken() -> Verdict {
        var verdict = promoted()
        verdict.scenario = "corrupt-canary"
        verdict.verdict = .fail
        verdict.outcome = .rolledBack
        verdict.reason = "3 corrupted, limit 0, and 2 more broken."
        verdict.steps[2].verdict = .fail
        verdict.steps[2].reason = "3 corrupted & \"more\", limit <0>."
        verdict.steps[3].verdict = .inconclusive
        verdict.steps[3].reason = "No traffic: nothing was expected to be delivered."
        verdict.delivery?.delivered = 20_400
        verdict.delivery?.deviations = DeviationCounts(
            lost: 78, duplicated: 1, reordered: 2, late: 2, corrupted: 3, unexpected: 1)
        verdict.delivery?.explained = DeviationCounts(lost: 77, late: 2)
        verdict.delivery?.dropped = 70
        verdict.delivery?.inferred = 8
        verdict.comparison?.match = 5_990
        verdict.comparison?[.payload] = 7
        verdict.comparison?[.tolerated] = 3
        verdict.moves[0].outcome = "returned"
        verdict.moves[0].failedStep = "drain"
        verdict.rollbackMilliseconds = 412
        verdict.faults = [
            FaultReport(
                id: "f1", kind: "kill", target: "nats", startedMilliseconds: 12_000,
                healedMilliseconds: 12_800, touched: 1_204),
            FaultReport(
                id: "f2", kind: "stop", target: "probe-1", startedMilliseconds: 20_000,
                healedMilliseconds: nil, touched: 0),
        ]
        verdict.leaks = Leaks(processes: 1, sockets: 2)
        verdict.findings = findings()
        return verdict
    }

    private static func findings() -> [Finding] {
        var findings = [
            Finding(
                .error, .corrupted, identity: identity(1_000), path: "$.points[3].x",
                receiver: "mesh-1", reason: "The content changed on its way: 1.5 became 1.75."),
            Finding(
                .error, .lost, identity: identity(7, to: .topic("tot.results")),
                receiver: "thought-1", reason: "Sent, never delivered, and nobody named a drop."),
            Finding(
                .warning, .lost, identity: identity(8), receiver: "mesh-1", fault: "f1",
                reason: "Dropped by 'core': \u{1B}[31mno such thing\u{07}. Fault 'f1' held."),
            Finding(.note, .evidence, reason: "12 envelopes went to agents without a history."),
        ]
        for sequence in 9..<40 {
            findings.append(
                Finding(
                    .warning, .lost, identity: identity(UInt64(sequence)), receiver: "mesh-1",
                    fault: "f1", reason: "Sent, never delivered."))
        }
        return findings
    }

    /// A run that was judged on too little.
    static func inconclusive() -> Verdict {
        var verdict = Verdict(
            scenario: "quiet", topology: "rehearsal", run: "r1", seed: 1, started: 0,
            durationMilliseconds: 812, verdict: .inconclusive, outcome: .held,
            reason: "No traffic: nothing was expected to be delivered.")
        verdict.expect = .outcome(.held)
        return verdict
    }
}
