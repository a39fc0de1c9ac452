public import Control
public import Recording
internal import Threads
public import ZeroMQ

/// Why a proxy could not start or go on.
public enum RoutingError: Error, Hashable, Sendable {
    /// The configuration is not usable, with what is wrong where.
    case configuration(String)
    /// A socket failed.
    case socket(ZeroMQError)
    /// The control plane, or a thread, failed.
    case control(ControlError)
    /// The history could not be created.
    case history(HistoryError)
    /// What was to be recorded could not be, this many times; the history lacks it.
    case unrecorded(count: Int)
    /// A command that was given in the same process was refused, with the reason.
    case refused(command: String, reason: String)
    /// A command that was given in the same process was not answered in time.
    case timedOut(command: String)
}

extension RoutingError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        switch self {
        case .configuration(let reason): "the configuration is not usable: \(reason)"
        case .socket(let error): error.description
        case .control(let error): error.description
        case .history(let error): error.description
        case .unrecorded(let count):
            "\(count) records or annotations are not in the history. See the log for the first reason."
        case .refused(let command, let reason): "refused '\(command)': \(reason)"
        case .timedOut(let command): "'\(command)' was not answered in time"
        }
    }
}

/// Turns a binding's error into a proxy's.
func zeroMQ<Result: ~Copyable>(
    _ body: () throws(ZeroMQError) -> Result
) throws(RoutingError) -> Result {
    do throws(ZeroMQError) {
        return try body()
    } catch {
        throw .socket(error)
    }
}

/// Turns the control plane's error into a proxy's.
func controlPlane<Result>(
    _ body: () throws(ControlError) -> Result
) throws(RoutingError) -> Result {
    do throws(ControlError) {
        return try body()
    } catch {
        throw .control(error)
    }
}

/// Turns the error of a thread, or of what wakes one, into a proxy's.
func threads<Result>(
    _ body: () throws(ThreadError) -> Result
) throws(RoutingError) -> Result {
    do throws(ThreadError) {
        return try body()
    } catch {
        throw .control(.thread(error.code))
    }
}
