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
                while try subscribers.receive() != nil {}
                _ = try subscribers.send([topic, proof.header, []])
                var items = [publishers.pollItem(), subscribers.pollItem()]
                _ = try poll(&items, timeout: Self.proofInterval)
                while let frames = try publishers.receive() {
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

    /// One message that the proxy gave its subscribers.
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
        if view.kind == .content {
            tally(frames[2])
            record(parcel, view)
        }
        keep(parcel, topic)
        publish(parcel, on: topic)
    }
}

/// Messages without identity that were sent through a proxy and will come back from it, by digest.
struct ReturningMessages {
    private var counts: [Int: Int] = [:]
    private var total = 0
    /// More than may be on their way at once; beyond, the oldest accounts are closed.
    private static let countMax = 100_000

    mutating func insert(_ frames: [[UInt8]]) {
        if total >= Self.countMax {
            counts.removeAll()
            total = 0
        }
        counts[frames.hashValue, default: 0] += 1
        total += 1
    }

    /// Whether it was expected.
    mutating func remove(_ frames: [[UInt8]]) -> Bool {
        guard let count = counts[frames.hashValue] else { return false }
        counts[frames.hashValue] = count > 1 ? count - 1 : nil
        total -= 1
        return true
    }
}
