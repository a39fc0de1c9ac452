internal import DequeModule
internal import JSON
public import Wire
public import ZeroMQ

/// An agent's way into a branch whose ROUTER is one of the user's own: the seed's wire, one JSON
/// frame a message, with the identity in a member that the ROUTER passes on.
///
/// Such a proxy says no hello, gives no credit and answers no marker. So the agent asks for what it
/// must know by messages to itself *through* it: that one comes back says that the routing id is
/// the agent's own now; that a marker comes back says that everything the agent sent before it has
/// been handled, and that everything that stood before it on the way in has come.
public final class SeedTransport: AgentTransport {
    /// What the agent needs to know of the mesh.
    public struct Configuration: Hashable, Sendable {
        /// The agent's name, which is its routing id.
        public var agent: String
        /// The agent's incarnation.
        public var incarnation: UInt32
        /// The ROUTER of its branch.
        public var branch: String
        /// The topic proxies of the mesh.
        public var topicProxies: [TopicProxyEndpoints]
        /// The longest that it may take until the routing id is the agent's.
        public var attachTimeout: Duration = .seconds(8)

        /// Names the agent and its mesh.
        public init(
            agent: String, incarnation: UInt32, branch: String,
            topicProxies: [TopicProxyEndpoints] = []
        ) {
            self.agent = agent
            self.incarnation = incarnation
            self.branch = branch
            self.topicProxies = topicProxies
        }
    }

    /// `zmq`.
    public let name = "zmq"
    private let configuration: Configuration
    private let clock: RunClock
    private let topics: TopicLane
    private var dealer: Socket
    /// What came while the attachment was waited for.
    private var early: Deque<[[UInt8]]> = []
    /// Where the next look begins, so that no way in starves the others.
    private var turn = 0
    /// The last marker that was sent, and the last that came back.
    private var (sentMarker, seenMarker): (UInt64, UInt64) = (0, 0)
    /// When the marker that is waited for is sent again: a proxy may lose it like any message.
    private var sendAgain: UInt64 = 0
    /// Of which hold the topic proxies' last markers must be.
    private var awaitedHold: UInt64?
    private var (inboundMarker, outboundMarker): (UInt64?, UInt64?) = (nil, nil)

    /// Time between two attempts to get a marker through.
    private static let again: UInt64 = 250_000_000
    /// Messages that wait here rather than in the proxy, which may drop what its peers do not take.
    private static let receiveHighWaterMark = 100_000

    /// Connects to the branch, until a message to oneself comes back through it.
    ///
    /// - Parameters:
    ///   - configuration: The agent and its mesh.
    ///   - clock: The run's clock.
    ///   - context: Owns the sockets' I/O threads; what is unsent when the transport ends is still
    ///     sent while the context lives, or for up to a second when it ends.
    /// - Throws: `MessagingError` with reason `.timeout` where nothing comes back in time.
    public init(
        _ configuration: Configuration, clock: RunClock, in context: Context
    ) throws(MessagingError) {
        self.configuration = configuration
        self.clock = clock
        topics = TopicLane(
            agent: configuration.agent, incarnation: configuration.incarnation,
            proxies: configuration.topicProxies, keepFrom: InPlace.threshold, clock: clock,
            over: Connections(in: context))
        var early: Deque<[[UInt8]]> = []
        dealer = try Self.seat(configuration, clock, context, &early)
        self.early = early
    }

    /// A DEALER that has the agent's routing id at the proxy.
    ///
    /// A ROUTER without ROUTER_HANDOVER ignores a second peer of the same name for ever, without a
    /// word and even once the first is gone: so each attempt is a connection of its own.
    private static func seat(
        _ configuration: Configuration, _ clock: RunClock, _ context: Context,
        _ early: inout Deque<[[UInt8]]>
    ) throws(MessagingError) -> Socket {
        let attempt = MessagingError.Attempt.attach(configuration.branch)
        let end = clock.now + configuration.attachTimeout.nanoseconds
        var patience: UInt64 = 100_000_000
        // Without linger: an attempt that is given up must not come after the next one.
        var options = SocketOptions(
            routingID: configuration.agent, receiveHighWaterMark: receiveHighWaterMark)
        options.sendTimeout = .seconds(2)
        while clock.now < end {
            do throws(ZeroMQError) {
                var dealer = try Socket(.dealer, in: context, options: options)
                try dealer.connect(to: configuration.branch)
                _ = try dealer.send([
                    SeedFrame.note(
                        .hello, toOneself: configuration.agent, configuration.incarnation,
                        number: 0, at: clock.now)
                ])
                let until = min(end, clock.now + patience)
                while clock.now < until {
                    var items = [dealer.pollItem()]
                    _ = try poll(
                        &items, timeout: .nanoseconds(Int64(until - min(clock.now, until))))
                    while let frames = try dealer.receive() {
                        if isHello(frames, configuration) {
                            try dealer.setLinger(.seconds(1))
                            return dealer
                        }
                        early.append(frames)
                    }
                }
            } catch {
                throw MessagingError(attempt, .zeroMQ(error))
            }
            patience = min(patience * 2, 1_600_000_000)
        }
        throw MessagingError(attempt, .timeout(configuration.attachTimeout))
    }

    private static func isHello(_ frames: [[UInt8]], _ configuration: Configuration) -> Bool {
        guard let frame = frames.last,
            case .envelope(let envelope)? = try? SeedFrame(parsing: frame)
        else { return false }
        return envelope.kind == .hello && envelope.source == configuration.agent
            && envelope.incarnation == configuration.incarnation
    }

    /// Only where no topic proxy serves the topic: ZeroMQ carries any size.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        topics.refusal(of: envelope)
    }

    /// To the branch, or to the topic's proxy; false where it has no room or is away.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool {
        switch envelope.destination {
        case .agent:
            let attempt = MessagingError.Attempt.send(envelope.destination, type: envelope.type)
            return try zeroMQ(attempt) { () throws(ZeroMQError) in
                try dealer.send([SeedFrame.bytes(of: envelope)]) == .sent
            }
        case .topic(let topic): return try topics.send(envelope, on: topic)
        }
    }

    /// The next thing from the branch or a topic proxy, in turns.
    public func receive() throws(MessagingError) -> Inbound? {
        let sources = topics.count + 1
        for _ in 0..<sources {
            let source = turn % sources
            turn = source + 1
            if source == 0 {
                while let frames = try dealerFrames() {
                    if let inbound = decode(frames) { return inbound }
                }
            } else {
                while try topics.receive(from: source - 1) {
                    if let inbound = try topics.decode(from: source - 1) { return inbound }
                }
            }
        }
        if seenMarker < sentMarker, clock.now >= sendAgain { try sendMarker() }
        return nil
    }

    private func dealerFrames() throws(MessagingError) -> [[UInt8]]? {
        if let frames = early.popFirst() { return frames }
        return try zeroMQ(.receive) { () throws(ZeroMQError) in try dealer.receive() }
    }

    /// What the proxy passed on; nil where it is for this transport alone.
    private func decode(_ frames: [[UInt8]]) -> Inbound? {
        // Some proxies put the sender or an empty frame before the message.
        guard let frame = frames.last else { return nil }
        let envelope: Envelope
        do throws(WireError) {
            switch try SeedFrame(parsing: frame) {
            case .message(let message): return .unidentified(message, transport: name)
            case .envelope(let parsed): envelope = parsed
            }
        } catch {
            return .malformed("from the branch: \(error)")
        }
        switch envelope.kind {
        case .content: return .arrival(Arrival(envelope, transport: name))
        case .gap: return GapNotice.inbound(envelope)
        case .hello, .marker:
            // Those of a former incarnation, or of whoever held the name before, say nothing.
            guard envelope.kind == .marker, envelope.source == configuration.agent,
                envelope.incarnation == configuration.incarnation,
                let number = (try? Value(parsing: envelope.content))?.integer
            else { return nil }
            seenMarker = max(seenMarker, UInt64(clamping: number))
            return nil
        case .acknowledgement, .credit, .batch: return .malformed("unexpected \(envelope.kind)")
        }
    }

    /// The branch's and the topic proxies' sockets.
    public func inboundItems() -> [PollItem] { [dealer.pollItem()] + topics.pollItems }

    /// The branch's socket; for topics libzmq does not tell.
    public func outboundItems(to destination: Address) -> [PollItem] {
        guard case .agent = destination else { return [] }
        return [dealer.pollItem(.writable)]
    }

    /// Subscribes at every proxy that may carry something under the topic.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        try topics.subscribe(to: topic)
    }

    /// Ends the subscription at every proxy.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        try topics.unsubscribe(from: topic)
    }

    /// Nothing is counted here: the proxy gives and takes no credit.
    public func consumed(_ count: Int) {}

    /// Sends a marker to oneself; whoever moves the agent has paused those who send to it, so that
    /// nothing comes behind it.
    public func beginInboundDrain(of hold: UInt64?) throws(MessagingError) {
        awaitedHold = hold
        inboundMarker = try beginMarker()
    }

    /// Whether that marker came back, and every topic proxy's last marker came.
    public var isInboundDrained: Bool {
        guard let inboundMarker, seenMarker >= inboundMarker else { return false }
        return early.isEmpty && topics.isDrained(of: awaitedHold)
    }

    /// Sends a marker to oneself behind everything.
    public func beginOutboundDrain() throws(MessagingError) { outboundMarker = try beginMarker() }

    /// Whether that marker came back.
    public var isOutboundDrained: Bool { outboundMarker.map { seenMarker >= $0 } ?? false }

    private func beginMarker() throws(MessagingError) -> UInt64 {
        sentMarker += 1
        try sendMarker()
        return sentMarker
    }

    private func sendMarker() throws(MessagingError) {
        sendAgain = clock.now + Self.again
        _ = try zeroMQ(.drain) { () throws(ZeroMQError) in
            try dealer.send([
                SeedFrame.note(
                    .marker, toOneself: configuration.agent, configuration.incarnation,
                    number: sentMarker, at: clock.now)
            ])
        }
    }

    /// Ends the subscriptions and the ways to the topic proxies; the way to the branch ends with
    /// the transport.
    public func close() { topics.close() }
}
