public import JSON
internal import Threads
public import ZeroMQ

/// The orchestrator's end of the control plane: tells children what to do and hears from them.
///
/// A thread of its own owns the socket; every wait is bounded, and every waiting task is resumed
/// exactly once: by the answer, the timeout, the end of the child's process (`forget`), its own
/// cancellation, or `close`.
public final class ControlServer: Sendable {
    /// Where children connect to, with the port that the system chose for `*`.
    public let endpoint: String
    /// What children say that nobody waits for.
    ///
    /// For one reader; the newest 100,000 are kept.
    public let events: AsyncStream<ControlEvent>

    private let core: ControlCore

    /// Binds and starts to listen.
    ///
    /// - Parameters:
    ///   - endpoint: For example `ipc:///run/control` or `tcp://127.0.0.1:*`.
    ///   - context: The ZeroMQ context; one of its own by default, apart from every data plane.
    /// - Throws: `ControlError.socket` when the endpoint cannot be bound.
    public init(endpoint: String, in context: Context? = nil) throws(ControlError) {
        let ownContext: Context
        do throws(ZeroMQError) {
            if let context { ownContext = context } else { ownContext = try Context() }
        } catch {
            throw .socket(error)
        }
        let (stream, continuation) = AsyncStream.makeStream(
            of: ControlEvent.self, bufferingPolicy: .bufferingNewest(100_000))
        let (core, start) = try threads { () throws(ThreadError) in
            let core = ControlCore(wakeUp: try WakeUp(), events: continuation)
            let start = try Handoff<Result<String, ControlError>>()
            _ = try DedicatedThread(named: "control") {
                core.run(bindingTo: endpoint, in: ownContext, start: start)
            }
            return (core, start)
        }
        self.endpoint = try start.take().get()
        self.core = core
        events = stream
    }

    deinit { core.close() }

    /// Waits until a child says that it is ready; returns at once when it already did.
    public func waitReady(
        role: String, name: String, incarnation: UInt32, timeout: Duration
    ) async throws(ControlError) -> Ready {
        try await core.waitReady(
            ChildID(role: role, name: name, incarnation: incarnation), timeout: timeout)
    }

    /// Has a child do something, and returns its result.
    ///
    /// - Parameters:
    ///   - name: What to do.
    ///   - child: Who is to do it.
    ///   - arguments: With what.
    ///   - timeout: The longest wait for the answer.
    /// - Returns: The result that the child answered with.
    /// - Throws: `ControlError`: refused, timed out, ended, unreachable, cancelled or closed.
    public func command(
        _ name: String, to child: ChildID, arguments: Value = [:], timeout: Duration
    ) async throws(ControlError) -> Value {
        try await core.command(name, to: child, arguments: arguments, timeout: timeout)
    }

    /// Tells that a child's process ended: what waits for it fails, now and later.
    public func forget(_ child: ChildID) { core.forget(child) }

    /// Messages that could not be read, until now.
    public var malformed: Int { core.malformed }

    /// Ends the thread and fails what waits.
    public func close() { core.close() }
}
