public import JSON
internal import Recording
internal import Threads
public import Wire
public import ZeroMQ

/// A proxy on a thread of its own, inside a test or another program.
///
/// ```swift
/// let proxy = try ProxyThread.branch(BranchConfiguration(name: "core", agents: [...]), in: context)
/// connect(to: proxy.endpoints["router"])
/// proxy.stop()
/// ```
public final class ProxyThread: Sendable {
    /// Where it is reached: `router`, or `publish` and `subscribe`.
    public let endpoints: [String: String]

    private let inbox: Inbox
    private let stopping: WakeUp
    private let thread: DedicatedThread
    private let end: Handoff<RoutingError?>

    /// Runs a branch proxy, with a history where a path for one is given; returns once it can be used.
    public static func branch(
        _ configuration: BranchConfiguration, in context: Context, history: String? = nil,
        clock: RunClock = RunClock(offset: 0), incarnation: UInt32 = 1,
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(RoutingError) -> ProxyThread {
        try host(BranchProxy.self, configuration, context, history, clock, incarnation, log)
    }

    /// Runs a topic proxy, with a history where a path for one is given; returns once it can be used.
    public static func topics(
        _ configuration: TopicConfiguration, in context: Context, history: String? = nil,
        clock: RunClock = RunClock(offset: 0), incarnation: UInt32 = 1,
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(RoutingError) -> ProxyThread {
        try host(TopicProxy.self, configuration, context, history, clock, incarnation, log)
    }

    /// Runs the bridge of a branch with a proxy of the user's own, with a history where a path for one is given; returns once it can be used.
    public static func bridge(
        _ configuration: BridgeConfiguration, in context: Context, history: String? = nil,
        clock: RunClock = RunClock(offset: 0), incarnation: UInt32 = 1,
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(RoutingError) -> ProxyThread {
        try host(BranchBridge.self, configuration, context, history, clock, incarnation, log)
    }

    private static func host<Hosted: Node>(
        _ type: Hosted.Type, _ configuration: Hosted.Configuration, _ context: Context,
        _ history: String?, _ clock: RunClock, _ incarnation: UInt32,
        _ log: @escaping @Sendable (String) -> Void
    ) throws(RoutingError) -> ProxyThread {
        try ProxyThread { inbox, stop, ready throws(RoutingError) in
            let node = try type.init(
                configuration,
                in: Surroundings(
                    context: context, history: try writer(history, configuration.name, clock),
                    clock: clock, commands: CommandSource(control: nil), incarnation: incarnation,
                    inbox: inbox, log: log))
            ready(node.endpoints)
            try node.run(stop: stop)
        }
    }

    private typealias Body =
        @Sendable (Inbox, Int32, ([String: String]) -> Void) throws(RoutingError) -> Void

    private static func writer(
        _ path: String?, _ name: String, _ clock: RunClock
    ) throws(RoutingError) -> HistoryWriter? {
        guard let path else { return nil }
        do throws(HistoryError) {
            return try HistoryWriter(path: path, process: name, clock: clock)
        } catch {
            throw .history(error)
        }
    }

    private init(_ body: @escaping Body) throws(RoutingError) {
        let (inbox, stopping, started, end, thread) = try threads { () throws(ThreadError) in
            let inbox = try Inbox()
            let stopping = try WakeUp()
            let started = try Handoff<Result<[String: String], RoutingError>>()
            let end = try Handoff<RoutingError?>()
            let thread = try DedicatedThread(named: "proxy") {
                do throws(RoutingError) {
                    try body(inbox, stopping.descriptor) { started.give(.success($0)) }
                    end.give(nil)
                } catch {
                    // Whoever waits for the start hears of it; afterwards, whoever waits for the end.
                    started.give(.failure(error))
                    end.give(error)
                }
            }
            return (inbox, stopping, started, end, thread)
        }
        endpoints = try started.take().get()
        self.inbox = inbox
        self.stopping = stopping
        self.end = end
        self.thread = thread
    }

    deinit { stopping.signal() }

    /// Gives a command as the orchestrator would, and waits for the answer.
    ///
    /// - Parameters:
    ///   - name: What to do: `hold`, `release`, `link`, `status` …
    ///   - arguments: With what.
    ///   - timeout: The longest wait.
    /// - Returns: The answer.
    /// - Throws: `RoutingError.refused` with the proxy's reason, or `.timedOut`.
    @discardableResult
    public func command(
        _ name: String, _ arguments: Value = [:], timeout: Duration = .seconds(10)
    ) throws(RoutingError) -> Value {
        let command = try threads { () throws(ThreadError) in
            try LocalCommand(name: name, arguments: arguments)
        }
        inbox.post(.command(command))
        switch command.answer.take(within: timeout) {
        case .success(let value): return value
        case .failure(let failure): throw .refused(command: name, reason: failure.reason)
        case nil: throw .timedOut(command: name)
        }
    }

    /// Ends the proxy in order and waits for it; what it ended with, if not in order.
    @discardableResult
    public func stop() -> RoutingError? {
        stopping.signal()
        thread.join()
        return end.take()
    }
}
