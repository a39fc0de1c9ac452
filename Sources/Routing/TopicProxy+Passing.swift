internal import Glibc
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
    /// The message that went last: most go to the same topic from the same publisher as that.
    private var last = LastHeader()
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
        guard incoming.frameCount == 3 else { return false }
        var known = isLikeLast()
        if known == nil { known = read() }
        guard let isBatch = known else { return false }
        let inside = isBatch ? incoming.withFrame(2, { Batch.count(of: $0) }) ?? 0 : 1
        guard inside > 0 else { return false }
        let count = incoming.byteCount(ofFrame: 2)
        guard try subscribers.send(&incoming, frames: 0..<3) == .sent else { return false }
        messages += inside
        bytes += count
        return true
    }

    /// Whether it is a batch; nil where its header says something new.
    @inline(__always)
    private func isLikeLast() -> Bool? {
        incoming.withFrame(0) { topic in
            incoming.withFrame(1) { header in
                last.isLike(topic, header) ? last.isBatch : nil
            }
        }
    }

    /// Whether it is a batch; nil where it must go the long way.
    private mutating func read() -> Bool? {
        guard isLegal(), let view = incoming.withFrame(1, { HeaderView($0) }),
            view.kind.carriesContent, view.isTopic, view.hops <= Envelope.hopsMax,
            incoming.withFrame(
                1,
                { header in
                    incoming.withFrame(0) { isEqual(header, view.destination, $0) }
                })
        else { return nil }
        let isBatch = view.kind == .batch
        incoming.withFrame(0) { topic in
            incoming.withFrame(1) { last.become(topic, $0, isBatch: isBatch) }
        }
        return isBatch
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

/// A topic and a header that were read: another one that differs in number and time alone says the
/// same, and need not be read.
struct LastHeader: ~Copyable {
    /// Whether it is a batch's.
    private(set) var isBatch = false
    private var topicLength = 0
    private var length = 0
    /// The topic, then the header.
    private let bytes = UnsafeMutableRawPointer.allocate(
        byteCount: 2 * LastHeader.sizeMax, alignment: 16)

    /// Longer ones are read each time.
    private static let sizeMax = 512
    /// Sequence and time of sending.
    private static let variable = 9..<25

    deinit { bytes.deallocate() }

    @inline(__always)
    borrowing func isLike(
        _ topic: UnsafeRawBufferPointer, _ header: UnsafeRawBufferPointer
    ) -> Bool {
        guard header.count == length, topic.count == topicLength, length > 0,
            let topic = topic.baseAddress, let header = header.baseAddress
        else { return false }
        let (start, end) = (Self.variable.lowerBound, Self.variable.upperBound)
        let known = bytes + Self.sizeMax
        return memcmp(known + end, header + end, length - end) == 0
            && memcmp(known, header, start) == 0 && memcmp(bytes, topic, topicLength) == 0
    }

    mutating func become(
        _ topic: UnsafeRawBufferPointer, _ header: UnsafeRawBufferPointer, isBatch: Bool
    ) {
        length = 0
        guard topic.count <= Self.sizeMax,
            (Self.variable.upperBound...Self.sizeMax).contains(
                header.count)
        else { return }
        bytes.copyMemory(from: topic.baseAddress ?? UnsafeRawPointer(bytes), byteCount: topic.count)
        (bytes + Self.sizeMax).copyMemory(
            from: header.baseAddress ?? UnsafeRawPointer(bytes), byteCount: header.count)
        (topicLength, length) = (topic.count, header.count)
        self.isBatch = isBatch
    }
}

extension TopicProxy {
    /// Takes messages from publishers; whether some may be left.
    func takeBatch() throws(RoutingError) -> Bool {
        var allowance = Self.batchMax
        while mayTake {
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
