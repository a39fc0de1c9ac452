internal import Wire
internal import ZeroMQ

/// The short way through: an envelope that goes to the subscribers and nowhere else.
///
/// Everything that a proxy could have to do beside that (a hold, NATS, no room, a foreign publisher)
/// is left as it is for `forward`; the short way decides nothing differently. As in `BranchPassage`
/// a whole batch is one access.
struct TopicPassage: ~Copyable {
    var publishers: Socket
    var subscribers: Socket
    /// The message that is being looked at.
    var incoming = MultipartMessage()
    /// Topics that were found to be legal.
    private var knownTopics = NameTable<Void>()
    var messages = 0
    var bytes = 0

    /// Topics beyond this many go the long way: a stranger's imagination must not fill memory.
    private static let knownTopicsMax = 10_000

    init(from publishers: consuming Socket, to subscribers: consuming Socket) {
        self.publishers = publishers
        self.subscribers = subscribers
    }

    /// Passes messages on until one must go the long way.
    ///
    /// - Parameters:
    ///   - allowance: How many messages may still be taken, this one's included.
    ///   - isShort: Whether the subscribers are all that a message can be for.
    /// - Returns: Why it ended.
    /// - Throws: `ZeroMQError` that no peer can cause.
    mutating func run(
        _ allowance: inout Int, isShort: Bool
    ) throws(ZeroMQError) -> BranchPassage.Stop {
        while allowance > 0 {
            guard try publishers.receive(into: &incoming) else { return .idle }
            allowance -= 1
            guard isShort, try passOn() else { return .detour }
        }
        return .turn
    }

    /// Whether the message that just came has gone to the subscribers.
    @inline(__always)
    private mutating func passOn() throws(ZeroMQError) -> Bool {
        guard incoming.frameCount == 3, isLegal(),
            let view = incoming.withFrame(1, { HeaderView($0) }),
            view.kind.carriesContent, view.isTopic, view.hops <= Envelope.hopsMax,
            incoming.withFrame(
                1,
                { header in
                    incoming.withFrame(0) { isEqual(header, view.destination, $0) }
                })
        else { return false }
        let inside = view.kind == .batch ? incoming.withFrame(2, { Batch.count(of: $0) }) ?? 0 : 1
        guard inside > 0 else { return false }
        let count = incoming.byteCount(ofFrame: 2)
        guard try subscribers.send(&incoming, frames: 0..<3) == .sent else { return false }
        messages += inside
        bytes += count
        return true
    }

    /// Whether the first frame is a topic, which is the same few for most messages.
    private mutating func isLegal() -> Bool {
        if incoming.withFrame(0, { knownTopics.value(for: $0) }) != nil { return true }
        let name = incoming.withFrame(0) { [UInt8]($0) }
        guard let topic = String(validating: name, as: UTF8.self), Names.isLegalTopic(topic),
            knownTopics.count < Self.knownTopicsMax
        else { return false }
        knownTopics.insert((), for: name)
        return true
    }
}

extension TopicProxy {
    /// Takes messages from publishers; whether some may be left.
    func takeBatch() throws(RoutingError) -> Bool {
        var allowance = Self.batchMax
        while backlog.isEmpty {
            let isShort = takesShortWay
            let stop = try zeroMQ { () throws(ZeroMQError) in
                try passage.run(&allowance, isShort: isShort)
            }
            switch stop {
            case .idle: return false
            case .turn: return true
            case .detour:
                try forward(passage.incoming.copyFrames(), of: passage.incoming.frameCount)
            }
        }
        return true
    }

    /// Whether there is nothing to be done with a message but to give it to the subscribers.
    private var takesShortWay: Bool {
        bridge == nil && holds.isEmpty && configuration.recorded.isEmpty
            && !configuration.isBeside && !stall.isSeen && absent.isEmpty
    }
}
