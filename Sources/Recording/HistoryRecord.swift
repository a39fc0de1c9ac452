public import Wire

/// Which side of an envelope's way was recorded.
public enum Direction: String, Sendable, Hashable, CaseIterable {
    /// By its sender, before it left.
    case sent
    /// By its receiver, before it acted on it.
    case delivered
}

/// Which copy of an envelope was recorded.
public enum Lane: String, Sendable, Hashable, CaseIterable {
    /// The copy that is acted on.
    case primary
    /// The copy of a dual run that is only compared.
    case shadow
}

/// What an envelope carried, or what is left to know it by.
public enum Content: Sendable, Hashable {
    /// The content itself.
    case bytes([UInt8])
    /// XXH3 and length of a content above the writer's limit.
    case digest(_ value: UInt64, length: Int)

    /// The content's XXH3 digest, whichever way it was recorded.
    public var digest: UInt64 {
        switch self {
        case .bytes(let bytes): ContentDigest.xxh3(bytes)
        case .digest(let value, _): value
        }
    }

    /// The content's length in bytes.
    public var length: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .digest(_, let length): length
        }
    }
}

/// One envelope as one process saw it: sent or delivered.
public struct HistoryRecord: Sendable, Hashable {
    /// The process that recorded.
    public var agent: String
    /// Sender, destination, incarnation and sequence.
    public var identity: Identity
    /// Message type.
    public var type: String
    /// The transport that carried it: `zmq`, `nats` or `inproc`.
    public var transport: String
    /// Sent or delivered.
    public var direction: Direction
    /// The copy that is acted on, or the one that is only compared.
    public var lane: Lane
    /// When the sender sent it, by the run's clock.
    public var sent: UInt64
    /// When this process recorded it, by the run's clock.
    public var observed: UInt64
    /// Bridges passed until here.
    public var hops: UInt8
    /// How the content bytes are to be read.
    public var contentEncoding: Envelope.ContentEncoding
    /// What its sender does where it does not arrive.
    public var delivery: DeliveryClass
    /// The content, or its digest where it was above the writer's limit.
    public var content: Content

    /// Makes a record.
    public init(
        agent: String, identity: Identity, type: String, transport: String,
        direction: Direction, lane: Lane = .primary, sent: UInt64, observed: UInt64,
        hops: UInt8 = 0, contentEncoding: Envelope.ContentEncoding,
        delivery: DeliveryClass = .atMostOnce, content: Content
    ) {
        self.agent = agent
        self.identity = identity
        self.type = type
        self.transport = transport
        self.direction = direction
        self.lane = lane
        self.sent = sent
        self.observed = observed
        self.hops = hops
        self.contentEncoding = contentEncoding
        self.delivery = delivery
        self.content = content
    }
}
