internal import Analysis
internal import JSON
internal import Topologies
internal import Wire

/// Steps that scenarios are built of: rollouts, questions, and faults that stay until they are healed.
extension Rehearsal {
    func playRollout(
        _ step: Scenario.Step, _ rollout: Scenario.Rollout
    ) async throws -> StepVerdict {
        let named = rollout.order.flatMap { topology.agents(referredToAs: $0).map(\.name) }
        var agents = rollout.order.isEmpty ? unmoved() : named
        if rollout.isByTraffic {
            let traffic = try await traffic()
            // In the topology's order where they are equal.
            agents = agents.enumerated().sorted { one, other in
                let (left, right) = (
                    traffic[one.element, default: 0], traffic[other.element, default: 0]
                )
                return left != right ? left < right : one.offset < other.offset
            }.map(\.element)
            context.report("  by least traffic: \(agents.joined(separator: ", "))")
        }
        let waves = stride(from: 0, to: agents.count, by: rollout.wave).map { start in
            Array(agents[start..<min(start + rollout.wave, agents.count)])
        }
        return try await playMoves(step, of: waves)
    }

    /// How many envelopes each agent sent and was delivered so far.
    private func traffic() async throws -> [String: Int] {
        let mesh = try await runningMesh().mesh
        var traffic: [String: Int] = [:]
        for (name, status) in await mesh.agentStatuses() {
            for member in ["sent", "delivered"] {
                for count in (status[member]?.object ?? [:]).values {
                    traffic[name, default: 0] += Int(count.integer ?? 0)
                }
            }
        }
        return traffic
    }

    func play(_ question: Scenario.Question) async throws -> StepVerdict {
        let started = context.clock.now
        let answer = await context.options.ask?(question.text, question.timeout)
        let verdict: StepVerdict
        switch answer {
        case true?: verdict = StepVerdict(.pass, reason: "A person said to go on.")
        case false?: verdict = StepVerdict(.fail, reason: "A person said not to go on.")
        case nil where question.isContinuedUnattended:
            verdict = StepVerdict(
                .pass, reason: "Nobody answered; the scenario says to go on then.")
        case nil:
            verdict = StepVerdict(
                .inconclusive, reason: "Nobody answered; the scenario does not go on then.")
        }
        return add(verdict, named: "pause_for_person", kind: "pause_for_person", started: started)
    }

    func play(
        _ fault: Scenario.ScheduledFault, of step: Scenario.Step
    ) async throws -> StepVerdict {
        let started = context.clock.now
        let faults = try await runningMesh().faults
        await faults.begin(fault)
        let failures = await faults.takeFailures()
        let verdict =
            failures.first.map { StepVerdict(.inconclusive, reason: $0.asSentence) }
            ?? StepVerdict(.pass, reason: "\(fault.target) suffers \(fault.kind.rawValue).")
        return add(verdict, named: "fault \(fault.target)", kind: "fault", started: started)
    }

    func playHeal() async throws -> StepVerdict {
        let started = context.clock.now
        let faults = try await runningMesh().faults
        let healed = await faults.heal()
        let failures = await faults.takeFailures()
        let verdict: StepVerdict
        if let failure = failures.first {
            verdict = StepVerdict(.inconclusive, reason: failure.asSentence)
        } else if healed.isEmpty {
            verdict = StepVerdict(.inconclusive, reason: "There was nothing to heal.")
        } else {
            verdict = StepVerdict(.pass, reason: "Healed: \(healed.joined(separator: ", ")).")
        }
        return add(verdict, named: "heal", kind: "heal", started: started)
    }
}
