internal import CLinux
internal import Glibc
internal import Synchronization

/// The children of this process that some supervisor in it started and will reap.
///
/// The one thing that supervisors share: what the kernel knows only by process. Starting and
/// registering a child is one step under the lock, so nobody takes it for a stranger in between.
enum OwnChildren {
    private struct State {
        var isOpen = true
        var processes: Set<Int32> = []
        var supervisors = 0
    }

    private static let state = Mutex(State())

    /// Refuses every start from now on: once this returns, there is no child that it missed.
    static func refuseMore() {
        state.withLock { $0.isOpen = false }
    }

    /// Starts and registers a child.
    static func start(
        _ body: () throws(SupervisionError) -> Child
    ) throws(SupervisionError) -> Child {
        try state.withLock { state throws(SupervisionError) in
            guard state.isOpen else {
                throw SupervisionError(
                    .closing, attempt: "could not start a process", reason: "the guardian is dead")
            }
            let child = try body()
            state.processes.insert(child.process)
            return child
        }
    }

    /// Reaps a child that has ended; from then on its number may mean anybody.
    static func reap(_ process: Int32) -> Bool {
        state.withLock { state in
            var result = synmesh_exit()
            guard synmesh_reap(process, &result) != 0 else { return false }
            state.processes.remove(process)
            return true
        }
    }

    /// Reaps the orphans that came to this process.
    static func reapStrangers() {
        var result = synmesh_exit()
        guard synmesh_exit_peek(-1, &result) == 1 else { return }
        state.withLock { state in
            let parent = getpid()
            for record in ProcessTable.all()
            where record.isZombie && record.parent == parent {
                if !state.processes.contains(record.process) {
                    _ = synmesh_reap(record.process, &result)
                }
            }
        }
    }

    /// Counts a supervisor in (1) or out (-1).
    static func count(_ change: Int) {
        state.withLock { $0.supervisors += change }
    }

    /// Whether another supervisor than a counted caller has processes that are none of its business.
    static func areShared(callerIsCounted: Bool) -> Bool {
        state.withLock { $0.supervisors > (callerIsCounted ? 1 : 0) }
    }
}
