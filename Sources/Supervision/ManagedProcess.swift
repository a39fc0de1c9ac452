/// Somebody who waits for an end: nil when it did not come in time.
typealias ExitContinuation = CheckedContinuation<
    Result<ExitReport?, SupervisionError>, Never
>

/// One process as its supervisor's thread sees it, over all its incarnations.
///
/// Only that thread touches it, so two restarts cannot race each other.
final class ManagedProcess {
    /// Where in its life it is; each case holds what is known then.
    enum Phase {
        case ended
        case restarting(at: UInt64)
        case running(Child)
        /// The leader has ended and is kept as a zombie, so that its group's number stays taken;
        /// the rest of the group may still end by itself.
        case leaderless(Child, ExitCause, until: UInt64)
        /// The group is dead; the pump reads what it left.
        case draining(Child, ExitCause, until: UInt64)
    }

    struct Stop {
        var killAt: UInt64
        var hadGrace: Bool
        var wasKilled = false
    }

    struct Fault {
        let name: String
        let signal: Int32
        /// Until when an end may be its doing.
        let until: UInt64
    }

    struct Waiter {
        let deadline: UInt64
        let continuation: ExitContinuation
    }

    let name: String
    var make: @Sendable (UInt32) -> ProcessSpecification
    var specification: ProcessSpecification
    var incarnation: UInt32
    var phase = Phase.ended
    var stop: Stop?
    /// Whether somebody wants it to stay ended, even when it ended by itself before we asked.
    var isHeld = false
    var expectsExit = false
    var fault: Fault?
    var pausedBy: String?
    /// When it was restarted, as far back as its period goes.
    var restarts: [UInt64] = []
    var lastExit: ExitReport?
    var waiters: [Waiter] = []

    init(
        name: String, incarnation: UInt32,
        make: @escaping @Sendable (UInt32) -> ProcessSpecification
    ) {
        self.name = name
        self.incarnation = incarnation
        self.make = make
        // Replaced by the first start: `make` is asked once an incarnation.
        specification = ProcessSpecification(executable: "", logPath: "")
    }

    /// The child that has not been reaped.
    var child: Child? {
        switch phase {
        case .ended, .restarting: nil
        case .running(let child), .leaderless(let child, _, _), .draining(let child, _, _): child
        }
    }

    /// The child, while signals mean something to it.
    var runningChild: Child? {
        guard case .running(let child) = phase else { return nil }
        return child
    }

    var hasEnded: Bool {
        guard case .ended = phase else { return false }
        return true
    }

    /// When something is due without any event.
    var deadline: UInt64? {
        let due: UInt64? =
            switch phase {
            case .ended: nil
            case .restarting(let at): at
            case .running: stop.flatMap { $0.wasKilled ? nil : $0.killAt }
            // The group is looked at again and again: nothing tells when it is empty.
            case .leaderless(_, _, let until): min(until, monotonicNow() + 20_000_000)
            case .draining(_, _, let until): until
            }
        return ([due].compactMap { $0 } + waiters.map(\.deadline)).min()
    }

    var status: ProcessStatus {
        let stage: ProcessStatus.Phase =
            switch phase {
            case .ended: .ended
            case .restarting: .restarting
            case .running: stop == nil ? .running : .stopping
            case .leaderless, .draining: .stopping
            }
        return ProcessStatus(
            name: name, incarnation: incarnation, phase: stage, process: child?.process,
            isPaused: pausedBy != nil, lastExit: lastExit)
    }

    /// Answers everybody who waits for the end.
    func resumeWaiters(with report: ExitReport?) {
        let answered = waiters
        waiters = []
        for waiter in answered { waiter.continuation.resume(returning: .success(report)) }
    }
}
