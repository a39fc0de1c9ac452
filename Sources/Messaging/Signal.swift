internal import CLinux
internal import Glibc

/// A descriptor by which one thread wakes another that polls it.
final class Signal: Sendable {
    /// Readable from `raise` until `take`.
    let descriptor: Int32

    init() throws(MessagingError) {
        descriptor = synmesh_eventfd()
        guard descriptor >= 0 else {
            throw MessagingError(
                .receive, .system("no eventfd: " + String(cString: strerror(errno))))
        }
    }

    deinit { close(descriptor) }

    /// Wakes the other side.
    func raise() { _ = synmesh_eventfd_signal(descriptor) }

    /// Forgets what was raised until now.
    func take() { _ = synmesh_eventfd_take(descriptor) }

    /// Waits until it is raised, or the time is up.
    func wait(milliseconds: Int32) {
        var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&item, 1, milliseconds)
    }
}
