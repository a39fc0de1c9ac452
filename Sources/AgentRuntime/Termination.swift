internal import CLinux
internal import Glibc

/// The wish of the system that the program ends, as something to poll.
struct Termination {
    /// Readable once SIGTERM arrived.
    let descriptor: Int32

    /// Takes SIGTERM out of its usual way; to be made before any thread is.
    ///
    /// SIGINT is ignored: a Ctrl-C on the terminal reaches every process, and the orchestrator
    /// decides what comes of it. SIGPIPE is: a reader that went away is an error of one write.
    init() throws(AgentFailure) {
        signal(SIGINT, SIG_IGN)
        signal(SIGPIPE, SIG_IGN)
        descriptor = synmesh_signalfd([SIGTERM], 1)
        guard descriptor >= 0 else {
            throw AgentFailure(.failed, "could not watch for SIGTERM: errno \(errno)")
        }
    }

    /// Whether SIGTERM arrived since the last question.
    func isRequested() -> Bool {
        var signal = synmesh_signal()
        return synmesh_signalfd_read(descriptor, &signal) == 1
    }
}
