internal import CLinux
internal import Glibc

/// Wakes a thread that waits in `poll`: any thread signals, one waits.
public final class WakeUp: Sendable {
    /// What to poll for reading.
    public let descriptor: Int32

    /// Makes a quiet one.
    ///
    /// - Throws: `ThreadError` when the process has no descriptor left.
    public init() throws(ThreadError) {
        descriptor = synmesh_eventfd()
        guard descriptor >= 0 else { throw ThreadError("could not make an eventfd", errno) }
    }

    deinit { close(descriptor) }

    /// Makes the descriptor readable, without ever blocking.
    public func signal() { synmesh_eventfd_signal(descriptor) }

    /// Makes the descriptor quiet again.
    public func take() { _ = synmesh_eventfd_take(descriptor) }

    /// Waits until it is signalled or the time is up, and makes it quiet again.
    public func wait(milliseconds: Int32) {
        var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        if poll(&item, 1, milliseconds) > 0 { take() }
    }
}
