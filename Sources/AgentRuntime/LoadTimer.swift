internal import CLinux
internal import Glibc
internal import ZeroMQ

/// What wakes the loop when the next message of a load is due: to the microsecond, while a poll's own
/// timeout counts whole milliseconds.
///
/// A load of 300 a second would else be sent up to a millisecond late each time, and whoever measures
/// from the schedule would measure that.
final class LoadTimer {
    private let descriptor: Int32
    private var isSet = false

    init() throws(AgentFailure) {
        descriptor = synmesh_timerfd()
        guard descriptor >= 0 else {
            throw AgentFailure(.failed, "could not make a timer: errno \(errno)")
        }
    }

    deinit { close(descriptor) }

    /// What to poll for a wait of so many nanoseconds; nil is one that no load ends.
    func item(after wait: UInt64?) -> PollItem? {
        guard let wait, wait > 0 else {
            if isSet { synmesh_timerfd_set(descriptor, 0) }
            isSet = false
            return nil
        }
        synmesh_timerfd_set(descriptor, wait)
        isSet = true
        return .fileDescriptor(descriptor)
    }
}
