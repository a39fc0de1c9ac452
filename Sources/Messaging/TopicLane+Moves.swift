internal import Moves
internal import Wire
internal import ZeroMQ

/// An agent's topics in its moves.
///
/// No topic proxy decides anything: the agent is subscribed on both ways for a while. Each proxy says, when it
/// is asked, where what it had for its subscribers ends, after NATS has taken all that it had to publish
/// and it has all that NATS had for it. And each says when all that the agent has published there has
/// gone on.
extension TopicLane {
    private var lastPrefix: String {
        // Unique among incarnations: the proxy hears of the first of equal subscriptions only.
        "\(MoveWord.lastTopic)\(agent).\(incarnation)-"
    }

    func epoch(ofLast topic: String) -> UInt64? {
        guard topic.hasPrefix(lastPrefix) else { return nil }
        return UInt64(topic.dropFirst(lastPrefix.count))
    }

    /// Asks each proxy that is heard where what it has for the agent ends, where it has not said so.
    func askForLast(_ epoch: UInt64) throws(MessagingError) {
        let question = lastPrefix + String(epoch)
        for (proxy, socket) in subscribers
        where !socket.topics.isEmpty && ended[proxy, default: 0] < epoch {
            try zeroMQ(.subscribe(question)) { () throws(ZeroMQError) in
                try socket.unsubscribe(from: question)
                try socket.subscribe(to: question)
            }
        }
    }

    func noteLast(
        _ epoch: UInt64, of proxy: String, _ socket: TopicSubscriber
    ) throws(MessagingError) {
        ended[proxy] = max(epoch, ended[proxy, default: 0])
        let question = lastPrefix + String(epoch)
        try zeroMQ(.unsubscribe(question)) { () throws(ZeroMQError) in
            try socket.unsubscribe(from: question)
        }
    }

    /// Whether all of them have.
    func hasLast(_ epoch: UInt64) -> Bool {
        subscribers.allSatisfy { proxy, socket in
            socket.topics.isEmpty || ended[proxy, default: 0] >= epoch
        }
    }

    /// Opens the ways to all proxies.
    func connectPublishers() throws(MessagingError) {
        for proxy in proxies { _ = try publisher(of: proxy, .attach(proxy.publish)) }
    }

    /// Whether all of them take what is published.
    var arePublishersConnected: Bool {
        get throws(MessagingError) {
            for publisher in publishers.values {
                let isConnected = try zeroMQ(.attach("topics")) { () throws(ZeroMQError) in
                    try publisher.connection.isConnected
                }
                guard isConnected else { return false }
            }
            return true
        }
    }

    private func settleQuestion(_ epoch: UInt64) -> String {
        "\(MoveWord.settleTopic)\(agent).\(incarnation)-\(epoch)"
    }

    /// Asks each proxy that the agent publishes through to say when all of it has gone on.
    func askToSettle(_ epoch: UInt64) throws(MessagingError) {
        let question = settleQuestion(epoch)
        let envelope = Envelope(
            identity: Identity(
                flow: Flow(source: agent, destination: .topic(question)), incarnation: incarnation,
                sequence: 0),
            kind: .marker, type: MoveWord.settle, sent: clock.now)
        for publisher in publishers.values {
            try zeroMQ(.drain) { () throws(ZeroMQError) in
                try publisher.connection.askToSettle(Array(question.utf8), envelope)
            }
        }
    }

    /// Whether all of them have; then they are not asked any more.
    func isSettled(_ epoch: UInt64) throws(MessagingError) -> Bool {
        let question = Array(settleQuestion(epoch).utf8)
        for publisher in publishers.values {
            let isSettled = try zeroMQ(.drain) { () throws(ZeroMQError) in
                try publisher.connection.isSettled(question)
            }
            guard isSettled else { return false }
        }
        for publisher in publishers.values { publisher.connection.forget(question) }
        return true
    }

    /// What tells that a proxy has said so.
    var settlingItems: [PollItem] { publishers.values.map { $0.connection.pollItem } }
}
