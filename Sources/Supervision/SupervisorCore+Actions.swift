internal import Glibc

/// What comes out of the rules, done.
extension SupervisorCore {
    /// How long a stranger who holds a dead process's pipe is listened to.
    private static let drainGrace = Duration.milliseconds(250)

    /// Performs steps in their order, and what follows from each before the next.
    func perform(_ steps: [Population.Step]) {
        for step in steps {
            guard let process = processes[step.name] else { continue }
            perform(step.action, process)
        }
    }

    private func perform(_ action: Lifecycle.Action, _ process: ManagedProcess) {
        switch action {
        case .spawn(let isRestart): spawn(process, isRestart: isRestart)
        case .terminate:
            guard let child = process.child else { break }
            // A stopped process acts on no request, so it is continued; only then, for otherwise it
            // would go on with its work until the request reaches it.
            kill(-child.process, SIGTERM)
            kill(-child.process, SIGCONT)
            process.pausedBy = nil
        case .kill:
            if let child = process.child { kill(-child.process, SIGKILL) }
        case .drain(let killsGroup): drain(process, killsGroup: killsGroup)
        case .conclude(let conclusion): conclude(process, conclusion)
        case .announceRestart(let delay):
            let incarnation = life(of: process).incarnation + 1
            emit(.restarting(name: process.name, incarnation: incarnation, after: delay))
        case .giveUp(let reason):
            emit(.givenUp(name: process.name, reason: reason))
            process.resumeStartWaiters(
                with: .failure(
                    process.startFailure
                        ?? SupervisionError(
                            .notRunning, attempt: "could not restart \(process.name)",
                            reason: reason)))
        }
    }

    // MARK: Starting

    private func spawn(_ process: ManagedProcess, isRestart: Bool) {
        process.startFailure = nil
        do throws(SupervisionError) {
            let running = try start(process)
            handle(.spawned(process.specification.restart), for: process.name)
            emit(.started(running))
            process.resumeStartWaiters(with: .success(running))
            if process.health == nil { process.resumeReadyWaiters(with: .ready) }
        } catch {
            process.startFailure = error
            let steps = population.take(
                .spawnFailed(error.description), for: process.name, at: monotonicNow())
            // Who asked for a start hears of its failure; of a restart's, everybody does.
            if isRestart { perform(steps) }
        }
    }

    /// Starts the process's current incarnation.
    private func start(_ process: ManagedProcess) throws(SupervisionError) -> RunningProcess {
        guard shutdown == nil, !hasEnded else {
            throw SupervisionError(
                .closing, attempt: "could not start \(process.name)",
                reason: "everything is being stopped")
        }
        let incarnation = life(of: process).incarnation
        process.specification = process.make(incarnation)
        process.fault = nil
        process.pausedBy = nil
        population.setGrace(process.specification.grace, of: process.name)
        outputs += 1
        let spawning = Spawning(
            name: process.name, incarnation: incarnation, token: token,
            specification: process.specification)
        let (name, prober) = (process.name, try self.prober(for: process.specification))
        let started = try spawning.start(pump: pump, output: outputs, console: console) { index in
            prober?.heard(name, incarnation: incarnation, index: index)
        }
        let child = started.child
        process.child = child
        journal?.note(child, named: name)
        process.wasReady = false
        process.health = prober.map { _ in
            Health(incarnation: incarnation, rules: process.specification.probes)
        }
        prober?.watch(
            ProbeWatch(
                name: name, incarnation: incarnation, token: token,
                specification: process.specification, readyPipe: started.readyPipe))
        return RunningProcess(
            name: process.name, incarnation: incarnation, process: child.process,
            startedAt: child.startedAt)
    }

    // MARK: Ending

    private func drain(_ process: ManagedProcess, killsGroup: Bool) {
        guard let child = process.child else { return }
        if process.health != nil {
            existingProber?.forget(process.name, incarnation: child.incarnation)
        }
        // The zombie leader keeps the number taken; once it is reaped this could hit a stranger.
        if killsGroup { kill(-child.process, SIGKILL) }
        pump.finish(child.output, grace: Self.drainGrace) { [mailbox, name = process.name] in
            mailbox.post { $0.drained(name, output: child.output) }
        }
    }

    private func drained(_ name: String, output: UInt64) {
        guard processes[name]?.child?.output == output else { return }
        handle(.drained, for: name)
    }

    private func conclude(_ process: ManagedProcess, _ conclusion: Lifecycle.Conclusion) {
        guard let child = process.child else { return }
        _ = OwnChildren.reap(child.process)
        close(child.pidfd)
        process.child = nil
        process.health = nil
        // At the very end one sweep finds what escaped from all of them.
        let escaped = shutdown == nil ? killEscaped(from: process.name, child.incarnation) : []
        let now = monotonicNow()
        let fault = process.fault.flatMap { $0.until >= now ? ($0.name, $0.signal) : nil }
        let cause = conclusion.cause
        let isKill = if case .signalled(SIGKILL, _) = cause { true } else { false }
        let isUnexplained =
            isKill && !conclusion.weAsked && conclusion.failedProbe == nil && fault == nil
        let circumstances = ExitAttribution.Circumstances(
            weAsked: conclusion.weAsked, fault: fault,
            memoryRanOut: isUnexplained && memoryRanOut(), failedProbe: conclusion.failedProbe)
        var report = ExitReport(
            name: process.name, incarnation: child.incarnation, process: child.process,
            cause: cause, attribution: ExitAttribution(of: cause, circumstances),
            wasKilledAfterGrace: conclusion.wasKilledAfterGrace, endedAt: now)
        report.escaped = escaped
        process.lastExit = report
        emit(.exited(report))
        process.resumeWaiters(with: report)
        // One that comes back may be ready yet.
        if life(of: process).desire == .down {
            process.resumeReadyWaiters(with: .ended(report))
        }
    }

    /// Kills what one incarnation left outside its group, so that it holds no port of the next.
    private func killEscaped(from name: String, _ incarnation: UInt32) -> [ProcessRecord] {
        let found = escaped(from: name, incarnation: incarnation)
        guard !found.isEmpty else { return [] }
        let marks = Spawning.marks(token: token, name: name, incarnation: incarnation)
            .map { "\($0.key)=\($0.value)" }
        _ = Extermination.killAll(limit: .milliseconds(500)) { table in
            ProcessTable.carrying(marks, in: table)
        } reap: {
            if isSubreaper { OwnChildren.reapStrangers() }
        }
        return found
    }
}
