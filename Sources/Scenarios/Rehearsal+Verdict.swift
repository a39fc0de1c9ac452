internal import Analysis
internal import Foundation
internal import Histories
internal import JSON
internal import Recording
internal import Reporting
internal import Supervision
internal import Threads
internal import Topologies
internal import Wire

/// The end of a run: everything stopped, judged as a whole, sealed, certified and written down.
extension Rehearsal {
    func finish(_ outcome: Outcome) async throws -> Verdict {
        context.report("stopping")
        // No fault without a heal; one that a step was to heal is told as never healed.
        for target in await faults?.release() ?? [] {
            notes.append(
                Finding(
                    .warning, .evidence,
                    reason: "What was done to \(target) was never healed by a step."))
        }
        var doubts: [StepVerdict] = []
        if outcome == .aborted || outcome == .held, !moved.isEmpty {
            notes.append(
                Finding(
                    .note, .evidence,
                    reason: "At the end on NATS, where it did not begin: "
                        + "\(moved.joined(separator: ", ")). 'synmesh run --rollback' begins there "
                        + "and takes it back."))
        }
        if let mesh {
            await noteForeignTopics(mesh)
            doubts = await end(mesh)
            notes += doubts.map { Finding(.warning, .evidence, reason: $0.reason) }
        }
        _ = await context.supervisor.stopAll(grace: .seconds(2))
        for crash in await mesh?.crashes ?? [] {
            notes.append(Finding(.warning, .evidence, reason: crash.description))
        }
        var verdict = Verdict(
            scenario: scenario.name, topology: topology.name, run: context.run,
            seed: context.seed, started: context.started, verdict: .inconclusive,
            outcome: outcome, reason: "")
        var verdicts = steps.map { StepVerdict($0.verdict, reason: "\($0.name): \($0.reason)") }
        verdicts += doubts
        verdicts += try await judgeWhole(into: &verdict)
        verdicts += judgeMemory(into: &verdict)
        if scenario.judge != nil, !hasJudgedLatency {
            verdicts.append(
                StepVerdict(
                    .inconclusive,
                    reason:
                        "Latencies are to be judged, and no canary or rollout was beside a baseline."
                ))
        }
        verdicts += await seal()
        let composed = StepVerdict.composed(of: verdicts)
        verdict.verdict = composed.verdict
        verdict.reason = composed.verdict == .pass ? summary(of: verdict) : composed.reason
        if outcome == .promoted, composed.verdict != .pass { verdict.outcome = .held }
        verdict.expect = scenario.expectation ?? .verdict(.pass)
        verdict.steps = steps
        verdict.moves = moves
        verdict.judgements = judgements
        verdict.latency = latency
        verdict.observed = observedAgents
        verdict.rollbackMilliseconds = rollbackMilliseconds
        verdict.pools = pools
        verdict.findings += notes
        verdict.unproven = topology.blindSpots.map(\.text)
        verdict.leaks = await certify(into: &verdict)
        if verdict.leaks.total > 0 {
            verdict.verdict = .fail
            verdict.reason = "\(verdict.leaks.total) things were left behind."
        }
        verdict.durationMilliseconds = context.milliseconds(at: context.clock.now)
        verdict.sortFindings()
        try write(verdict, scope: await scope())
        return verdict
    }

    /// What agents were sent on topics that no subscription of theirs means: they drop it, other programs
    /// would not, and on NATS it does not come.
    private func noteForeignTopics(_ mesh: Mesh) async {
        for (name, status) in await mesh.agentStatuses().sorted(by: { $0.key < $1.key }) {
            guard let count = status["filtered"]?.integer, count > 0 else { continue }
            notes.append(
                Finding(
                    .warning, .evidence,
                    reason:
                        "\(name) was sent \(count) envelopes on topics that only begin like one of its "
                        + "subscriptions: ZeroMQ compares bytes, NATS tokens; a program that does not "
                        + "drop them would act on them on ZeroMQ alone."))
        }
    }

    /// Stops a mesh and keeps what it leaves for the verdict.
    ///
    /// - Returns: Why its evidence is not whole.
    func end(_ mesh: Mesh) async -> [StepVerdict] {
        ports.formUnion(await mesh.ports)
        segments.formUnion(mesh.segmentPaths)
        // What the last step did not ask for any more.
        let late = await mesh.takeDoubts().map {
            StepVerdict(.inconclusive, reason: $0.asSentence)
        }
        let doubts = await mesh.stopAskingForDoubts() + late
        let reports = await mesh.poolReports
        pools += reports
        notes += reports.flatMap(\.findings)
        notes += await mesh.poolProblems.map {
            Finding(.warning, .evidence, reason: $0.asSentence)
        }
        return doubts
    }

    /// The agents that keep no history, and where their messages were seen.
    private var observedAgents: [ObservedAgent] {
        let onNATS = mesh?.book.withLock { $0.everOnNATS } ?? []
        let hasTwins = !twins.isEmpty
        return topology.agents.filter { !$0.keepsHistory }.map { agent in
            var places: [String: String] = [:]
            let isWatched = topology.homeBranch(of: agent)?.provider.isForeign == false
            if isWatched, agent.transport == .zmq || hasTwins {
                places["zmq"] = "proxy of \(agent.branch)"
            }
            if isWatched, onNATS.contains(agent.name) || hasTwins {
                places["nats"] = "tap of \(agent.branch)"
            }
            let answers = agent.answers.map { "\($0.request) -> \($0.answer)" }
            return ObservedAgent(
                agent: agent.name, places: places, answers: answers,
                limits: !isWatched
                    ? "nobody recorded what it was handed or sent."
                    : answers.isEmpty
                        ? "what it did with what it was handed is not known."
                        : "what it was handed and never answered (\(answers.joined(separator: ", "))) "
                            + "is lost.")
        }
    }

    /// Judges all envelopes of the run at once: a loss between two steps is a loss too.
    private func judgeWhole(into verdict: inout Verdict) async throws -> [StepVerdict] {
        var verdicts: [StepVerdict] = []
        var reports = twins
        if let mesh {
            let (_, report) = try await Evidence.check(
                mesh.place.directory, in: await scope(), following: mesh.followed)
            reports.append(report)
            verdict.faults = await faults?.reports(touched: report.touched) ?? []
            verdicts.append(
                StepVerdict.checking("delivery of the whole run") {
                    wholeLimits.judge(delivery: report)
                })
        }
        for report in reports {
            // What a damaged history no longer says cannot be judged, so it cannot pass.
            verdicts += report.notes.map { StepVerdict(.inconclusive, reason: $0.asSentence) }
            let before = verdict.delivery
            verdict.add(report)
            if let before { verdict.delivery?.add(before) }
        }
        for comparison in comparisons { verdict.add(comparison) }
        if isLatencyLimited && !hasComparedLatencies {
            verdicts.append(
                StepVerdict(
                    .inconclusive,
                    reason: "A ratio of latencies is limited, and no step had traffic on both "
                        + "transports whose latency is known."))
        }
        return verdicts
    }

    private var isLatencyLimited: Bool {
        ([scenario.limits] + scenario.steps.compactMap(\.limits)).contains(where: \.limitsLatency)
    }

    /// What all steps allow together, the whole run allows.
    private var wholeLimits: Limits {
        var limits = Limits.zero
        let judged = scenario.steps.filter(\.action.isStage)
        for deviation in Limits.classes {
            limits[deviation] = judged.reduce(0) { sum, step in
                sum.addingReportingOverflow((step.limits ?? scenario.limits)[deviation] ?? 0)
                    .partialValue
            }
        }
        return limits
    }

    private func summary(of verdict: Verdict) -> String {
        let counts = verdict.delivery ?? DeliveryCounts()
        return "\(counts.delivered) of \(counts.expected) deliveries in \(steps.count) steps, "
            + "no limit broken."
    }

    /// Seals every history, so that any MCAP tool opens it with its index.
    private func seal() async -> [StepVerdict] {
        let directories = ["", "/twin-zmq", "/twin-nats"].map {
            RunDirectory(context.directory.path + $0)
        }
        let failures = try? await onDedicatedThread(named: "seal") {
            try HistorySealing.seal(paths: directories.flatMap { try $0.histories() })
                .map(\.description)
        }
        return (failures ?? ["the histories could not be listed"]).map {
            StepVerdict(.inconclusive, reason: "A history could not be sealed: \($0.asSentence)")
        }
    }

    /// Removes the sockets' folder and counts everything that is left.
    private func certify(into verdict: inout Verdict) async -> Leaks {
        context.removeRuntimeFolder()
        let certificate = await context.supervisor.certificate(
            paths: [context.runtime] + topology.removeSockets() + segments.sorted(),
            ports: ports.sorted())
        if !certificate.isClean {
            verdict.findings.append(
                Finding(.error, .evidence, reason: "left behind: \(certificate)"))
        }
        return Leaks(
            processes: certificate.processes.count, ports: certificate.ports.count,
            sockets: certificate.sockets.count, segments: certificate.segments.count,
            files: certificate.files.count)
    }

    private func write(_ verdict: Verdict, scope: DeliveryScope) throws {
        try context.write(scope.json.canonical + "\n", to: "scope.json")
        try context.write(verdict.json.canonical + "\n", to: "verdict.json")
        try context.write(JUnit(verdict, limits: scenario.limits).xml, to: "junit.xml")
        let results = results.map { step, agents -> Value in
            ["step": .string(step), "agents": .object(agents)]
        }
        try context.write(Value.array(results).canonical + "\n", to: "results.json")
        context.note(
            "verdict",
            [
                "verdict": .string(verdict.verdict.rawValue),
                "outcome": .string(verdict.outcome.rawValue), "reason": .string(verdict.reason),
            ])
    }
}
