internal import CLinux
internal import Glibc

/// The thread that owns all processes of one supervisor: it alone starts, signals and reaps them.
///
/// Commands come through the mailbox and run between events, so the rules need no locks and every
/// sequence of commands has one meaning.
final class SupervisorCore {
    typealias Command = @Sendable (SupervisorCore) -> Void

    /// How long a stranger who holds a dead process's pipe is listened to.
    private static let drainGrace = Duration.milliseconds(250)

    let token: String
    let mailbox: Mailbox<Command>
    let pump: OutputPump
    let console: Console?
    let emit: @Sendable (ProcessEvent) -> Void
    /// Whether orphans of our children come to this process.
    let isSubreaper: Bool

    var processes: [String: ManagedProcess] = [:]
    var shutdown: Shutdown?
    var hasEnded = false
    private var outputs: UInt64 = 0
    private var strangersDue: UInt64 = 0
    private var outOfMemoryKills: UInt64

    init(
        token: String, mailbox: Mailbox<Command>, pump: OutputPump, console: Console?,
        isSubreaper: Bool, emit: @escaping @Sendable (ProcessEvent) -> Void
    ) {
        self.token = token
        self.mailbox = mailbox
        self.pump = pump
        self.console = console
        self.isSubreaper = isSubreaper
        self.emit = emit
        outOfMemoryKills = Self.readOutOfMemoryKills()
        OwnChildren.count(1)
    }

    /// The thread's body.
    func run() {
        while !hasEnded { step() }
        for command in mailbox.closeAndTake() { command(self) }
        killEverything()
    }

    private func step() {
        let running = processes.values.compactMap { process in
            process.runningChild.map { (process, $0) }
        }
        var items = [pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)]
        items += running.map { pollfd(fd: $0.1.pidfd, events: Int16(POLLIN), revents: 0) }
        var deadlines = processes.values.compactMap(\.deadline)
        if isSubreaper { deadlines.append(strangersDue) }
        if let shutdown { deadlines.append(shutdown.deadline) }
        let count = poll(
            &items, nfds_t(items.count),
            pollTimeout(until: deadlines.min(), now: monotonicNow()))
        guard count >= 0 else { return }
        for (item, (process, child)) in zip(items.dropFirst(), running) where item.revents != 0 {
            leaderEnded(process, child)
        }
        if items[0].revents != 0 { for command in mailbox.take() { command(self) } }
        runDue(now: monotonicNow())
    }

    private func runDue(now: UInt64) {
        var table: [ProcessRecord]?
        for process in processes.values {
            switch process.phase {
            case .ended: break
            case .restarting(let at): if at <= now { restart(process) }
            case .running(let child):
                guard let stop = process.stop, !stop.wasKilled, stop.killAt <= now else { break }
                process.stop?.wasKilled = true
                kill(-child.process, SIGKILL)
            case .leaderless(let child, let cause, let until):
                let snapshot = table ?? ProcessTable.all()
                table = snapshot
                if until <= now || !hasLivingGroup(child, in: snapshot) {
                    endGroup(of: process, child, cause)
                }
            case .draining(let child, let cause, let until):
                if until <= now { conclude(process, child, cause) }
            }
            let late = process.waiters.filter { $0.deadline <= now }
            guard !late.isEmpty else { continue }
            process.waiters.removeAll { $0.deadline <= now }
            for waiter in late { waiter.continuation.resume(returning: .success(nil)) }
        }
        if isSubreaper, strangersDue <= now {
            strangersDue = now + 1_000_000_000
            OwnChildren.reapStrangers()
        }
        finishShutdownIfDue(now: now)
    }

    // MARK: Starting

    /// Starts the process's current incarnation.
    func start(_ process: ManagedProcess) throws(SupervisionError) {
        guard shutdown == nil, !hasEnded else {
            throw SupervisionError(
                .closing, attempt: "could not start \(process.name)",
                reason: "everything is being stopped")
        }
        process.specification = process.make(process.incarnation)
        process.stop = nil
        process.isHeld = false
        process.expectsExit = false
        process.fault = nil
        process.pausedBy = nil
        outputs += 1
        let spawning = Spawning(
            name: process.name, incarnation: process.incarnation, token: token,
            specification: process.specification)
        let child = try spawning.start(pump: pump, output: outputs, console: console)
        process.phase = .running(child)
        emit(
            .started(
                RunningProcess(
                    name: process.name, incarnation: process.incarnation, process: child.process,
                    startedAt: child.startedAt)))
    }

    private func restart(_ process: ManagedProcess) {
        process.incarnation += 1
        process.phase = .ended
        do throws(SupervisionError) {
            try start(process)
        } catch {
            emit(.givenUp(name: process.name, reason: error.description))
        }
    }

    // MARK: Ending

    /// The leader is a zombie now, and its group may still live.
    private func leaderEnded(_ process: ManagedProcess, _ child: Child) {
        var result = synmesh_exit()
        let cause: ExitCause
        switch synmesh_exit_peek(child.process, &result) {
        case 0: return
        case 1:
            cause =
                result.signalled
                ? .signalled(number: result.status, coreDumped: result.core_dumped)
                : .exited(code: result.status)
        default: cause = .unknown
        }
        // A wrapper often obeys SIGTERM before what it wraps has: that still has its grace.
        if let stop = process.stop, !stop.wasKilled, cause != .unknown,
            hasLivingGroup(child, in: ProcessTable.all())
        {
            process.phase = .leaderless(child, cause, until: stop.killAt)
        } else {
            endGroup(of: process, child, cause)
        }
    }

    private func hasLivingGroup(_ child: Child, in table: [ProcessRecord]) -> Bool {
        table.contains { $0.group == child.process && !$0.isZombie }
    }

    private func endGroup(of process: ManagedProcess, _ child: Child, _ cause: ExitCause) {
        // The zombie leader keeps the number taken; once it is reaped this could hit a stranger.
        if cause != .unknown { kill(-child.process, SIGKILL) }
        process.phase = .draining(child, cause, until: monotonicNow() + 1_000_000_000)
        pump.finish(child.output, grace: Self.drainGrace) { [mailbox, name = process.name] in
            mailbox.post { $0.drained(name, output: child.output) }
        }
    }

    private func drained(_ name: String, output: UInt64) {
        guard let process = processes[name],
            case .draining(let child, let cause, _) = process.phase, child.output == output
        else { return }
        conclude(process, child, cause)
    }

    private func conclude(_ process: ManagedProcess, _ child: Child, _ cause: ExitCause) {
        _ = OwnChildren.reap(child.process)
        close(child.pidfd)
        process.phase = .ended
        // At the very end one sweep finds what escaped from all of them.
        let escaped = shutdown == nil ? killEscaped(from: process) : []
        let now = monotonicNow()
        let fault = process.fault.flatMap { $0.until >= now ? ($0.name, $0.signal) : nil }
        let weAsked = process.stop != nil || process.expectsExit
        let isKill = if case .signalled(SIGKILL, _) = cause { true } else { false }
        let circumstances = ExitAttribution.Circumstances(
            weAsked: weAsked, fault: fault,
            memoryRanOut: isKill && !weAsked && fault == nil && memoryRanOut())
        var report = ExitReport(
            name: process.name, incarnation: process.incarnation, process: child.process,
            cause: cause, attribution: ExitAttribution(of: cause, circumstances),
            wasKilledAfterGrace: isKill && process.stop.map { $0.wasKilled && $0.hadGrace } == true,
            endedAt: now)
        report.escaped = escaped
        process.lastExit = report
        emit(.exited(report))
        process.resumeWaiters(with: report)
        if !weAsked, !process.isHeld, shutdown == nil { decideRestart(process, cause, now: now) }
    }

    private func decideRestart(_ process: ManagedProcess, _ cause: ExitCause, now: UInt64) {
        let policy = process.specification.restart
        let period = policy.period.nanoseconds
        process.restarts.removeAll { now - $0 > period }
        switch policy.decision(after: cause, recent: process.restarts.count) {
        case .none: break
        case .giveUp:
            emit(
                .givenUp(
                    name: process.name,
                    reason: "it \(cause) after \(process.restarts.count) restarts within "
                        + "\(policy.period)"))
        case .restart(let delay):
            process.restarts.append(now)
            emit(
                .restarting(
                    name: process.name, incarnation: process.incarnation + 1, after: delay))
            if delay <= .zero {
                restart(process)
            } else {
                process.phase = .restarting(at: now + delay.nanoseconds)
            }
        }
    }

    /// Kills what one incarnation left outside its group, so that it holds no port of the next.
    private func killEscaped(from process: ManagedProcess) -> [ProcessRecord] {
        let marks = Spawning.marks(
            token: token, name: process.name, incarnation: process.incarnation
        ).map { "\($0.key)=\($0.value)" }
        let escaped = ProcessTable.carrying(marks, in: ProcessTable.all())
        guard !escaped.isEmpty else { return [] }
        _ = Extermination.killAll(limit: .milliseconds(500)) { table in
            ProcessTable.carrying(marks, in: table)
        } reap: {
            if isSubreaper { OwnChildren.reapStrangers() }
        }
        return escaped
    }

    // MARK: The kernel's part

    private func memoryRanOut() -> Bool {
        let before = outOfMemoryKills
        outOfMemoryKills = Self.readOutOfMemoryKills()
        return outOfMemoryKills > before
    }

    private static func readOutOfMemoryKills() -> UInt64 {
        guard let bytes = readSmallFile("/proc/vmstat") else { return 0 }
        let prefix = Array("oom_kill ".utf8)
        let line = bytes.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: prefix) }
        return line.flatMap { UInt64(String(decoding: $0.dropFirst(prefix.count), as: UTF8.self)) }
            ?? 0
    }

    /// The supervisor is gone without having stopped its processes: nobody may be left.
    private func killEverything() {
        for process in processes.values {
            if let child = process.child {
                kill(-child.process, SIGKILL)
                let deadline = monotonicNow() + 2_000_000_000
                while !OwnChildren.reap(child.process), monotonicNow() < deadline {
                    sleepFor(milliseconds: 1)
                }
                close(child.pidfd)
            }
            process.phase = .ended
            process.resumeWaiters(with: nil)
        }
        if shutdown == nil { shutdown = Shutdown(deadline: 0, waiting: [], names: []) }
        finishShutdown(limit: .seconds(1))
    }
}
