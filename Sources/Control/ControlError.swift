internal import Threads
public import ZeroMQ

/// Why the control plane did not do what was asked.
public enum ControlError: Error, Hashable, Sendable {
    /// A socket failed.
    case socket(ZeroMQError)
    /// No thread could be started, with the system's `errno`.
    case thread(Int32)
    /// A child did not answer, or did not become ready, in time.
    case timedOut(ChildID, waitingFor: String)
    /// A child's process ended before it answered.
    case ended(ChildID, waitingFor: String)
    /// A child refused a command, with its reason.
    case refused(ChildID, command: String, reason: String)
    /// No child of that identity is connected.
    case unreachable(ChildID)
    /// The other side reads nothing: its queue is full.
    case full(String)
    /// The waiting task was cancelled.
    case cancelled
    /// The server was closed.
    case closed
    /// Bytes that are no control message, with what is wrong about them.
    case malformed(String)
}

extension ControlError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        switch self {
        case .socket(let error): "control: \(error)"
        case .thread(let code): "control: could not start a thread (errno \(code))"
        case .timedOut(let child, let purpose):
            "\(child) did not answer in time (\(purpose)). Its log says what it was doing."
        case .ended(let child, let purpose):
            "\(child) ended before it answered (\(purpose)). Its log says why."
        case .refused(let child, let command, let reason):
            "\(child) refused '\(command)': \(reason)"
        case .unreachable(let child): "\(child) is not connected to the control plane"
        case .full(let peer): "\(peer) reads no control messages: its queue is full"
        case .cancelled: "cancelled"
        case .closed: "the control plane is closed"
        case .malformed(let reason): "not a control message: \(reason)"
        }
    }
}

/// Turns the error of a thread, or of what wakes one, into the control plane's.
func threads<Result>(
    _ body: () throws(ThreadError) -> Result
) throws(ControlError) -> Result {
    do throws(ThreadError) {
        return try body()
    } catch {
        throw .thread(error.code)
    }
}
