internal import CLinux
internal import Glibc

/// The thread that owns all processes of one supervisor: it alone starts, signals and reaps them.
///
/// Commands come through the mailbox and run between events, so the rules need no locks and every
/// sequence of commands has one meaning.
final class SupervisorCore {
    typealias Command = @Sendable (SupervisorCore) -> Void

    let token: String
    let mailbox: Mailbox<Command>
    let pump: OutputPump
    let console: Console?
    let emit: @Sendable (ProcessEvent) -> Void
    /// Whether orphans of our children come to this process.
    let isSubreaper: Bool

    /// Where starts are noted down.
    let journal: Journal?
    var processes: [String: ManagedProcess] = [:]
    /// What each of them is in its life, and what is to be done about it.
    var population = Population()
    var shutdown: Shutdown?
    var hasEnded = false
    var outputs: UInt64 = 0
    /// Asks processes how they are; there is none before somebody is to be asked.
    private(set) var existingProber: Prober?
    private var strangersDue: UInt64 = 0
    private var outOfMemoryKills: UInt64
    /// The process table, as of this turn of the loop: many ends in one turn share one look.
    private var table: [ProcessRecord]?
    private var marked: [String: [ProcessRecord]]?

    init(
        token: String, mailbox: Mailbox<Command>, pump: OutputPump, console: Console?,
        isSubreaper: Bool, journal: String?, emit: @escaping @Sendable (ProcessEvent) -> Void
    ) {
        self.token = token
        self.mailbox = mailbox
        self.pump = pump
        self.console = console
        self.isSubreaper = isSubreaper
        // That it can be written was seen before this thread was there.
        self.journal = journal.flatMap { try? Journal(appendingTo: $0) }
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
        let running = processes.values.compactMap { process -> (ManagedProcess, Child)? in
            guard life(of: process).phase == .running else { return nil }
            return process.child.map { (process, $0) }
        }
        var items = [pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)]
        items += running.map { pollfd(fd: $0.1.pidfd, events: Int16(POLLIN), revents: 0) }
        let count = poll(
            &items, nfds_t(items.count), pollTimeout(until: deadline, now: monotonicNow()))
        guard count >= 0 else { return }
        table = nil
        marked = nil
        for (item, (process, child)) in zip(items.dropFirst(), running) where item.revents != 0 {
            leaderEnded(process, child)
        }
        if items[0].revents != 0 { for command in mailbox.take() { command(self) } }
        runDue(now: monotonicNow())
    }

    private var deadline: UInt64? {
        var deadlines = [population.deadline, shutdown?.deadline]
        deadlines += processes.values.map(\.deadline)
        // Nothing tells when a group is empty, so it is looked at again and again.
        if population.hasLeaderless { deadlines.append(monotonicNow() + 20_000_000) }
        if isSubreaper { deadlines.append(strangersDue) }
        return deadlines.compactMap(\.self).min()
    }

    private func runDue(now: UInt64) {
        if population.hasLeaderless {
            for process in processes.values {
                guard case .leaderless = life(of: process).phase, let child = process.child,
                    !hasLivingGroup(child)
                else { continue }
                handle(.groupEnded, for: process.name)
            }
        }
        while case let steps = population.due(at: now), !steps.isEmpty { perform(steps) }
        for process in processes.values { process.resumeLate(now: now) }
        if isSubreaper, strangersDue <= now {
            strangersDue = now + 1_000_000_000
            OwnChildren.reapStrangers()
        }
        finishShutdownIfDue(now: now)
    }

    /// What a process is in its life.
    func life(of process: ManagedProcess) -> Lifecycle {
        population.lives[process.name] ?? Lifecycle()
    }

    /// Takes note of what happened to a process, and does what follows.
    func handle(_ event: Lifecycle.Event, for name: String) {
        perform(population.take(event, for: name, at: monotonicNow()))
    }

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
        // Only what is being ended is waited for, so only then anybody needs to know.
        let isGroupAlive = life(of: process).ending != nil && hasLivingGroup(child)
        handle(.leaderEnded(cause, isGroupAlive: isGroupAlive), for: process.name)
    }

    private func hasLivingGroup(_ child: Child) -> Bool {
        currentTable().contains { $0.group == child.process && !$0.isZombie }
    }

    /// The process table, looked at once a turn.
    private func currentTable() -> [ProcessRecord] {
        if let table { return table }
        let found = ProcessTable.all()
        table = found
        return found
    }

    /// What one incarnation left outside its group.
    ///
    /// Its group was killed in an earlier turn, so what this turn's look does not show is not there.
    func escaped(from name: String, incarnation: UInt32) -> [ProcessRecord] {
        let found =
            marked
            ?? ProcessTable.byEnvironment(
                "SYNMESH_TOKEN=\(token)", valueOf: "SYNMESH_PROCESS", in: currentTable())
        marked = found
        return found["\(name)/\(incarnation)"] ?? []
    }

    // MARK: Probes

    func prober(for specification: ProcessSpecification) throws(SupervisionError) -> Prober? {
        guard !specification.probes.isEmpty else { return nil }
        if let existingProber { return existingProber }
        let prober = try Prober { [mailbox] report in mailbox.post { $0.probed(report) } }
        existingProber = prober
        return prober
    }

    private func probed(_ report: ProbeReport) {
        guard let process = processes[report.name],
            process.health?.incarnation == report.incarnation
        else { return }
        process.health?.take(report.index, passes: report.passes, reason: report.reason)
        guard let health = process.health else { return }
        let probe = health.probes[report.index]
        if report.passes == false, probe.rule.role != .readiness {
            handle(
                .probeFailed(probe.rule.name, grace: process.specification.grace),
                for: process.name)
        }
        guard health.isReady != process.wasReady else { return }
        process.wasReady = health.isReady
        if health.isReady {
            emit(.ready(name: process.name, incarnation: report.incarnation))
            process.resumeReadyWaiters(with: .ready)
        } else {
            let reason = "\(probe.rule.name): \(probe.reason)"
            emit(.unready(name: process.name, incarnation: report.incarnation, reason: reason))
        }
    }

    // MARK: The kernel's part

    func memoryRanOut() -> Bool {
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
                process.child = nil
            }
            process.resumeWaiters(with: nil)
            process.resumeStartWaiters(with: .failure(.supervisorEnded))
            process.resumeReadyWaiters(with: .late("its supervisor has ended"))
        }
        if shutdown == nil { shutdown = Shutdown(deadline: 0, waiting: [], names: []) }
        finishShutdown(limit: .seconds(1))
    }
}
