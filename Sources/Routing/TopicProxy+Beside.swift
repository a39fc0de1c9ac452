internal import DequeModule
internal import Wire
internal import ZeroMQ

/// Beside a topic proxy of the user's own: the same work, with both sockets connected to that proxy.
///
/// It hears, as one more subscriber, everything under the prefixes, which keeps two things true:
/// publishers send all of it, so that the proxy's XPUB alone decides who gets what; and what comes
/// here is in the order in which every other subscriber gets it, so that a marker sent through the
/// proxy divides what came before from what is kept.
extension TopicProxy {
    private static let proofTimeout = Duration.seconds(10)
    private static let proofInterval = Duration.milliseconds(100)
    private static let receiveHighWaterMark = 100_000

    private static func proof(_ name: String) -> [UInt8] { Array("_proof.\(name)".utf8) }

    static func listener(
        _ configuration: TopicConfiguration, in context: Context
    ) throws(ZeroMQError) -> Socket {
        var listener = try Socket(
            .subscribe, in: context,
            options: SocketOptions(receiveHighWaterMark: receiveHighWaterMark))
        try listener.connect(to: configuration.subscribeEndpoint)
        for prefix in configuration.prefixes { try listener.subscribe(to: Array(prefix.utf8)) }
        try listener.subscribe(to: proof(configuration.name))
        return listener
    }

    /// Sends something through the proxy until it comes out: then it passes messages on, and the
    /// subscriptions before that one are in force.
    func proveWay() throws(RoutingError) {
        let topic = Self.proof(configuration.name)
        let end = ContinuousClock.now + Self.proofTimeout
        while ContinuousClock.now < end {
            let proof = ownEnvelope(.hello, type: "proof", about: "")
            let isProven = try zeroMQ { () throws(ZeroMQError) in
                while try passage.subscribers.receive() != nil {}
                _ = try passage.subscribers.send([topic, proof.header, []])
                var items = [passage.publishers.pollItem(), passage.subscribers.pollItem()]
                _ = try poll(&items, timeout: Self.proofInterval)
                while let frames = try passage.publishers.receive() {
                    if frames.first == topic { return true }
                }
                return false
            }
            if isProven { return }
        }
        throw .configuration(
            "nothing that is published at \(configuration.publishEndpoint) comes out at "
                + configuration.subscribeEndpoint)
    }

    /// Puts on record what came from NATS without an identity and went into the proxy for good.
    func nameLost(after patience: Duration = ReturningMessages.patience) {
        guard configuration.isBeside else { return }
        for _ in 0..<returning.takeLost(before: .now - patience) {
            malformed("from NATS, without an identity: the proxy did not give it back")
        }
    }

    /// One message that the proxy gave its passage.subscribers.
    func hear(_ frames: [[UInt8]], of count: Int) throws(RoutingError) {
        if frames[0].first == UInt8(ascii: "_") { return }
        guard count == 2 || count == 3,
            let topic = String(validating: frames[0], as: UTF8.self), Names.isLegalTopic(topic)
        else { return malformed("\(count) frames, or no topic") }
        // Prefixes match bytes at the proxy, and whole tokens here.
        guard isOwn(topic) else { return }
        if frames.count == 2 {
            if returning.remove(frames) { return }
            tally(frames[1])
            return publishPlain(frames[1], on: topic)
        }
        guard let view = HeaderView(frames[1]), view.isTopic, view.kind.isForSubscribers,
            frames[1][view.destination].elementsEqual(frames[0])
        else { return malformed("on '\(topic)': a header that is none") }
        // Only this node sends what has passed a bridge: it came from NATS, and was kept then.
        guard view.hops == 0 else { return }
        let parcel = Parcel(header: frames[1], content: frames[2])
        guard parcel.isWhole else { return malformed("on '\(topic)': a batch that is none") }
        if view.kind.carriesContent {
            tally(frames[2], messages: parcel.messageCount)
            record(parcel, view)
        }
        keep(parcel, topic)
        publish(parcel, on: topic)
    }
}

/// Messages without identity that were sent through a proxy and will come back from it, by digest.
///
/// An equal message of somebody else is not to be told from one that the proxy lost, so each is
/// expected for a while only, and those that did not come are told.
struct ReturningMessages {
    /// By when a message has come back, or never does.
    static let patience = Duration.seconds(5)
    /// More than may be on their way at once; beyond, the oldest count as lost.
    private static let countMax = 1_000_000

    private struct Account {
        var expected = 0
        /// Those that came back and still stand in `order`.
        var returned = 0
    }

    private var accounts: [Int: Account] = [:]
    private var order: Deque<(digest: Int, since: ContinuousClock.Instant)> = []
    private var lost = 0

    mutating func insert(_ frames: [[UInt8]], at now: ContinuousClock.Instant = .now) {
        if order.count >= Self.countMax { closeFirst() }
        let digest = frames.hashValue
        accounts[digest, default: Account()].expected += 1
        order.append((digest, now))
    }

    /// Whether it was expected.
    mutating func remove(_ frames: [[UInt8]], at now: ContinuousClock.Instant = .now) -> Bool {
        close(before: now - Self.patience)
        let digest = frames.hashValue
        guard let account = accounts[digest], account.expected > 0 else { return false }
        accounts[digest]?.expected -= 1
        accounts[digest]?.returned += 1
        while let first = order.first, accounts[first.digest]?.returned ?? 0 > 0 { closeFirst() }
        return true
    }

    /// How many that were sent before `limit` did not come back, each said once.
    mutating func takeLost(before limit: ContinuousClock.Instant) -> Int {
        close(before: limit)
        defer { lost = 0 }
        return lost
    }

    private mutating func close(before limit: ContinuousClock.Instant) {
        while let first = order.first, first.since <= limit { closeFirst() }
    }

    /// Which of equal ones came back does not matter: they count as first come, first served.
    private mutating func closeFirst() {
        guard let digest = order.popFirst()?.digest, var account = accounts[digest] else { return }
        if account.returned > 0 {
            account.returned -= 1
        } else {
            account.expected -= 1
            lost += 1
        }
        accounts[digest] = account.expected + account.returned > 0 ? account : nil
    }
}
