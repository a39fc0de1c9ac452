/// Somebody who waits for an end: nil when it did not come in time.
typealias ExitContinuation = CheckedContinuation<
    Result<ExitReport?, SupervisionError>, Never
>

/// What the supervisor's thread has in its hands of one process; what it is in its life, its
/// `Lifecycle` says.
///
/// Only that thread touches it, so two restarts cannot race each other.
final class ManagedProcess {
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

    /// Somebody who waits for a start that follows an end.
    struct StartWaiter {
        let after: UInt32
        let deadline: UInt64
        let continuation: CheckedContinuation<Result<RunningProcess, SupervisionError>, Never>
    }

    /// Somebody who waits for it to be ready.
    struct ReadyWaiter {
        let deadline: UInt64
        let continuation: CheckedContinuation<ReadyOutcome, Never>
    }

    let name: String
    var make: @Sendable (UInt32) -> ProcessSpecification
    var specification = ProcessSpecification(executable: "", logPath: "")
    /// The child that has not been reaped.
    var child: Child?
    var fault: Fault?
    var pausedBy: String?
    var lastExit: ExitReport?
    var waiters: [Waiter] = []
    var startWaiters: [StartWaiter] = []
    var readyWaiters: [ReadyWaiter] = []
    /// What its probes say, while it runs.
    var health: Health?
    var wasReady = false
    /// Why the latest start failed, for who asked for it.
    var startFailure: SupervisionError?

    init(name: String, make: @escaping @Sendable (UInt32) -> ProcessSpecification) {
        self.name = name
        self.make = make
    }

    /// When somebody has waited long enough.
    var deadline: UInt64? {
        let all =
            waiters.map(\.deadline) + startWaiters.map(\.deadline) + readyWaiters.map(\.deadline)
        return all.min()
    }

    /// Answers those who wait for it to be ready.
    func resumeReadyWaiters(with outcome: ReadyOutcome) {
        let answered = readyWaiters
        readyWaiters = []
        for waiter in answered { waiter.continuation.resume(returning: outcome) }
    }

    /// Answers everybody who waits for the end.
    func resumeWaiters(with report: ExitReport?) {
        let answered = waiters
        waiters = []
        for waiter in answered { waiter.continuation.resume(returning: .success(report)) }
    }

    /// Answers those who waited for this start, or for none that comes.
    func resumeStartWaiters(with result: Result<RunningProcess, SupervisionError>) {
        let answered = startWaiters
        startWaiters = []
        for waiter in answered { waiter.continuation.resume(returning: result) }
    }

    /// Gives up on whoever has waited long enough.
    func resumeLate(now: UInt64) {
        let late = waiters.filter { $0.deadline <= now }
        if !late.isEmpty {
            waiters.removeAll { $0.deadline <= now }
            for waiter in late { waiter.continuation.resume(returning: .success(nil)) }
        }
        for waiter in readyWaiters where waiter.deadline <= now {
            let missing = health?.missing.map {
                "its probe \($0.rule.name) (\($0.rule)): \($0.reason)"
            }
            waiter.continuation.resume(returning: .late(missing ?? "it does not run"))
        }
        readyWaiters.removeAll { $0.deadline <= now }
        let lateStarts = startWaiters.filter { $0.deadline <= now }
        guard !lateStarts.isEmpty else { return }
        startWaiters.removeAll { $0.deadline <= now }
        for waiter in lateStarts {
            let error = SupervisionError(
                .survived, attempt: "could not restart \(name)",
                reason: "the one before has not ended")
            waiter.continuation.resume(returning: .failure(error))
        }
    }
}
