internal import Analysis
internal import JSON
internal import Recording
internal import Topologies
internal import Wire

/// How each kind of step is played and judged.
extension Rehearsal {
    func play(_ step: Scenario.Step) async throws -> StepVerdict {
        switch step.action {
        case .baseline:
            return try await stage(step, named: "baseline")
        case .dual:
            return try await playDual(step)
        case .twin:
            return try await playTwin(step)
        case .canary(let agent):
            return try await playMoves(
                step, of: topology.agents(referredToAs: agent).map { [$0.name] })
        case .rollout(let rollout):
            return try await playRollout(step, rollout)
        case .cutover(let fallback):
            return try await playCutover(step, fallback: fallback)
        case .load:
            return try await stage(step, named: "load")
        case .hold(let time):
            return try await stage(step, named: "hold") {
                // Cut short, it has not held.
                try? await ContinuousClock().sleep(for: time)
            }
        case .ask(let question):
            return try await play(question)
        case .fault(let fault):
            return try await play(fault, of: step)
        case .heal:
            return try await playHeal()
        case .rollback:
            return try await stage(step, named: "rollback") {
                try await self.rollBack()
            }
        case .move(let relocation):
            return try await playRelocation(step, relocation)
        case .check(let check):
            return try await play(check)
        }
    }

    /// Agents that are on ZeroMQ and can run on NATS, in the topology's order.
    func unmoved() -> [String] {
        topology.agents.filter { agent in
            agent.transport == .zmq && !moved.contains(agent.name)
                && agent.launch(on: .nats) != nil
        }.map(\.name)
    }

    /// Moves agents wave by wave, each under load and judged before the next.
    func playMoves(_ step: Scenario.Step, of waves: [[String]]) async throws -> StepVerdict {
        var verdicts: [StepVerdict] = []
        for wave in waves {
            let agents = wave.filter { !moved.contains($0) }
            guard !agents.isEmpty else { continue }
            let verdict = try await stage(
                step, named: "\(step.action.kind) \(agents.joined(separator: ", "))",
                through: agents
            ) { for agent in agents { try await self.move(agent, to: .nats) } }
            verdicts.append(verdict)
            if verdict.verdict != .pass || Task.isCancelled { break }
        }
        guard !verdicts.isEmpty else {
            return add(
                StepVerdict(.inconclusive, reason: "There was no agent left to move."),
                named: step.action.kind, kind: step.action.kind, started: context.clock.now)
        }
        return .composed(of: verdicts)
    }

    /// All that is left moves; then, for as long as ZeroMQ is to stay the way back, the load goes on.
    private func playCutover(
        _ step: Scenario.Step, fallback: Duration
    ) async throws -> StepVerdict {
        let verdict = try await stage(step, named: "cutover", lasting: fallback) {
            for agent in self.unmoved() { try await self.move(agent, to: .nats) }
        }
        hasCutOver = verdict.verdict == .pass
        return verdict
    }

    func move(_ agent: String, to target: Transport) async throws {
        let mesh = try await runningMesh().mesh
        let fault = await nextFault(inMoveTo: target)
        let result = await mesh.move(agent, to: target, by: scenario.strategy, fault: fault)
        moves.append(result.report)
        if moves.count <= Self.movesTold { context.report("  \(result.report)") }
        if moves.count == Self.movesTold { context.report("  further moves are in the verdict") }
        // Where it is counts, not where it was to go: a move that failed half-way is one to undo.
        moved.removeAll { $0 == agent }
        let isFromZeroMQ = topology.agent(named: agent)?.transport == .zmq
        if isFromZeroMQ, mesh.book.transport(of: agent) == .nats { moved.append(agent) }
        guard result.isDone else {
            throw MoveFailure(
                reason: "\(agent) could not be moved: \(result.report.failedStep ?? "") "
                    + "(\(result.report.outcome))")
        }
    }

    /// Brings every moved agent back, in reverse order, and measures how long that took.
    func rollBack() async throws {
        let clock = ContinuousClock()
        let began = clock.now
        var failures: [String] = []
        for agent in moved.reversed() {
            do {
                try await move(agent, to: .zmq)
            } catch let failure as MoveFailure {
                failures.append(failure.reason)
            }
        }
        hasCutOver = false
        hasRolledBack = true
        if moved.isEmpty { await faults?.contain() }
        rollbackMilliseconds = began.duration(to: clock.now).wholeMilliseconds
        context.note("rolled_back", ["ms": Value(rollbackMilliseconds ?? 0)])
        if !failures.isEmpty {
            throw MoveFailure(reason: failures.joined(separator: "; "))
        }
    }

    struct MoveFailure: Error {
        let reason: String
    }

    /// What a step is played with, beside its own words.
    struct Stage {
        var step: Scenario.Step
        var name: String
        /// Too little traffic through one of these on NATS makes the verdict inconclusive.
        var agents: [String]
        /// When the step's change was done.
        var changed: UInt64
        /// The step's faults, by their numbers in the run.
        var faults: Range<Int>
    }

    /// One stretch under load: the first third while `change` happens, the rest after it, then
    /// everything drained and judged.
    func stage(
        _ step: Scenario.Step, named name: String, through agents: [String] = [],
        lasting window: Duration = .zero,
        change: () async throws -> Void = {},
        comparing compare: (Evidence) async throws -> ComparisonReport? = { _ in nil }
    ) async throws -> StepVerdict {
        let (mesh, loads, faults) = try await runningMesh()
        let started = context.clock.now
        let faultsBefore = await faults.records.count
        async let faultsPlayed: Void = faults.play(step.faults.filter { $0.step == nil })
        faultsInMoves = step.faults.filter { $0.step != nil }
        let early = step.action.thirdsMeanwhile
        let load = Task {
            await loads.send(step.load, thirds: 0..<early)
            return context.clock.now
        }
        let sampling = Task { [sampler] in await sampler?.run() }
        defer { sampling.cancel() }
        var broken: String?
        do {
            try await change()
        } catch let failure as MoveFailure {
            broken = failure.reason
        }
        let changed = context.clock.now
        if case .move(let relocation) = step.action, relocation.endsLoad { await loads.end() }
        let rest = Task {
            let ended = await load.value
            await loads.send(step.load, thirds: early..<3)
            // The load may be over before that time is.
            try? await ContinuousClock().sleep(
                for: window - .nanoseconds(Int64(clamping: context.clock.now - changed)))
            return ended
        }
        if broken == nil { await Self.first(of: rest, or: mesh) }
        if broken == nil, let breakage = await mesh.breakage { broken = breakage }
        if let broken, !moved.isEmpty, step.action != .rollback {
            // The loads go on meanwhile: what users send does not stop for a rollback.
            context.report("rolling back: \(broken)")
            do {
                try await rollBack()
            } catch let failure as MoveFailure {
                notes.append(Finding(.error, .evidence, reason: failure.reason))
            }
        }
        if Task.isCancelled {
            load.cancel()
            rest.cancel()
        }
        let ended = await rest.value
        if step.action.isMeanwhile, !step.load.isEmpty, ended < changed, broken == nil {
            broken = "its load was over before the last move was"
        }
        sampling.cancel()
        await faultsPlayed
        for fault in faultsInMoves {
            notes.append(
                Finding(
                    .error, .evidence,
                    reason: "no move came to the step '\(fault.step?.rawValue ?? "")', at which "
                        + "\(fault.target) was to suffer"))
            broken = broken ?? "not every fault happened"
        }
        return try await judge(
            Stage(
                step: step, name: name, agents: agents, changed: changed,
                faults: faultsBefore..<(await faults.records.count)), since: started,
            broken: broken, comparing: compare)
    }

    private func judge(
        _ stage: Stage, since started: UInt64, broken: String?,
        comparing compare: (Evidence) async throws -> ComparisonReport?
    ) async throws -> StepVerdict {
        let (mesh, loads, faults) = try await runningMesh()
        let step = stage.step
        let (evidence, report) = try await mesh.settle(
            since: started, scope: await scope(), timeout: scenario.drainTimeout)
        await mesh.checkHanded()
        await mesh.checkConnections()
        let window = started...context.clock.now
        results.append((stage.name, await mesh.results()))
        // First: why nothing was sent explains that nothing came.
        var verdicts = await loads.takeFailures().map {
            StepVerdict(broken == nil ? .inconclusive : .fail, reason: $0.asSentence)
        }
        var comparison: ComparisonReport?
        do {
            comparison = try await compare(evidence)
        } catch let failure as MoveFailure {
            verdicts.append(StepVerdict(.inconclusive, reason: failure.reason.asSentence))
        }
        let isDual = step.action == .dual
        self.latency = Latency.measure(
            evidence.histories, window: isDual ? window : nil, lane: isDual ? nil : .primary,
            proxies: plainScope.proxies)
        let latency = Latency.measure(
            evidence.histories, window: window, lane: isDual ? nil : .primary,
            proxies: plainScope.proxies)
        // A ratio needs both: a step with one transport alone has nothing to compare.
        let hasBoth = ["zmq", "nats"].allSatisfy { latency.transports[$0] != nil }
        if hasBoth { hasComparedLatencies = true }
        verdicts.append(
            StepVerdict.checking("delivery") {
                (step.limits ?? scenario.limits).judge(
                    delivery: report, comparison: comparison, latency: hasBoth ? latency : nil,
                    minimumSamples: step.minimumSamples)
            })
        for record in await faults.records[stage.faults] where report.touched[record.id] ?? 0 == 0 {
            verdicts.append(
                StepVerdict(
                    .inconclusive,
                    reason: "The fault \(record.id) on \(record.fault.target) touched nothing."))
        }
        if let broken {
            verdicts.insert(StepVerdict(.fail, reason: broken.asSentence), at: 0)
        } else {
            for agent in stage.agents
            where evidence.traffic(over: "nats", through: agent, within: window)
                < step.minimumSamples
            {
                verdicts.append(
                    StepVerdict(
                        .inconclusive,
                        reason: "Too little traffic went through \(agent) on NATS."))
            }
            if step.action.endsOnNATS, !step.load.isEmpty, !moved.isEmpty,
                moved.reduce(
                    0,
                    {
                        $0
                            + evidence.traffic(
                                over: "nats", through: $1,
                                within: min(stage.changed, window.upperBound)...window.upperBound)
                    }) < step.minimumSamples
            {
                verdicts.append(
                    StepVerdict(
                        .inconclusive, reason: "Too little went over NATS after the last move."))
            }
            verdicts += try await judgeLatency(evidence, stage, window)
        }
        verdicts += await mesh.recordDoubts()
        verdicts += await faults.takeFailures().map {
            StepVerdict(.inconclusive, reason: $0.asSentence)
        }
        let doubts = await mesh.takeDoubts().map(\.asSentence)
        verdicts += doubts.map { StepVerdict(.inconclusive, reason: $0) }
        notes += doubts.map { Finding(.warning, .evidence, reason: $0) }
        return add(
            .composed(of: verdicts), named: stage.name, kind: step.action.kind, started: started)
    }

    /// Returns when the load has ended or the mesh is broken, whichever is first; the load goes on.
    private static func first(of load: Task<UInt64, Never>, or mesh: Mesh) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let loading = Task {
            _ = await load.value
            continuation.yield()
        }
        let breaking = Task {
            await mesh.waitForBreakage()
            continuation.yield()
        }
        for await _ in stream { break }
        loading.cancel()
        breaking.cancel()
    }

    func scope() async -> DeliveryScope {
        var scope = plainScope
        scope.faults = await faults?.windows ?? []
        scope.isWatching = mesh?.isWatching ?? false
        return scope
    }

    /// Without faults, as in a twin's meshes.
    var plainScope: DeliveryScope {
        var scope = DeliveryScope()
        scope.proxies = Set(
            topology.branches.map(\.nodeName) + topology.topicProxies.map(\.nodeName))
        scope.observed = Set(topology.agents.filter(\.keepsHistory).map(\.name))
        scope.keeping = Set(
            topology.agents.filter { $0.delivery == .atLeastOnce }.map(\.name))
        scope.acknowledging = Set(topology.agents.filter(\.acknowledges).map(\.name))
        for agent in topology.agents where !agent.answers.isEmpty {
            scope.promises[agent.name] = agent.answers.map {
                Promise(request: $0.request, answer: $0.answer, key: $0.key)
            }
        }
        return scope
    }

    func add(
        _ verdict: StepVerdict, named name: String, kind: String, started: UInt64
    ) -> StepVerdict {
        let now = context.clock.now
        steps.append(
            StepReport(
                name: name, kind: kind, startedMilliseconds: context.milliseconds(at: started),
                durationMilliseconds: Int((now - started) / 1_000_000),
                verdict: verdict.verdict, reason: verdict.reason))
        context.report("  \(verdict.verdict.rawValue): \(verdict.reason)")
        context.note(
            "step",
            [
                "name": .string(name), "verdict": .string(verdict.verdict.rawValue),
                "reason": .string(verdict.reason),
            ])
        return verdict
    }
}

extension String {
    /// Ends with a full stop.
    var asSentence: String { hasSuffix(".") ? self : self + "." }
}
