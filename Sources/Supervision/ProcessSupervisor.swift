internal import CLinux

/// Starts processes, sees to it that they run, and leaves none behind.
///
/// Every process has a name and is the leader of a process group of its own; each start of it is an
/// incarnation, counted from 1. One thread owns them all, so commands never race.
///
/// ```swift
/// let supervisor = try ProcessSupervisor(token: run, console: .standardError())
/// let events = supervisor.events()
/// try await supervisor.spawn("camera") { incarnation in
///     ProcessSpecification(executable: "synmesh-photogrammetry", logPath: "camera.log")
/// }
/// let report = await supervisor.stopAll(grace: .seconds(5))
/// ```
public final class ProcessSupervisor: Sendable {
    /// What every process of the run carries in its environment as SYNMESH_TOKEN.
    public let token: String
    private let mailbox: Mailbox<SupervisorCore.Command>
    private let broadcast: EventBroadcast

    /// Starts the thread that owns the processes.
    ///
    /// - Parameters:
    ///   - token: A text that no other run has.
    ///   - console: Where lines are shown; nil: nowhere, only the logs have them.
    ///   - journal: The file in which each start is noted down, for `Remains`; nil: nowhere.
    ///   - onEvent: Called for each event on the owning thread, so it must not block.
    /// - Throws: `SupervisionError` when there is no room for a thread.
    public init(
        token: String, console: Console? = nil, journal: String? = nil,
        onEvent: (@Sendable (ProcessEvent) -> Void)? = nil
    ) throws(SupervisionError) {
        self.token = token
        let mailbox = try Mailbox<SupervisorCore.Command>()
        let broadcast = EventBroadcast()
        let pump = try OutputPump()
        self.mailbox = mailbox
        self.broadcast = broadcast
        let isSubreaper = Guardian.isActive
        synmesh_raise_descriptors()
        if let journal { _ = try Journal(appendingTo: journal) }
        try startThread(named: "supervisor") {
            let core = SupervisorCore(
                token: token, mailbox: mailbox, pump: pump, console: console,
                isSubreaper: isSubreaper, journal: journal
            ) { event in
                onEvent?(event)
                broadcast.send(event)
            }
            core.run()
            broadcast.finish()
        }
    }

    deinit {
        // What still runs is killed.
        mailbox.post { $0.hasEnded = true }
    }

    /// Events from now on, for one reader; ask for them before starting what they should tell of.
    public func events() -> AsyncStream<ProcessEvent> { broadcast.stream() }

    /// Starts a process under a name.
    ///
    /// - Parameters:
    ///   - name: Its name; when there was a process of that name, this is its next incarnation.
    ///   - make: Makes the specification for an incarnation, for this start and every restart.
    /// - Throws: `SupervisionError` when it cannot be started, or is alive.
    /// - Returns: The process that runs now.
    @discardableResult
    public func spawn(
        _ name: String, make: @escaping @Sendable (_ incarnation: UInt32) -> ProcessSpecification
    ) async throws(SupervisionError) -> RunningProcess {
        try await perform { core throws(SupervisionError) in try core.spawn(name, make: make) }
    }

    /// Starts the next incarnation of a process that has ended.
    @discardableResult
    public func respawn(_ name: String) async throws(SupervisionError) -> RunningProcess {
        try await perform { core throws(SupervisionError) in try core.respawn(name) }
    }

    /// Ends a process and starts its next incarnation at once, whatever its policy says.
    ///
    /// Several at the same time are one restart. One that has ended is started.
    ///
    /// - Parameters:
    ///   - name: The process.
    ///   - grace: How long it may take to end; nil: what its specification says.
    /// - Throws: `SupervisionError` when it did not end or could not be started again.
    /// - Returns: The process that runs now.
    @discardableResult
    public func restart(
        _ name: String, grace: Duration? = nil
    ) async throws(SupervisionError) -> RunningProcess {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<RunningProcess, SupervisionError>, Never>) in
            let isOpen = mailbox.post { core in
                do throws(SupervisionError) {
                    try core.restart(name, grace: grace, continuation)
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if !isOpen { continuation.resume(returning: .failure(.supervisorEnded)) }
        }
        return try result.get()
    }

    /// Makes processes a group; those that were not started yet belong to it when they are.
    public func group(_ rule: GroupRule) async {
        _ = try? await perform { core throws(SupervisionError) in core.population.group(rule) }
    }

    /// Says that an incarnation does not answer a probe any more: it is ended, its end is said to be
    /// the probe's doing, and its policy decides what follows.
    public func probeFailed(_ name: String, incarnation: UInt32, probe: String) {
        mailbox.post { $0.probeFailed(name, incarnation: incarnation, probe: probe) }
    }

    /// Says that a process was asked to end by other means: its next end is ours, and no restart
    /// follows.
    public func expectExit(_ name: String) async throws(SupervisionError) {
        try await perform { core throws(SupervisionError) in try core.expectExit(name) }
    }

    /// Sends a signal to a process's group as an injected fault.
    ///
    /// - Parameters:
    ///   - name: The process.
    ///   - signal: The signal's number, such as SIGKILL.
    ///   - fault: The fault's name, which the report of the end repeats.
    /// - Throws: `SupervisionError` when it is not running.
    public func kill(
        _ name: String, signal: Int32 = 9, fault: String
    ) async throws(SupervisionError) {
        try await perform { core throws(SupervisionError) in
            try core.signal(name, signal, fault: fault)
        }
    }

    /// Keeps a process's group from running, as an injected fault, until `resume`.
    public func pause(_ name: String, fault: String) async throws(SupervisionError) {
        try await perform { core throws(SupervisionError) in try core.pause(name, fault: fault) }
    }

    /// Whether a process is there and stands still, by whoever's signal.
    public func isStandingStill(_ name: String) async throws(SupervisionError) -> Bool {
        try await perform { core throws(SupervisionError) in try core.isStandingStill(name) }
    }

    /// Lets a paused process go on.
    public func resume(_ name: String) async throws(SupervisionError) {
        try await perform { core throws(SupervisionError) in try core.resume(name) }
    }

    /// Ends a process: SIGTERM to its group, SIGKILL when the grace is over.
    ///
    /// - Parameters:
    ///   - name: The process. One that has ended already stays ended.
    ///   - grace: How long it may take; nil: what its specification says.
    /// - Throws: `SupervisionError` when not even SIGKILL ended it.
    /// - Returns: How it ended.
    @discardableResult
    public func stop(
        _ name: String, grace: Duration? = nil
    ) async throws(SupervisionError) -> ExitReport {
        let report = try await waiting { core, continuation throws(SupervisionError) in
            try core.stop(name, grace: grace, continuation)
        }
        guard let report else {
            throw SupervisionError(
                .survived, attempt: "could not stop \(name)",
                reason: "it is still there after SIGKILL: it is stuck in the kernel")
        }
        return report
    }

    /// Waits until the current incarnation of a process has ended.
    ///
    /// - Parameters:
    ///   - name: The process.
    ///   - timeout: How long to wait at most.
    /// - Throws: `SupervisionError` when no process of that name was started.
    /// - Returns: How it ended, or how the last one did when none is alive; nil when time is up.
    public func waitExit(
        _ name: String, timeout: Duration
    ) async throws(SupervisionError) -> ExitReport? {
        try await waiting { core, continuation throws(SupervisionError) in
            try core.waitExit(name, limit: timeout, continuation)
        }
    }

    /// Waits until a process's probes say that it is ready, through restarts if need be.
    ///
    /// - Parameters:
    ///   - name: The process; one without probes is ready when it runs.
    ///   - timeout: How long to wait at most.
    /// - Returns: That it is; or how it ended for good; or what was missing when time was up.
    public func waitReady(_ name: String, timeout: Duration) async -> ReadyOutcome {
        await withCheckedContinuation { continuation in
            let isOpen = mailbox.post { $0.waitReady(name, limit: timeout, continuation) }
            if !isOpen { continuation.resume(returning: .late("its supervisor has ended")) }
        }
    }

    /// How long a process may take to end, by its latest specification.
    func grace(of name: String) async -> Duration? {
        let grace = try? await perform { core throws(SupervisionError) in
            core.processes[name]?.specification.grace
        }
        return grace ?? nil
    }

    /// What all processes are doing, by name.
    public func statuses() async -> [ProcessStatus] {
        let statuses = try? await perform { core throws(SupervisionError) in
            core.processes.values.map(core.status(of:)).sorted { $0.name < $1.name }
        }
        return statuses ?? []
    }

    /// Ends everything, all at the same time, and then whatever escaped.
    ///
    /// Takes no longer than the grace and a moment, however many ignore it. Nothing starts any more
    /// afterwards. A second call, with a shorter grace, hurries the first.
    ///
    /// - Parameter grace: How long processes may take after SIGTERM before they are killed.
    /// - Returns: How they ended, and what it took.
    public func stopAll(grace: Duration) async -> StopReport {
        await withCheckedContinuation { continuation in
            let isOpen = mailbox.post { $0.stopAll(grace: grace, continuation) }
            if !isOpen {
                continuation.resume(returning: StopReport(exits: [], escaped: [], remaining: []))
            }
        }
    }

    /// Looks for everything that the run may have left; ask after `stopAll`.
    ///
    /// - Parameters:
    ///   - paths: What the run created and must have removed, such as the manifest's paths.
    ///   - ports: The TCP ports that the run's processes listened on.
    /// - Returns: What is still there.
    public func certificate(paths: [String], ports: [UInt16]) async -> LeakCertificate {
        let found = try? await perform { core throws(SupervisionError) in
            core.leftovers(in: ProcessTable.all())
        }
        return LeakCertificate(processes: found ?? [], paths: paths, ports: ports)
    }

    private func perform<Value: Sendable>(
        _ body: @escaping @Sendable (SupervisorCore) throws(SupervisionError) -> Value
    ) async throws(SupervisionError) -> Value {
        let result = await withCheckedContinuation { continuation in
            let isOpen = mailbox.post { core in
                let result = Result { () throws(SupervisionError) in try body(core) }
                continuation.resume(returning: result)
            }
            if !isOpen { continuation.resume(returning: .failure(.supervisorEnded)) }
        }
        return try result.get()
    }

    /// Gives `body` a continuation that hears of an end.
    private func waiting(
        _ body:
            @escaping @Sendable (
                SupervisorCore, ExitContinuation
            ) throws(SupervisionError) -> Void
    ) async throws(SupervisionError) -> ExitReport? {
        let result = await withCheckedContinuation { (continuation: ExitContinuation) in
            let isOpen = mailbox.post { core in
                do throws(SupervisionError) {
                    try body(core, continuation)
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if !isOpen { continuation.resume(returning: .failure(.supervisorEnded)) }
        }
        return try result.get()
    }
}

extension SupervisionError {
    static let supervisorEnded = SupervisionError(
        .closing, attempt: "could not ask the supervisor", reason: "its thread has ended")
}
