internal import JSON
internal import Wire
internal import ZeroMQ

/// An agent's ways to and from the topic proxies of its mesh, ours or the user's own.
///
/// A subscription that only asks (`_confirm.…`) is answered, so that its subscriber knows that
/// those before it hold: by a proxy of ours itself, for one of the user's by our node beside it,
/// through the proxy.
final class TopicLane {
    let agent: String
    let incarnation: UInt32
    let proxies: [TopicProxyEndpoints]
    private let keepFrom: Int
    let clock: RunClock
    private let connections: Connections
    private(set) var publishers: [String: Leased<TopicPublisher>] = [:]

    private(set) var subscribers: [(proxy: String, socket: TopicSubscriber)] = []
    /// By which it is noticed that one of the proxies is frozen.
    private var beats: [Beat] = []
    private var tickets: UInt64 = 0
    /// What is received, in libzmq's own buffers.
    private var incoming = MultipartMessage()
    /// Which proxies have not confirmed a ticket yet.
    private var unconfirmed: [UInt64: Set<String>] = [:]
    /// Topics that were unsubscribed from, by the tickets that end them: until the proxy answers,
    /// what it had sent before is still on its way.
    private var leaving: [UInt64: String] = [:]
    /// The latest move of which a proxy has said that nothing of the old way follows, by proxy.
    var ended: [String: UInt64] = [:]

    init(
        agent: String, incarnation: UInt32, proxies: [TopicProxyEndpoints], keepFrom: Int,
        clock: RunClock, over connections: Connections
    ) {
        self.agent = agent
        self.incarnation = incarnation
        self.proxies = proxies
        self.keepFrom = keepFrom
        self.clock = clock
        self.connections = connections
    }

    /// How many proxies are heard.
    var count: Int { subscribers.count }

    /// Only where no topic proxy serves the topic: ZeroMQ carries any size.
    func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        guard case .topic(let topic) = envelope.destination, proxy(serving: topic) == nil else {
            return nil
        }
        return .noTopicProxy
    }

    private func proxy(serving topic: String) -> TopicProxyEndpoints? {
        var best: (length: Int, proxy: TopicProxyEndpoints)?
        for proxy in proxies {
            guard let length = proxy.prefixLength(serving: topic) else { continue }
            if length > best?.length ?? -1 { best = (length, proxy) }
        }
        return best?.proxy
    }

    /// To the topic's proxy; false where it has no room or is away.
    func send(_ envelope: Envelope, on topic: String) throws(MessagingError) -> Bool {
        let attempt = MessagingError.Attempt.send(envelope.destination, type: envelope.type)
        guard let proxy = proxy(serving: topic) else {
            throw MessagingError(attempt, .noTopicProxy)
        }
        let publisher = try publisher(of: proxy, attempt)
        return try zeroMQ(attempt) { () throws(ZeroMQError) in
            try publisher.send(envelope, on: topic, keepingFrom: keepFrom)
        }
    }

    func publisher(
        of proxy: TopicProxyEndpoints, _ attempt: MessagingError.Attempt
    ) throws(MessagingError) -> TopicPublisher {
        if let known = publishers[proxy.name] { return known.connection }
        let lease = Leased(
            try connections.lease(.publisher(proxy.publish), attempt) {
                context throws(ZeroMQError) in
                try TopicPublisher(endpoint: proxy.publish, in: context)
            })
        publishers[proxy.name] = lease
        return lease.connection
    }

    /// Gives the ways to the proxies back until the next envelope.
    func rest() { publishers.removeAll() }

    /// Receives the next message of one of the proxies, for `decode`; false where there is none.
    func receive(from index: Int) throws(MessagingError) -> Bool {
        try zeroMQ(.receive) { () throws(ZeroMQError) in
            try subscribers[index].socket.receive(into: &incoming)
        }
    }

    /// What a topic proxy said in the message received last; nil where it is for the lane alone.
    func decode(from index: Int) throws(MessagingError) -> Inbound? {
        let (proxy, socket) = subscribers[index]
        guard incoming.frameCount == 3 else {
            return .malformed("a topic proxy sent \(incoming.frameCount) frames")
        }
        let topic = incoming.withFrame(0) { String(decoding: $0, as: UTF8.self) }
        if let epoch = epoch(ofLast: topic) {
            try noteLast(epoch, of: proxy, socket)
            return nil
        }
        if let ticket = ticket(ofConfirmation: topic) {
            // A second answer to the same question finds it answered.
            guard unconfirmed[ticket]?.remove(proxy) != nil else { return nil }
            try zeroMQ(.subscribe(topic)) { () throws(ZeroMQError) in
                try socket.unsubscribe(from: topic)
            }
            if let topic = leaving[ticket] {
                try zeroMQ(.unsubscribe(topic)) { () throws(ZeroMQError) in
                    try socket.unsubscribe(from: topic)
                }
            }
            guard unconfirmed[ticket]?.isEmpty == true else { return nil }
            unconfirmed[ticket] = nil
            guard leaving.removeValue(forKey: ticket) == nil else { return nil }
            return .confirmed(ticket: ticket)
        }
        let envelope: Envelope
        do throws(WireError) {
            envelope = try incoming.takeEnvelope(at: 1, keepingFrom: keepFrom)
        } catch {
            return .malformed("from topic proxy '\(proxy)': \(error)")
        }
        switch envelope.kind {
        case .content: return .arrival(Arrival(envelope, transport: "zmq"))
        case .batch:
            return .batch(envelope, from: "from topic proxy '\(proxy)'", transport: "zmq")
        case .gap: return GapNotice.inbound(envelope)
        case .marker:
            socket.marked = LastMarker(envelope, at: clock.now)
            return nil
        default: return .malformed("topic proxy '\(proxy)' sent \(envelope.kind)")
        }
    }

    /// What tells that there is something to receive.
    var pollItems: [PollItem] {
        subscribers.map { $0.socket.pollItem } + beats.map(\.pollItem)
    }

    /// What there is to say of the proxies themselves.
    func remark() throws(MessagingError) -> String? {
        for beat in beats {
            let remark = try zeroMQ(.receive) { () throws(ZeroMQError) in try beat.look() }
            if let remark { return remark }
        }
        return nil
    }

    /// Subscribes at every proxy that may carry something under the topic.
    func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        let proxies = proxies.filter { $0.mayCarry(topic) }
        guard !proxies.isEmpty else { throw MessagingError(.subscribe(topic), .noTopicProxy) }
        tickets += 1
        let ticket = tickets
        unconfirmed[ticket] = Set(proxies.map(\.name))
        for proxy in proxies {
            try zeroMQ(.subscribe(topic)) { () throws(ZeroMQError) in
                let socket = try subscriber(of: proxy)
                try socket.subscribe(to: topic)
                socket.topics.insert(topic)
                // This one is answered. Being behind the others on the same connection, its
                // answer says that they hold.
                try socket.subscribe(to: confirmation(ofTicket: ticket))
            }
        }
        return ticket
    }

    private func subscriber(of proxy: TopicProxyEndpoints) throws(ZeroMQError) -> TopicSubscriber {
        if let known = subscribers.first(where: { $0.proxy == proxy.name }) {
            return known.socket
        }
        let socket = try TopicSubscriber(
            endpoint: proxy.subscribe, agent: agent, in: connections.context)
        subscribers.append((proxy.name, socket))
        if proxy.peerTimeout > .zero {
            beats.append(
                try Beat.toTopics(proxy, of: agent, clock: clock, in: connections.context))
        }
        return socket
    }

    private var confirmationPrefix: String {
        // Unique among incarnations: the proxy hears of the first of equal subscriptions only.
        "_confirm.\(agent).\(incarnation)-"
    }

    private func confirmation(ofTicket ticket: UInt64) -> String {
        confirmationPrefix + String(ticket)
    }

    private func ticket(ofConfirmation topic: String) -> UInt64? {
        guard topic.hasPrefix(confirmationPrefix) else { return nil }
        return UInt64(topic.dropFirst(confirmationPrefix.count))
    }

    /// Ends the subscription at every proxy, once what it had sent until now has come: libzmq drops
    /// what waits for a subscription that has ended.
    func unsubscribe(from topic: String) throws(MessagingError) {
        let proxies = proxies.filter { $0.mayCarry(topic) }
        guard !proxies.isEmpty else { return }
        tickets += 1
        let ticket = tickets
        leaving[ticket] = topic
        unconfirmed[ticket] = Set(proxies.map(\.name))
        for proxy in proxies {
            try zeroMQ(.unsubscribe(topic)) { () throws(ZeroMQError) in
                let socket = try subscriber(of: proxy)
                socket.topics.remove(topic)
                try socket.subscribe(to: confirmation(ofTicket: ticket))
            }
        }
    }

    /// Whether the last marker of every proxy came that something is subscribed to at.
    ///
    /// - Parameter hold: The number of the hold; nil where nobody numbers them.
    /// - Returns: Whether it is that of the present hold.
    func isDrained(of hold: UInt64?) -> Bool {
        subscribers.allSatisfy { _, socket in
            socket.topics.isEmpty || socket.marked?.ends(hold, at: clock.now) ?? false
        }
    }

    /// Ends all ways.
    func close() {
        beats.removeAll()
        subscribers.removeAll()
        publishers.removeAll()
    }
}
