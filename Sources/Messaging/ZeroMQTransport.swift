internal import DequeModule
internal import JSON
public import Wire
public import ZeroMQ

/// An agent's way into the mesh over ZeroMQ: a DEALER to its branch's ROUTER, an XPUB to each topic
/// proxy that it publishes through and a SUB from each that it hears.
public final class ZeroMQTransport: AgentTransport {
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
        /// Envelopes that the branch may send before it hears that some were consumed.
        public var window = 1_000
        /// The longest that the branch may take to answer.
        public var attachTimeout: Duration = .seconds(5)

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
    private let context: Context
    private var dealer: Socket
    private var publishers: [String: TopicPublisher] = [:]
    private var subscribers: [(proxy: String, socket: TopicSubscriber)] = []
    /// What came while the branch's answer was waited for.
    private var early: Deque<Inbound> = []
    /// Where the next look begins, so that no way in starves the others.
    private var turn = 0
    private var tickets: UInt64 = 0
    /// Which proxies have not confirmed a ticket yet.
    private var unconfirmed: [UInt64: Set<String>] = [:]
    private var owedCredit = 0
    private var isAttached = false
    /// The branch answered that it has no such agent.
    private var isUnknown = false
    /// When the branch said that it holds everything from now on.
    private var marked: UInt64?
    /// Whether the branch has passed on everything that was sent before the last outbound marker.
    public private(set) var isOutboundDrained = false

    private static let dealerSource = 0

    /// Connects to the branch and waits for its answer.
    ///
    /// - Parameters:
    ///   - configuration: The agent and its mesh.
    ///   - clock: The run's clock.
    ///   - context: Owns the sockets' I/O threads; what is unsent when the transport ends is still
    ///     sent while the context lives, or for up to a second when it ends.
    /// - Throws: `MessagingError`, with reason `.timeout` where the branch does not answer, or
    ///   `.notRegistered` where it answers that it has no such agent.
    public init(
        _ configuration: Configuration, clock: RunClock, in context: Context
    ) throws(MessagingError) {
        self.configuration = configuration
        self.clock = clock
        self.context = context
        let attempt = MessagingError.Attempt.attach(configuration.branch)
        do throws(ZeroMQError) {
            var options = SocketOptions(routingID: configuration.agent, linger: .seconds(1))
            options.sendTimeout = .seconds(2)
            dealer = try Socket(.dealer, in: context, options: options)
            try dealer.connect(to: configuration.branch)
        } catch {
            throw MessagingError(attempt, .zeroMQ(error))
        }
        try attach(attempt)
    }

    private func attach(_ attempt: MessagingError.Attempt) throws(MessagingError) {
        let hello: Value = [
            "incarnation": .integer(Int64(configuration.incarnation)),
            "window": .integer(Int64(configuration.window)),
        ]
        let end = clock.now + configuration.attachTimeout.nanoseconds
        // Said again in case that the first went into a connection that was being lost.
        var again: UInt64 = 0
        while !isAttached {
            let now = clock.now
            guard now < end else {
                throw MessagingError(attempt, .timeout(configuration.attachTimeout))
            }
            try zeroMQ(attempt) { () throws(ZeroMQError) in
                if now >= again {
                    _ = try sendToProxy(.hello, type: "hello", Array(hello.canonical.utf8))
                    again = now + 1_000_000_000
                }
                var items = [dealer.pollItem()]
                _ = try poll(&items, timeout: .nanoseconds(Int64(min(end, again) - now)))
            }
            while let frames = try dealerFrames() {
                if let inbound = decode(frames) { early.append(inbound) }
            }
        }
        guard !isUnknown else { throw MessagingError(attempt, .notRegistered) }
    }

    private func sendToProxy(
        _ kind: Envelope.Kind, type: String, _ content: [UInt8], wait: Bool = false
    ) throws(ZeroMQError) -> Bool {
        let envelope = Envelope(
            identity: Identity(
                flow: Flow(source: configuration.agent, destination: .agent("")),
                incarnation: configuration.incarnation, sequence: 0),
            kind: kind, type: type, sent: clock.now, contentEncoding: .json, content: content)
        return try dealer.send([[], envelope.header, content], wait: wait) == .sent
    }

    /// Only where no topic proxy serves the topic: ZeroMQ carries any size.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        guard case .topic(let topic) = envelope.destination, proxy(serving: topic) == nil else {
            return nil
        }
        return .noTopicProxy
    }

    private func proxy(serving topic: String) -> TopicProxyEndpoints? {
        var best: (length: Int, proxy: TopicProxyEndpoints)?
        for proxy in configuration.topicProxies {
            guard let length = proxy.prefixLength(serving: topic) else { continue }
            if length > best?.length ?? -1 { best = (length, proxy) }
        }
        return best?.proxy
    }

    /// To the branch, or to the topic's proxy; false where it has no room or is away.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool {
        let attempt = MessagingError.Attempt.send(envelope.destination, type: envelope.type)
        switch envelope.destination {
        case .agent(let name):
            return try zeroMQ(attempt) { () throws(ZeroMQError) in
                try dealer.send([Array(name.utf8), envelope.header, envelope.content]) == .sent
            }
        case .topic(let topic):
            guard let proxy = proxy(serving: topic) else {
                throw MessagingError(attempt, .noTopicProxy)
            }
            return try zeroMQ(attempt) { () throws(ZeroMQError) in
                let publisher: TopicPublisher
                if let known = publishers[proxy.name] {
                    publisher = known
                } else {
                    publisher = try TopicPublisher(endpoint: proxy.publish, in: context)
                    publishers[proxy.name] = publisher
                }
                return try publisher.send(topic, envelope.header, envelope.content)
            }
        }
    }

    /// The next thing from the branch or a topic proxy, in turns.
    public func receive() throws(MessagingError) -> Inbound? {
        if let inbound = early.popFirst() { return inbound }
        let sources = subscribers.count + 1
        for _ in 0..<sources {
            let source = turn % sources
            turn = source + 1
            while let frames = try frames(from: source) {
                let inbound =
                    source == Self.dealerSource
                    ? decode(frames) : try decode(frames, from: source - 1)
                if let inbound { return inbound }
            }
        }
        if owedCredit >= max(1, configuration.window / 2) { grantCredit() }
        return nil
    }

    private func frames(from source: Int) throws(MessagingError) -> [[UInt8]]? {
        guard source != Self.dealerSource else { return try dealerFrames() }
        return try zeroMQ(.receive) { () throws(ZeroMQError) in
            try subscribers[source - 1].socket.receive()
        }
    }

    private func dealerFrames() throws(MessagingError) -> [[UInt8]]? {
        try zeroMQ(.receive) { () throws(ZeroMQError) in try dealer.receive() }
    }

    /// What the branch said; nil where it is for this transport alone.
    private func decode(_ frames: [[UInt8]]) -> Inbound? {
        guard frames.count == 2 else {
            return .malformed("the branch sent \(frames.count) frames")
        }
        let envelope: Envelope
        do throws(WireError) {
            envelope = try Envelope(header: frames[0], content: frames[1])
        } catch {
            return .malformed("from the branch: \(error)")
        }
        switch envelope.kind {
        case .content:
            // Behind a last marker nothing comes, unless its move was given up.
            marked = nil
            return .arrival(Arrival(envelope, transport: name, isCredited: true))
        case .gap: return GapNotice.inbound(envelope)
        case .hello:
            isAttached = true
            isUnknown = (try? Value(parsing: envelope.content))?["registered"] == false
        case .marker:
            if envelope.type == Self.outboundMarker {
                isOutboundDrained = true
            } else {
                marked = clock.now
            }
        case .acknowledgement, .credit: return .malformed("unexpected \(envelope.kind)")
        }
        return nil
    }

    /// What a topic proxy said; nil where it is for this transport alone.
    private func decode(_ frames: [[UInt8]], from index: Int) throws(MessagingError) -> Inbound? {
        guard frames.count == 3 else {
            return .malformed("a topic proxy sent \(frames.count) frames")
        }
        let (proxy, socket) = subscribers[index]
        let topic = String(decoding: frames[0], as: UTF8.self)
        if let ticket = ticket(ofConfirmation: topic) {
            try zeroMQ(.subscribe(topic)) { () throws(ZeroMQError) in
                try socket.unsubscribe(from: topic)
            }
            unconfirmed[ticket]?.remove(proxy)
            guard unconfirmed[ticket]?.isEmpty == true else { return nil }
            unconfirmed[ticket] = nil
            return .confirmed(ticket: ticket)
        }
        let envelope: Envelope
        do throws(WireError) {
            envelope = try Envelope(header: frames[1], content: frames[2])
        } catch {
            return .malformed("from topic proxy '\(proxy)': \(error)")
        }
        switch envelope.kind {
        case .content:
            return .arrival(Arrival(envelope, transport: name))
        case .gap: return GapNotice.inbound(envelope)
        case .marker:
            socket.marked = clock.now
            return nil
        default: return .malformed("topic proxy '\(proxy)' sent \(envelope.kind)")
        }
    }

    /// The branch's and the topic proxies' sockets.
    public func inboundItems() -> [PollItem] {
        [dealer.pollItem()] + subscribers.map { $0.socket.pollItem }
    }

    /// The branch's socket; for topics libzmq does not tell.
    public func outboundItems(to destination: Address) -> [PollItem] {
        guard case .agent = destination else { return [] }
        return [dealer.pollItem(.writable)]
    }

    /// Subscribes at every proxy that may carry something under the topic.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        let proxies = configuration.topicProxies.filter { $0.mayCarry(topic) }
        guard !proxies.isEmpty else { throw MessagingError(.subscribe(topic), .noTopicProxy) }
        tickets += 1
        let ticket = tickets
        unconfirmed[ticket] = Set(proxies.map(\.name))
        for proxy in proxies {
            try zeroMQ(.subscribe(topic)) { () throws(ZeroMQError) in
                let socket = try subscriber(of: proxy)
                try socket.subscribe(to: topic)
                socket.topics.insert(topic)
                // The proxy answers this one. Being behind the others on the same connection, its
                // answer says that they hold.
                try socket.subscribe(to: confirmation(ofTicket: ticket))
            }
        }
        return ticket
    }

    private func subscriber(of proxy: TopicProxyEndpoints) throws(ZeroMQError) -> TopicSubscriber {
        if let known = subscribers.first(where: { $0.proxy == proxy.name }) { return known.socket }
        let socket = try TopicSubscriber(
            endpoint: proxy.subscribe, agent: configuration.agent, in: context)
        subscribers.append((proxy.name, socket))
        return socket
    }

    private var confirmationPrefix: String {
        // Unique among incarnations: the proxy hears of the first of equal subscriptions only.
        "_confirm.\(configuration.agent).\(configuration.incarnation)-"
    }

    private func confirmation(ofTicket ticket: UInt64) -> String {
        confirmationPrefix + String(ticket)
    }

    private func ticket(ofConfirmation topic: String) -> UInt64? {
        guard topic.hasPrefix(confirmationPrefix) else { return nil }
        return UInt64(topic.dropFirst(confirmationPrefix.count))
    }

    /// Ends the subscription at every proxy.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        for proxy in configuration.topicProxies where proxy.mayCarry(topic) {
            try zeroMQ(.unsubscribe(topic)) { () throws(ZeroMQError) in
                let socket = try subscriber(of: proxy)
                try socket.unsubscribe(from: topic)
                socket.topics.remove(topic)
            }
        }
    }

    /// Tells the branch, each time that half of the window was consumed.
    public func consumed(_ count: Int) {
        owedCredit += count
        if owedCredit >= max(1, configuration.window / 2) { grantCredit() }
    }

    private func grantCredit() {
        // Without room now it is tried again with the next that is consumed or received.
        let isSent = try? sendToProxy(.credit, type: "credit", Array(String(owedCredit).utf8))
        if isSent == true { owedCredit = 0 }
    }

    private static let outboundMarker = "outbound"

    /// Nothing to ask for: whoever moves the agent has its proxies send a last marker.
    public func beginInboundDrain() throws(MessagingError) {}

    /// Whether the branch's and every topic proxy's last marker came.
    public var isInboundDrained: Bool {
        early.isEmpty && isValid(marked)
            && subscribers.allSatisfy { $0.socket.topics.isEmpty || isValid($0.socket.marked) }
    }

    /// An old marker is one of a move that was given up: what it stood before is long past.
    private func isValid(_ marker: UInt64?) -> Bool {
        marker.map { $0 + Self.markerLifetime > clock.now } ?? false
    }

    /// Much longer than a move may take, in nanoseconds.
    private static let markerLifetime: UInt64 = 30_000_000_000

    /// Sends a marker behind everything; the branch sends it back.
    public func beginOutboundDrain() throws(MessagingError) {
        isOutboundDrained = false
        let isSent = try zeroMQ(.drain) { () throws(ZeroMQError) in
            try sendToProxy(.marker, type: Self.outboundMarker, Array("1".utf8), wait: true)
        }
        guard isSent else { throw MessagingError(.drain, .noRoom(waited: .seconds(2))) }
    }

    /// Ends the subscriptions and the ways to the topic proxies; the way to the branch ends with
    /// the transport.
    public func close() {
        subscribers.removeAll()
        publishers.removeAll()
    }
}
