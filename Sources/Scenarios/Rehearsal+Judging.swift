internal import Analysis
internal import Recording
internal import Threads
internal import Topologies
internal import Wire

/// Latencies of moved agents, beside their own before the move and beside what was not moved.
extension Rehearsal {
    /// Judges a step's latencies where the scenario has a rule for them.
    func judgeLatency(
        _ evidence: Evidence, _ stage: Stage, _ window: ClosedRange<UInt64>
    ) async throws -> [StepVerdict] {
        guard let rule = scenario.judge else { return [] }
        if stage.step.action == .baseline {
            baselineWindow = window
            return try await judgeField(evidence, rule, window)
        }
        guard !stage.agents.isEmpty else { return [] }
        guard let baseline = baselineWindow else {
            return [
                StepVerdict(
                    .inconclusive,
                    reason: "There was no baseline, so no latency can be judged beside one.")
            ]
        }
        let (seed, proxies, noise) = (context.seed, plainScope.proxies, fieldNoise)
        let (agents, others) = (stage.agents, Set(moved).union(stage.agents))
        // What was sent before was not on NATS yet.
        let after = min(stage.changed, window.upperBound)...window.upperBound
        let found = try await onDedicatedThread(named: "judge") {
            let rest = LatencyJudgement(
                "what was not moved, beside its baseline",
                LatencySamples.collect(
                    evidence.histories, .init(window: window, beside: others), proxies: proxies),
                beside: LatencySamples.collect(
                    evidence.histories, .init(window: baseline, beside: others), proxies: proxies),
                by: rule, seed: seed)
            return agents.map { agent in
                var judgement = LatencyJudgement(
                    "\(agent) on NATS, beside its baseline",
                    LatencySamples.collect(
                        evidence.histories, .init(window: after, through: [agent]),
                        proxies: proxies),
                    beside: LatencySamples.collect(
                        evidence.histories, .init(window: baseline, through: [agent]),
                        proxies: proxies),
                    by: rule, seed: seed)
                judgement.weigh(against: rest, and: noise, rule)
                return judgement
            } + [rest]
        }
        judgements += found
        hasJudgedLatency = true
        // What was not moved is judged for comparison alone.
        return found.dropLast().map { StepVerdict($0.verdict, reason: $0.reason) }
    }

    /// How far ZeroMQ beside itself differs: one half of the baseline beside the other.
    private func judgeField(
        _ evidence: Evidence, _ rule: LatencyRule, _ window: ClosedRange<UInt64>
    ) async throws -> [StepVerdict] {
        let middle = window.lowerBound + (window.upperBound - window.lowerBound) / 2
        let (seed, proxies) = (context.seed, plainScope.proxies)
        let noise = try await onDedicatedThread(named: "judge") {
            LatencyJudgement(
                "ZeroMQ beside itself (A/A)",
                LatencySamples.collect(
                    evidence.histories, .init(transport: "zmq", window: middle...window.upperBound),
                    proxies: proxies),
                beside: LatencySamples.collect(
                    evidence.histories, .init(transport: "zmq", window: window.lowerBound...middle),
                    proxies: proxies),
                by: rule, seed: seed)
        }
        judgements.append(noise)
        fieldNoise = noise
        if noise.verdict != .pass {
            notes.append(
                Finding(
                    .warning, .evidence,
                    reason:
                        "The field is noisy: \(noise.reason) What is judged beside it has to be "
                        + "worse than that."))
        }
        // Noise is no fault of the mesh: it is named, and weighed where something is judged beside it.
        return []
    }
}

extension LatencyJudgement {
    /// Takes back a failure that what was not moved, or the field by itself, would explain as well.
    mutating func weigh(
        against rest: LatencyJudgement, and noise: LatencyJudgement?, _ rule: LatencyRule
    ) {
        guard verdict == .fail, let p50, let p99 else { return }
        if rest.verdict == .fail {
            verdict = .inconclusive
            reason += " So is what was not moved: the machine may have been slow."
            return
        }
        guard let noise, noise.verdict != .pass, let median = noise.p50, let tail = noise.p99 else {
            return
        }
        let isBeyond =
            p50.low > rule.ratioMax * max(1, median.high)
            || p99.low > rule.ratioMax * max(1, tail.high)
        guard !isBeyond else { return }
        verdict = .inconclusive
        reason += " ZeroMQ beside itself differs as much."
    }
}
