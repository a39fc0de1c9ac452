public import JSON
internal import Moves
internal import Wire
internal import ZeroMQ

/// Where a topic proxy is, and which topics are its own.
public struct TopicProxyEndpoints: Hashable, Sendable {
    /// The proxy's name.
    public var name: String
    /// Where publishers connect.
    public var publish: String
    /// Where subscribers connect.
    public var subscribe: String
    /// It serves these topics and all below them; an empty one is all topics.
    public var prefixes: [String]
    /// After how long it is said to be silent, where it does not answer; zero is never.
    public var peerTimeout = Duration.zero

    /// Names a proxy.
    public init(name: String, publish: String, subscribe: String, prefixes: [String]) {
        self.name = name
        self.publish = publish
        self.subscribe = subscribe
        self.prefixes = prefixes
    }

    /// Reads `{"name", "publish", "subscribe", "prefixes": [..]}` and, where it is there,
    /// `peer_timeout_ms`; nil where another is missing.
    public init?(_ value: Value) {
        guard let name = value["name"]?.string, let publish = value["publish"]?.string,
            let subscribe = value["subscribe"]?.string,
            let prefixes = value["prefixes"]?.array?.compactMap(\.string)
        else { return nil }
        self.init(name: name, publish: publish, subscribe: subscribe, prefixes: prefixes)
        peerTimeout = .milliseconds(max(0, value["peer_timeout_ms"]?.integer ?? 0))
    }
}

extension TopicProxyEndpoints {
    /// How long the prefix is by which the proxy serves what is published to `topic`.
    func prefixLength(serving topic: String) -> Int? {
        prefixes.filter { $0.isEmpty || Names.topic(topic, isUnder: $0) }.map(\.utf8.count).max()
    }

    /// Whether anything that the proxy serves can be under `topic`.
    func mayCarry(_ topic: String) -> Bool {
        prefixes.contains {
            $0.isEmpty || Names.topic(topic, isUnder: $0) || Names.topic($0, isUnder: topic)
        }
    }
}

/// The way to one topic proxy's XSUB.
///
/// An XPUB, not a PUB: it hears the proxy's subscriptions, so that nothing is published before the
/// proxy can get it, and it says when there is no room instead of dropping.
final class TopicPublisher {
    private var socket: Socket
    /// What the proxy wants: everything (the empty one) from a proxy of ours, what its subscribers
    /// asked for from one of the user's.
    private var wanted: Set<[UInt8]> = []
    /// What the proxy has said that all of has gone on before, by the question.
    private var settled: Set<[UInt8]> = []
    /// Questions that wait for that; the proxy answers others on all connections as well.
    private var asked: Set<[UInt8]> = []

    init(endpoint: String, in context: Context) throws(ZeroMQError) {
        var options = SocketOptions(
            linger: .seconds(1), sendHighWaterMark: 10_000, xpubNoDrop: true)
        options.xpubVerbose = true
        socket = try Socket(.xpub, in: context, options: options)
        try socket.connect(to: endpoint)
    }

    private func hear() throws(ZeroMQError) {
        while let frames = try socket.receive() {
            guard let frame = frames.first, let action = frame.first else { continue }
            let topic = Array(frame.dropFirst())
            if topic.starts(with: MoveWord.settleTopic.utf8) {
                if action == 1, asked.contains(topic) { settled.insert(topic) }
                continue
            }
            if action == 1 { wanted.insert(topic) } else { wanted.remove(topic) }
        }
    }

    /// False where there is no room, no proxy, or nobody behind it who wants the topic.
    func send(
        _ envelope: Envelope, on topic: String, keepingFrom keepFrom: Int
    ) throws(ZeroMQError) -> Bool {
        try hear()
        guard wanted.contains(where: { topic.utf8.starts(with: $0) }) else { return false }
        return try socket.send([Array(topic.utf8)], envelope, keepingFrom: keepFrom)
    }

    /// Asks to be told when everything that was sent before has gone on; asking again is harmless.
    func askToSettle(_ question: [UInt8], _ envelope: Envelope) throws(ZeroMQError) {
        try hear()
        guard !settled.contains(question), !wanted.isEmpty else { return }
        asked.insert(question)
        // Without room it is asked again.
        _ = try socket.send([question], envelope, keepingFrom: .max)
    }

    /// Whether there is a proxy that takes something.
    var isConnected: Bool {
        get throws(ZeroMQError) {
            try hear()
            return !wanted.isEmpty
        }
    }

    /// Whether that was told.
    func isSettled(_ question: [UInt8]) throws(ZeroMQError) -> Bool {
        try hear()
        return settled.contains(question)
    }

    /// Nobody asks for it any more.
    func forget(_ question: [UInt8]) {
        settled.remove(question)
        asked.remove(question)
    }

    var pollItem: PollItem { socket.pollItem() }
}

/// A proxy's word that nothing which is not kept follows.
struct LastMarker {
    /// When it came.
    let at: UInt64
    /// Of which hold it is, where the proxy says so.
    let hold: UInt64?

    /// Much longer than a move may take, in nanoseconds.
    private static let lifetime: UInt64 = 30_000_000_000

    init(_ envelope: Envelope, at now: UInt64) {
        at = now
        hold = UInt64(String(decoding: envelope.content, as: UTF8.self))
    }

    /// Whether it is of this hold; where nobody numbers them, whether it is young enough.
    ///
    /// An old marker is one of a move that was given up: what it stood before is long past.
    func ends(_ awaited: UInt64?, at now: UInt64) -> Bool {
        awaited.map { hold == $0 } ?? (at + Self.lifetime > now)
    }
}

/// The way from one topic proxy's XPUB.
final class TopicSubscriber {
    private var socket: Socket
    /// The proxy's word that it keeps copies from now on; what still comes is one of them.
    var marked: LastMarker?
    /// What is subscribed to here.
    var topics: Set<String> = []

    init(endpoint: String, agent: String, in context: Context) throws(ZeroMQError) {
        socket = try Socket(
            .subscribe, in: context, options: SocketOptions(receiveHighWaterMark: 10_000))
        try socket.connect(to: endpoint)
        try socket.subscribe(to: Array("_marker.\(agent)".utf8))
    }

    func subscribe(to topic: String) throws(ZeroMQError) {
        try socket.subscribe(to: Array(topic.utf8))
    }

    func unsubscribe(from topic: String) throws(ZeroMQError) {
        try socket.unsubscribe(from: Array(topic.utf8))
    }

    func receive(into message: inout MultipartMessage) throws(ZeroMQError) -> Bool {
        try socket.receive(into: &message)
    }

    var pollItem: PollItem { socket.pollItem() }
}
