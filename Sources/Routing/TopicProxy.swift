internal import Control
internal import DequeModule
internal import JSON
internal import Recording
internal import Threads
internal import Wire
internal import ZeroMQ

/// The proxy of some topics: an XSUB that takes everything from publishers, an XPUB that gives each
/// subscriber what it wants, bridged to NATS for the topics under its prefixes.
///
/// It loses nothing while every subscriber reads: where one has no room, the publishers wait. After
/// the stall timeout that subscriber is cut off and loses alone, until it reads again.
///
/// Like `BranchProxy` it is run by one thread, and what came from NATS never goes back there.
public final class TopicProxy: Node {
    /// What it is to the orchestrator.
    public static let role = "topics"
    /// Where publishers (`publish`) and subscribers (`subscribe`) connect, with the ports that the
    /// system chose for `*`; nothing beside a proxy of the user's own, where they connect to that.
    public let endpoints: [String: String]

    let configuration: TopicConfiguration
    let clock: RunClock
    let log: @Sendable (String) -> Void
    let inbox: Inbox
    let bridge: NATSBridge?
    let history: HistoryKeeper
    let incarnation: UInt32

    /// The XSUB, the XPUB, and what the short way through needs.
    var passage: TopicPassage
    var deadLetters: DeadLetters
    var pending = PendingTable()
    var commands: CommandSource
    var isStopped = false
    var backlog: Deque<[[UInt8]]> = []
    var stall = StallPolicy()
    var pressure = NATSPressure()
    /// Copies of what a moving agent subscribes to, by agent.
    var holds: [String: TopicHold] = [:]
    /// Messages that went past somebody who had been cut off, or had no room.
    var stalled = 0
    /// Tells of subscribers that come and go.
    var monitor: Monitor
    var connections = SubscriberConnections()
    var absent = AbsentSubscribers()
    var silences = SubscriberSilences()
    /// Connections that were ended from here.
    var cuts = 0
    /// What NATS had without identity and a proxy of the user's own will give back.
    var returning = ReturningMessages()

    /// What may be kept for one agent that moves.
    static let limits = QueueLimits(messages: 100_000, bytes: 268_435_456)
    static let batchMax = 512
    private static let connectTimeout = Duration.seconds(5)
    static let natsTag = "topics"

    /// Binds, and connects to NATS where there is one, which may take a while.
    ///
    /// - Parameters:
    ///   - configuration: The proxy.
    ///   - surroundings: What it finds where it is started.
    /// - Throws: `RoutingError` when an endpoint cannot be bound.
    public init(
        _ configuration: TopicConfiguration, in surroundings: consuming Surroundings
    ) throws(RoutingError) {
        let (context, inbox) = (surroundings.context, surroundings.inbox)
        let (clock, log) = (surroundings.clock, surroundings.log)
        self.configuration = configuration
        self.clock = clock
        self.log = log
        self.inbox = inbox
        incarnation = surroundings.incarnation
        history = HistoryKeeper(surroundings.history, log: log)
        commands = surroundings.commands
        deadLetters = DeadLetters(name: configuration.name, clock: clock, log: log)
        let publishers = try zeroMQ { () throws(ZeroMQError) in
            try Self.inbound(configuration, in: context)
        }
        let subscribers = try zeroMQ { () throws(ZeroMQError) in
            try Self.outbound(configuration, in: context)
        }
        monitor = try zeroMQ { () throws(ZeroMQError) in
            try Monitor(of: subscribers, in: context)
        }
        endpoints =
            configuration.isBeside
            ? [:] : ["publish": publishers.lastEndpoint, "subscribe": subscribers.lastEndpoint]
        passage = TopicPassage(from: publishers, to: subscribers)
        let isChunking = configuration.isChunking
        let limits = QueueLimits(
            messages: configuration.queueMessages, bytes: configuration.queueBytes)
        bridge = try configuration.nats.map { url throws(RoutingError) in
            try NATSBridge(
                .init(
                    url: url, name: "topics \(configuration.name)", limits: limits,
                    isChunking: isChunking), inbox: inbox)
        }
        if configuration.isBeside { try proveWay() }
        try startBridge()
    }

    private static func outbound(
        _ configuration: TopicConfiguration, in context: Context
    ) throws(ZeroMQError) -> Socket {
        // What waits for a subscriber that is gone, or was cut off, is of use to nobody; at the end
        // of the proxy it is given time.
        var options = SocketOptions(linger: .zero, xpubNoDrop: true)
        options.xpubVerboser = true
        var subscribers = try Socket(.xpub, in: context, options: options)
        if configuration.isBeside {
            try subscribers.connect(to: configuration.publishEndpoint)
        } else {
            try subscribers.bind(to: configuration.subscribeEndpoint)
        }
        return subscribers
    }

    private static func inbound(
        _ configuration: TopicConfiguration, in context: Context
    ) throws(ZeroMQError) -> Socket {
        guard !configuration.isBeside else { return try listener(configuration, in: context) }
        var publishers = try Socket(.xsub, in: context)
        try publishers.bind(to: configuration.publishEndpoint)
        // Everything, from every publisher that ever connects; the XPUB below matches.
        _ = try publishers.send([[1]])
        return publishers
    }

    private func startBridge() throws(RoutingError) {
        guard let bridge else { return }
        let isThere = try bridge.start(waiting: Self.connectTimeout, log: log)
        guard !configuration.prefixes.isEmpty else { return }
        var isWaiting = true
        bridge.subscribe(
            tag: Self.natsTag, to: configuration.prefixes.flatMap { Subject.subscriptions(to: $0) },
            token: pending.add { _ in isWaiting = false })
        while isThere, isWaiting {
            bridge.pause()
            handleInbox()
            expirePending()
        }
    }

    /// Serves until `stop` is readable or the command `stop` came, then ends in order.
    ///
    /// - Parameter stop: A descriptor that becomes readable when the proxy is to end.
    /// - Throws: `RoutingError` when a socket fails in a way that no peer can cause.
    public func run(stop: Int32? = nil) throws(RoutingError) {
        while !isStopped {
            tendNATS()
            // While something waits for room, the publishers wait too.
            let mayTake = mayTake
            var items = [passage.subscribers.pollItem(), .fileDescriptor(inbox.wakeUp.descriptor)]
            if let item = commands.pollItem { items.append(item) }
            if let stop { items.append(.fileDescriptor(stop)) }
            let stopIndex = items.count - 1
            if mayTake { items.append(passage.publishers.pollItem()) }
            let wait: Duration =
                mayTake ? .milliseconds(pending.isEmpty ? 200 : 50) : .milliseconds(1)
            _ = try zeroMQ { () throws(ZeroMQError) in try poll(&items, timeout: wait) }
            if stop != nil, items[stopIndex].isReadable { break }
            try noteConnections()
            connections.look(now: .now)
            try takeSubscriptions()
            watchSubscribers()
            try handleControl()
            try flushBacklog()
            handleInbox(arrivals: backlog.isEmpty)
            if mayTake { _ = try takeBatch() }
            expirePending()
            nameLost()
            deadLetters.writeWaiting()
        }
        try shutDown()
    }

    /// Whether there is room for what publishers send.
    var mayTake: Bool { backlog.isEmpty && !pressure.isHolding }

    private func handleControl() throws(RoutingError) {
        while true {
            let command = try controlPlane { () throws(ControlError) in try commands.next() }
            guard let command else { return }
            perform(command.name, command.arguments, for: .control(command.id))
        }
    }

    func handleInbox(arrivals: Bool = true) {
        for event in inbox.takeAll(arrivals: arrivals) {
            do throws(RoutingError) {
                try handle(event)
            } catch {
                log("ROUTING: \(error)")
            }
        }
    }
}
