public import Control
public import JSON
public import Recording
internal import Threads
public import Wire
public import ZeroMQ

/// What one thread runs, in a process of its own or on a `ProxyThread`: a proxy, or a bridge.
public protocol Node: AnyObject, SendableMetatype {
    /// What it is told before it starts.
    associatedtype Configuration: NodeConfiguration

    /// What it is to the orchestrator: `branch` or `topics`.
    static var role: String { get }

    /// Where it is reached, by the sockets' names, with the ports that the system chose for `*`.
    var endpoints: [String: String] { get }

    /// Binds, and connects to NATS where there is one, which may take a while.
    ///
    /// - Parameters:
    ///   - configuration: What it is to be.
    ///   - surroundings: What it finds where it is started.
    /// - Throws: `RoutingError` when an endpoint cannot be used.
    init(
        _ configuration: Configuration, in surroundings: consuming Surroundings
    ) throws(RoutingError)

    /// Says to the orchestrator, where there is one, that it can be used, and where.
    func announce() throws(RoutingError)

    /// Serves until `stop` is readable or the command `stop` came, then ends in order.
    ///
    /// - Parameter stop: A descriptor that becomes readable when the node is to end.
    /// - Throws: `RoutingError` when a socket fails in a way that no peer can cause, or not all
    ///   that was to be recorded could be.
    func run(stop: Int32?) throws(RoutingError)
}

/// What a node is told before it starts.
public protocol NodeConfiguration: Sendable {
    /// The node's name.
    var name: String { get }

    /// Reads a configuration.
    ///
    /// - Parameter value: The file's content.
    /// - Throws: `RoutingError.configuration` with what is wrong where.
    init(_ value: Value) throws(RoutingError)
}

extension BranchConfiguration: NodeConfiguration {}
extension TopicConfiguration: NodeConfiguration {}
extension BridgeConfiguration: NodeConfiguration {}

/// What a node finds where it is started.
public struct Surroundings: ~Copyable {
    let context: Context
    let history: HistoryWriter?
    let clock: RunClock
    let incarnation: UInt32
    let log: @Sendable (String) -> Void
    let inbox: Inbox
    let commands: CommandSource

    /// Describes the surroundings.
    ///
    /// - Parameters:
    ///   - context: Owns the sockets' I/O threads.
    ///   - history: Where all that is dropped, and what agents without a history send and receive,
    ///     is recorded.
    ///   - clock: The run's clock.
    ///   - control: The control plane, where the node is a child of an orchestrator.
    ///   - incarnation: How often the node was started; stands in the identities that it gives.
    ///   - log: Gets each line for the log.
    /// - Throws: `RoutingError` when the system has no descriptors left.
    public init(
        context: Context, history: HistoryWriter? = nil, clock: RunClock = RunClock(offset: 0),
        control: consuming ControlClient? = nil, incarnation: UInt32 = 1,
        log: @escaping @Sendable (String) -> Void
    ) throws(RoutingError) {
        let inbox = try threads { () throws(ThreadError) in try Inbox() }
        self.init(
            context: context, history: history, clock: clock,
            commands: CommandSource(control: control), incarnation: incarnation, inbox: inbox,
            log: log)
    }

    init(
        context: Context, history: HistoryWriter?, clock: RunClock,
        commands: consuming CommandSource, incarnation: UInt32, inbox: Inbox,
        log: @escaping @Sendable (String) -> Void
    ) {
        self.context = context
        self.history = history
        self.clock = clock
        self.incarnation = incarnation
        self.log = log
        self.inbox = inbox
        self.commands = commands
    }
}
