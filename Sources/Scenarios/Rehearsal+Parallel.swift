internal import Analysis
internal import Foundation
internal import JSON
internal import Recording
internal import Topologies
internal import Wire

/// Parallel runs: both transports inside one mesh, or two meshes beside each other.
extension Rehearsal {
    /// Every envelope of the step goes over both transports; the primary's copy is acted on.
    func playDual(_ step: Scenario.Step) async throws -> StepVerdict {
        let started = context.clock.now
        return try await stage(step, named: "parallel_run dual") {
            // All listen before the first sends: a shadow copy must never miss its receiver.
            try await self.shadow("listen")
            try await self.shadow("send")
        } comparing: { _ in
            do {
                try await self.shadow("quiet")
                let report = try await self.compareLanes(since: started)
                try await self.shadow("close")
                self.add(report)
                try await self.expectShadows(since: started)
                return report
            } catch {
                // However it ended, no agent goes on duplicating.
                try? await self.shadow("close")
                throw error
            }
        }
    }

    /// What has no shadow copy was not compared, and would not go over NATS either.
    private func expectShadows(since started: UInt64) async throws {
        let mesh = try await runningMesh().mesh
        let evidence = try await Evidence.read(
            mesh.place.directory, following: mesh.followed)
        let missing = evidence.unshadowed(
            by: Set(mesh.topology.agents.filter(\.keepsHistory).map(\.name)),
            within: started...context.clock.now)
        guard let first = missing.first else { return }
        throw MoveFailure(
            reason: "\(missing.count) envelopes could not go over the other transport as well, "
                + "the first is \(first)")
    }

    private func shadow(_ phase: String) async throws {
        let mesh = try await runningMesh().mesh
        for agent in mesh.speaking {
            do {
                _ = try await mesh.command(
                    "shadow", to: agent.name,
                    ["phase": .string(phase), "run": .string(context.run)])
            } catch {
                throw MoveFailure(
                    reason: "\(agent.name) could not \(phase) in the parallel run: \(error)")
            }
        }
    }

    /// Compares the lanes until the shadow's is complete, or has not grown for the timeout.
    private func compareLanes(since started: UInt64) async throws -> ComparisonReport {
        let clock = ContinuousClock()
        var progressed = clock.now
        var most = -1
        let directory = try await runningMesh().mesh.place.directory
        while true {
            let evidence = try await Evidence.read(directory)
            let histories = evidence.within(started...context.clock.now)
            let report = Comparison.dual(histories)
            let arrived = report.counts.total - report.counts[.missing]
            if report.counts[.missing] == 0 { return report }
            if arrived > most {
                most = arrived
                progressed = clock.now
            } else if progressed.duration(to: clock.now) > scenario.drainTimeout {
                return report
            }
            if Task.isCancelled { return report }
            try? await clock.sleep(for: .milliseconds(20))
        }
    }

    func add(_ report: ComparisonReport) {
        comparisons.append(report)
        let counts = report.counts
        context.report("  compared \(counts.total): \(counts.match) match")
    }

    /// The same count-bounded load through a ZeroMQ mesh and a NATS mesh, at the same time.
    func playTwin(_ step: Scenario.Step) async throws -> StepVerdict {
        let started = context.clock.now
        let sides = try [Transport.zmq, .nats].map { transport in
            try Mesh(
                topology, at: MeshPlace(twin: "twin-\(transport.rawValue)", of: context),
                transport: transport, context: context)
        }
        for mesh in sides { try await mesh.start() }
        var failures: [String] = []
        await withTaskGroup { group in
            for mesh in sides {
                let loads = Loads(of: mesh, timeout: scenario.loadTimeout)
                group.addTask {
                    await loads.send(step.load)
                    return await loads.takeFailures()
                }
            }
            for await part in group { failures += part }
        }
        var settled: [(evidence: Evidence, report: DeliveryReport)] = []
        for mesh in sides {
            settled.append(
                try await mesh.settle(
                    since: started, scope: plainScope, timeout: scenario.drainTimeout))
            await mesh.checkHanded()
            await mesh.checkConnections()
            failures += await mesh.takeDoubts()
        }
        var doubts: [StepVerdict] = []
        for mesh in sides {
            results.append(("\(step.action.kind) \(mesh.place.label)", await mesh.results()))
            if let breakage = await mesh.breakage { failures.append(breakage) }
            doubts += await end(mesh)
        }
        notes += doubts.map { Finding(.warning, .evidence, reason: $0.reason) }
        let report = Comparison.twin(
            left: settled[0].evidence.histories, right: settled[1].evidence.histories,
            includingSent: true)
        add(report)
        let limits = step.limits ?? scenario.limits
        var verdicts = failures.map { StepVerdict(.inconclusive, reason: $0.asSentence) }
        verdicts += settled.map { side in
            StepVerdict.checking("delivery") {
                limits.judge(
                    delivery: side.report, comparison: report,
                    minimumSamples: step.minimumSamples)
            }
        }
        verdicts += doubts
        let histories = settled.flatMap(\.evidence.histories)
        latency = Latency.measure(
            histories, lane: .primary, proxies: plainScope.proxies)
        twins.append(contentsOf: settled.map(\.report))
        return add(
            .composed(of: verdicts), named: "parallel_run twin", kind: step.action.kind,
            started: started)
    }
}
