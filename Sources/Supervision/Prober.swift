internal import Glibc

/// One incarnation of a process that is probed.
struct ProbeWatch: Sendable {
    let name: String
    let incarnation: UInt32
    let token: String
    let specification: ProcessSpecification
    /// The reading end of what it may say that it is ready on, which the prober owns from now on.
    let readyPipe: CInt?
}

/// What a probe has turned to.
struct ProbeReport: Sendable {
    let name: String
    let incarnation: UInt32
    let index: Int
    /// Nil: not decided yet, but what was seen has changed.
    let passes: Bool?
    let reason: String
}

/// Asks processes whether they have started, are ready and still answer.
///
/// One thread for all of them, which never waits for any single answer.
final class Prober: Sendable {
    enum Command: Sendable {
        case watch(ProbeWatch)
        case forget(String, UInt32)
        case heard(String, UInt32, Int)
        case end
    }

    private let mailbox: Mailbox<Command>

    /// Starts the thread, on which `report` is told of each turn.
    init(report: @escaping @Sendable (ProbeReport) -> Void) throws(SupervisionError) {
        mailbox = try Mailbox()
        try startThread(named: "prober") { [mailbox] in
            ProberLoop(mailbox: mailbox, report: report).run()
        }
    }

    deinit { mailbox.post(.end) }

    func watch(_ watch: ProbeWatch) {
        if !mailbox.post(.watch(watch)), let pipe = watch.readyPipe { close(pipe) }
    }

    func forget(_ name: String, incarnation: UInt32) { mailbox.post(.forget(name, incarnation)) }

    /// A line that a probe waits for was written.
    func heard(_ name: String, incarnation: UInt32, index: Int) {
        mailbox.post(.heard(name, incarnation, index))
    }
}

/// The prober's thread.
private final class ProberLoop {
    /// A probe that was never passed is asked at least so often, so that nobody waits for nothing.
    private static let eagerPeriod = Duration.milliseconds(100)

    private final class Asking {
        let rule: ProbeRule
        var tally = ProbeTally()
        var nextAt: UInt64
        var attempt: ProbeAttempt?
        var begun: UInt64 = 0
        var reason = ""

        init(_ rule: ProbeRule, startedAt: UInt64) {
            self.rule = rule
            nextAt = startedAt + (rule.isHeard ? rule.timeout : rule.delay).nanoseconds
        }
    }

    private final class Watching {
        let watch: ProbeWatch
        let probes: [Asking]
        var readyPipe: CInt?

        init(_ watch: ProbeWatch) {
            self.watch = watch
            readyPipe = watch.readyPipe
            let now = monotonicNow()
            probes = watch.specification.probes.map { Asking($0, startedAt: now) }
        }

        var hasStarted: Bool {
            probes.allSatisfy { $0.rule.role != .startup || $0.tally.passes == true }
        }

        func isAsked(_ probe: Asking) -> Bool {
            if probe.rule.role != .startup { return hasStarted && !probe.rule.isHeard }
            // What has started has started for good.
            return probe.tally.passes == nil
        }

        func end() {
            for probe in probes { probe.attempt?.end() }
            if let readyPipe { close(readyPipe) }
            readyPipe = nil
        }
    }

    private let mailbox: Mailbox<Prober.Command>
    private let report: @Sendable (ProbeReport) -> Void
    private var watched: [String: Watching] = [:]
    /// What was heard before its process was watched: its first line may be faster than its starter.
    private var early: [String: (incarnation: UInt32, indexes: [Int])] = [:]
    private var hasEnded = false

    init(
        mailbox: Mailbox<Prober.Command>, report: @escaping @Sendable (ProbeReport) -> Void
    ) {
        self.mailbox = mailbox
        self.report = report
    }

    func run() {
        while !hasEnded { step() }
        for command in mailbox.closeAndTake() { perform(command) }
        for watching in watched.values { watching.end() }
    }

    private func step() {
        var items = [pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)]
        var deadline: UInt64?
        for watching in watched.values {
            if let pipe = watching.readyPipe {
                items.append(pollfd(fd: pipe, events: Int16(POLLIN), revents: 0))
            }
            for probe in watching.probes {
                items += probe.attempt?.items ?? []
                guard let due = probe.attempt?.deadline ?? nextTime(probe, watching) else {
                    continue
                }
                deadline = min(deadline ?? due, due)
            }
        }
        let now = monotonicNow()
        guard poll(&items, nfds_t(items.count), pollTimeout(until: deadline, now: now)) >= 0 else {
            return
        }
        if items[0].revents != 0 { for command in mailbox.take() { perform(command) } }
        for watching in watched.values { proceed(watching) }
    }

    private func nextTime(_ probe: Asking, _ watching: Watching) -> UInt64? {
        watching.isAsked(probe) ? probe.nextAt : nil
    }

    private func perform(_ command: Prober.Command) {
        switch command {
        case .watch(let watch):
            watched.removeValue(forKey: watch.name)?.end()
            let watching = Watching(watch)
            watched[watch.name] = watching
            guard let heard = early.removeValue(forKey: watch.name),
                heard.incarnation == watch.incarnation
            else { break }
            for index in heard.indexes { conclude(.passed("it was written"), index, watching) }
        case .forget(let name, let incarnation):
            guard watched[name]?.watch.incarnation == incarnation else { break }
            watched.removeValue(forKey: name)?.end()
        case .heard(let name, let incarnation, let index):
            guard let watching = watched[name], watching.watch.incarnation >= incarnation else {
                var heard = early[name] ?? (incarnation, [])
                if heard.incarnation != incarnation { heard = (incarnation, []) }
                heard.indexes.append(index)
                early[name] = heard
                break
            }
            guard watching.watch.incarnation == incarnation,
                watching.probes.indices.contains(index)
            else { break }
            conclude(.passed("it was written"), index, watching)
        case .end: hasEnded = true
        }
    }

    private func proceed(_ watching: Watching) {
        hear(watching)
        let now = monotonicNow()
        for (index, probe) in watching.probes.enumerated() {
            if let attempt = probe.attempt {
                guard let outcome = attempt.proceed(now: now) else { continue }
                attempt.end()
                probe.attempt = nil
                conclude(outcome, index, watching)
            } else if watching.isAsked(probe), probe.nextAt <= now {
                if probe.rule.isHeard {
                    conclude(.failed("not heard within \(probe.rule.timeout)"), index, watching)
                    probe.nextAt = .max
                    continue
                }
                let isEager = probe.rule.role == .readiness && probe.tally.passes != true
                let period = isEager ? min(probe.rule.period, Self.eagerPeriod) : probe.rule.period
                probe.nextAt = now + period.nanoseconds
                probe.attempt = ProbeAttempt(probe.rule, of: watching.watch)
            }
        }
    }

    /// Reads what the process says on its own descriptor.
    private func hear(_ watching: Watching) {
        guard let pipe = watching.readyPipe else { return }
        var buffer = [UInt8](repeating: 0, count: 256)
        var isOver = false
        var isReady = false
        while !isOver, !isReady {
            let count = read(pipe, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return }
            }
            isOver = count <= 0
            isReady = count > 0 && buffer.prefix(count).contains(UInt8(ascii: "\n"))
        }
        close(pipe)
        watching.readyPipe = nil
        for (index, probe) in watching.probes.enumerated() {
            guard case .descriptor = probe.rule.test else { continue }
            conclude(
                isReady ? .passed("it was written") : .failed("it was closed without one"), index,
                watching)
        }
    }

    private func conclude(_ outcome: ProbeAttempt.Outcome, _ index: Int, _ watching: Watching) {
        let probe = watching.probes[index]
        let hasTurned = probe.tally.take(outcome.hasPassed, by: probe.rule)
        guard hasTurned || probe.reason != outcome.reason else { return }
        probe.reason = outcome.reason
        report(
            ProbeReport(
                name: watching.watch.name, incarnation: watching.watch.incarnation, index: index,
                passes: probe.tally.passes, reason: outcome.reason))
    }
}
