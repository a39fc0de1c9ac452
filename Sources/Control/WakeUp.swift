internal import CLinux
internal import Glibc

/// Wakes a thread that waits in `poll`: any thread signals, one waits.
package final class WakeUp: Sendable {
    /// What to poll for reading.
    package let descriptor: Int32

    /// Makes a quiet one.
    ///
    /// - Throws: `ControlError.thread` when the process has no descriptor left.
    package init() throws(ControlError) {
        descriptor = synmesh_eventfd()
        guard descriptor >= 0 else { throw .thread(errno) }
    }

    deinit { close(descriptor) }

    /// Makes the descriptor readable, without ever blocking.
    package func signal() { synmesh_eventfd_signal(descriptor) }

    /// Makes the descriptor quiet again.
    package func take() { _ = synmesh_eventfd_take(descriptor) }

    /// Waits until it is signalled or the time is up, and makes it quiet again.
    package func wait(milliseconds: Int32) {
        var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        if Glibc.poll(&item, 1, milliseconds) > 0 { take() }
    }
}
