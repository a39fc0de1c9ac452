internal import Glibc

extension SupervisorCore {
    // MARK: Commands

    /// The process of a name, which must be known.
    private func known(_ name: String, _ attempt: String) throws(SupervisionError) -> ManagedProcess
    {
        guard let process = processes[name] else {
            throw SupervisionError(
                .unknownName, attempt: "could not \(attempt) \(name)",
                reason: "no process of that name was started")
        }
        return process
    }

    /// The running child of a name.
    private func running(
        _ name: String, _ attempt: String
    ) throws(SupervisionError) -> (ManagedProcess, Child) {
        let process = try known(name, attempt)
        guard life(of: process).phase == .running, let child = process.child else {
            throw SupervisionError(
                .notRunning, attempt: "could not \(attempt) \(name)",
                reason: "it is \(status(of: process).phase.rawValue)")
        }
        return (process, child)
    }

    func spawn(
        _ name: String, make: @escaping @Sendable (UInt32) -> ProcessSpecification
    ) throws(SupervisionError) -> RunningProcess {
        if let process = processes[name] {
            process.make = make
            return try respawn(name)
        }
        let process = ManagedProcess(name: name, make: make)
        processes[name] = process
        population.add(name, seed: seed(of: name))
        handle(.start, for: name)
        // What never ran is not known.
        if process.child == nil {
            processes[name] = nil
            population.remove(name)
        }
        return try described(process)
    }

    func respawn(_ name: String) throws(SupervisionError) -> RunningProcess {
        let process = try known(name, "start")
        guard process.child == nil else {
            throw SupervisionError(
                .alreadyRunning, attempt: "could not start \(name)",
                reason: "incarnation \(life(of: process).incarnation) of it is "
                    + status(of: process).phase.rawValue,
                remedy: "Stop it first, and wait for its end.")
        }
        handle(.start, for: name)
        return try described(process)
    }

    private func described(_ process: ManagedProcess) throws(SupervisionError) -> RunningProcess {
        if let failure = process.startFailure { throw failure }
        guard let child = process.child else {
            throw SupervisionError(
                .notRunning, attempt: "could not start \(process.name)", reason: "it has ended")
        }
        return RunningProcess(
            name: process.name, incarnation: child.incarnation, process: child.process,
            startedAt: child.startedAt)
    }

    /// Ends what runs, and starts the next; `continuation` hears of the start.
    func restart(
        _ name: String, grace: Duration?,
        _ continuation: CheckedContinuation<Result<RunningProcess, SupervisionError>, Never>
    ) throws(SupervisionError) {
        let process = try known(name, "restart")
        guard shutdown == nil else {
            throw SupervisionError(
                .closing, attempt: "could not restart \(name)",
                reason: "everything is being stopped")
        }
        let grace = grace ?? process.specification.grace
        let before = life(of: process).incarnation
        process.startFailure = nil
        handle(.restart(grace: grace), for: name)
        if let failure = process.startFailure { throw failure }
        if let child = process.child, child.incarnation > before {
            continuation.resume(returning: .success(try described(process)))
            return
        }
        let deadline = monotonicNow() + (grace + .seconds(5)).nanoseconds
        process.startWaiters.append(
            ManagedProcess.StartWaiter(
                after: before, deadline: deadline, continuation: continuation))
    }

    /// Says that a process does not answer any more: it is ended, and its policy decides on.
    func probeFailed(_ name: String, incarnation: UInt32, probe: String) {
        guard let process = processes[name], process.child?.incarnation == incarnation else {
            return
        }
        handle(.probeFailed(probe, grace: process.specification.grace), for: name)
    }

    func expectExit(_ name: String) throws(SupervisionError) {
        _ = try known(name, "expect the end of")
        handle(.expectExit, for: name)
    }

    /// FNV-1a: the same name has the same chances in every run of the same token.
    private func seed(of name: String) -> UInt64 {
        (token + name).utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0100_0000_01B3 }
    }

    func status(of process: ManagedProcess) -> ProcessStatus {
        let life = life(of: process)
        let stage: ProcessStatus.Phase =
            switch life.phase {
            case .ended: .ended
            case .waiting, .halted, .starting: .restarting
            case .running: life.ending == nil ? .running : .stopping
            case .leaderless, .draining: .stopping
            }
        return ProcessStatus(
            name: process.name, incarnation: life.incarnation, phase: stage,
            process: process.child?.process, startedAt: process.child?.startedAt,
            isPaused: process.pausedBy != nil, lastExit: process.lastExit,
            isReady: life.phase == .running && process.health?.isReady ?? true,
            probes: process.health?.probes ?? [], restartsAt: nextStart(of: life))
    }

    private func nextStart(of life: Lifecycle) -> UInt64? {
        if case .waiting(let until) = life.phase { until } else { nil }
    }

    /// Waits until a process is ready; one without probes is when it runs.
    func waitReady(
        _ name: String, limit: Duration, _ continuation: CheckedContinuation<ReadyOutcome, Never>
    ) {
        guard let process = processes[name] else {
            continuation.resume(returning: .late("it was never started"))
            return
        }
        let life = life(of: process)
        if life.phase == .running, process.health?.isReady ?? true {
            continuation.resume(returning: .ready)
        } else if life.phase == .ended, let exit = process.lastExit {
            continuation.resume(returning: .ended(exit))
        } else {
            let deadline = monotonicNow() + limit.nanoseconds
            process.readyWaiters.append(
                ManagedProcess.ReadyWaiter(deadline: deadline, continuation: continuation))
        }
    }

    func signal(_ name: String, _ number: Int32, fault: String) throws(SupervisionError) {
        let (process, child) = try running(name, "kill")
        let window = number == SIGKILL ? Duration.seconds(3_600) : .seconds(5)
        process.fault = ManagedProcess.Fault(
            name: fault, signal: number, until: monotonicNow() + window.nanoseconds)
        guard kill(-child.process, number) == 0 else {
            throw .system("could not send \(signalWords(number)) to \(name)")
        }
    }

    func pause(_ name: String, fault: String) throws(SupervisionError) {
        let (process, child) = try running(name, "pause")
        guard kill(-child.process, SIGSTOP) == 0 else { throw .system("could not pause \(name)") }
        process.pausedBy = fault
        emit(.paused(name: name, fault: fault))
    }

    func isStandingStill(_ name: String) throws(SupervisionError) -> Bool {
        let (_, child) = try running(name, "look at")
        return ProcessTable.record(of: child.process)?.isStopped ?? false
    }

    func resume(_ name: String) throws(SupervisionError) {
        let (process, child) = try running(name, "resume")
        guard kill(-child.process, SIGCONT) == 0 else { throw .system("could not resume \(name)") }
        process.pausedBy = nil
        emit(.resumed(name: name))
    }

    /// Asks a process to end, and kills it when its grace is over.
    func beginStop(_ process: ManagedProcess, grace: Duration?) {
        handle(.stop(grace: grace ?? process.specification.grace), for: process.name)
    }

    /// Stops a process; `continuation` hears of its end, or of none.
    func stop(
        _ name: String, grace: Duration?, _ continuation: ExitContinuation
    ) throws(SupervisionError) {
        let process = try known(name, "stop")
        beginStop(process, grace: grace)
        let bound = (grace ?? process.specification.grace) + .seconds(5)
        wait(for: process, limit: bound, continuation)
    }

    func waitExit(
        _ name: String, limit: Duration, _ continuation: ExitContinuation
    ) throws(SupervisionError) {
        wait(for: try known(name, "wait for"), limit: limit, continuation)
    }

    private func wait(
        for process: ManagedProcess, limit: Duration,
        _ continuation: ExitContinuation
    ) {
        guard process.child != nil else {
            continuation.resume(returning: .success(process.lastExit))
            return
        }
        let deadline = monotonicNow() + limit.nanoseconds
        process.waiters.append(
            ManagedProcess.Waiter(deadline: deadline, continuation: continuation))
    }

    // MARK: Stopping everything

    /// The stop of everything, while it goes on and after.
    struct Shutdown {
        var deadline: UInt64
        var waiting: [CheckedContinuation<StopReport, Never>]
        var names: [String]
        var result: StopReport?
    }

    func stopAll(grace: Duration, _ continuation: CheckedContinuation<StopReport, Never>) {
        // After the grace there is only killing to do, which takes the kernel no time to speak of.
        let deadline = monotonicNow() + grace.nanoseconds + 2_000_000_000
        if let result = shutdown?.result {
            continuation.resume(returning: result)
            return
        }
        if let current = shutdown {
            shutdown?.deadline = min(current.deadline, deadline)
            shutdown?.waiting.append(continuation)
        } else {
            let names = processes.values.filter { life(of: $0).phase != .ended }.map(\.name)
            shutdown = Shutdown(deadline: deadline, waiting: [continuation], names: names)
        }
        for process in processes.values { beginStop(process, grace: grace) }
    }

    func finishShutdownIfDue(now: UInt64) {
        guard let shutdown, shutdown.result == nil else { return }
        if shutdown.deadline <= now || population.allEnded {
            finishShutdown(limit: .seconds(3))
        }
    }

    /// The last look for what escaped from all groups, and the answer to who waits.
    func finishShutdown(limit: Duration) {
        guard let shutdown, shutdown.result == nil else { return }
        let swept = Extermination.killAll(limit: limit) { table in
            leftovers(in: table)
        } reap: {
            if isSubreaper { OwnChildren.reapStrangers() }
        }
        console?.flush(limit: .seconds(1))
        let exits = shutdown.names.sorted().compactMap { name in
            processes[name].flatMap { $0.child == nil ? $0.lastExit : nil }
        }
        OwnChildren.count(-1)
        let report = StopReport(
            exits: exits, escaped: swept.killed, remaining: swept.remaining)
        self.shutdown?.result = report
        self.shutdown?.waiting = []
        self.shutdown?.deadline = .max
        for continuation in shutdown.waiting { continuation.resume(returning: report) }
    }

    /// Living processes of this run.
    ///
    /// Those that carry its token and, when every orphan comes to us and no other supervisor of this
    /// process is at work, all descendants, whatever they did to their environment.
    func leftovers(in table: [ProcessRecord]) -> [ProcessRecord] {
        let marked = ProcessTable.carrying(["SYNMESH_TOKEN=\(token)"], in: table)
        let isCounted = shutdown?.result == nil
        guard isSubreaper, !OwnChildren.areShared(callerIsCounted: isCounted) else { return marked }
        let found = Set(marked).union(ProcessTable.descendants(of: getpid(), in: table))
        return found.sorted { $0.process < $1.process }
    }
}

/// What stopping everything took.
public struct StopReport: Hashable, Sendable {
    /// The ends of all processes that were alive, by name.
    public let exits: [ExitReport]
    /// What had escaped from its process group, and was killed.
    public let escaped: [ProcessRecord]
    /// What lives on all the same.
    public let remaining: [ProcessRecord]

    /// Whether nothing is left.
    public var isComplete: Bool { remaining.isEmpty }
}
