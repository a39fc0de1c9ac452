import Control
import Glibc
import Recording
import Routing
import Wire
import ZeroMQ

/// Why the program ends, and with which exit code.
struct Failure: Error {
    let status: Int32
    let message: String

    /// The command line or the configuration is not usable.
    static func configuration(_ message: String) -> Failure { Failure(status: 2, message: message) }

    /// Something around the program is missing or refuses.
    static func environment(_ message: String) -> Failure { Failure(status: 3, message: message) }
}

/// What the orchestrator tells every child through its environment.
struct ChildEnvironment {
    let incarnation: UInt32
    let clock: RunClock
    private let controlEndpoint: String?
    private let historyPath: String?

    init() throws(Failure) {
        incarnation = try Self.number("SYNMESH_INCARNATION", default: 1)
        clock = RunClock(offset: try Self.number("SYNMESH_CLOCK_OFFSET", default: 0))
        controlEndpoint = Self.text("SYNMESH_CONTROL")
        historyPath = Self.text("SYNMESH_HISTORY")
    }

    private static func text(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    private static func number<Number: FixedWidthInteger>(
        _ name: String, default fallback: Number
    ) throws(Failure) -> Number {
        guard let text = text(name) else { return fallback }
        guard let number = Number(text) else {
            throw .environment("\(name) is '\(text)', which is no number in range")
        }
        return number
    }

    func context() throws(RoutingError) -> Context {
        do throws(ZeroMQError) {
            return try Context()
        } catch {
            throw .socket(error)
        }
    }

    /// The history, where the orchestrator wants one.
    func history(of process: String) throws(RoutingError) -> HistoryWriter? {
        guard let historyPath else { return nil }
        do throws(HistoryError) {
            return try HistoryWriter(
                path: historyPath, process: process, clock: clock,
                rotation: HistoryRotation(environment: Self.text))
        } catch {
            throw .history(error)
        }
    }

    /// The control plane; without one the proxy runs by itself, until a signal ends it.
    func control(
        role: String, name: String, in context: Context
    ) throws(RoutingError) -> ControlClient? {
        guard let controlEndpoint else { return nil }
        do throws(ControlError) {
            return try ControlClient(
                endpoint: controlEndpoint, name: name, incarnation: incarnation, role: role,
                in: context)
        } catch {
            throw .control(error)
        }
    }
}
