/// A message of the mesh: identity, addressing, time, type and content.
public struct Envelope: Hashable, Sendable {
    /// What an envelope is for.
    public enum Kind: UInt8, Sendable, CaseIterable {
        /// What agents say to each other.
        case content = 1
        /// The receiver has recorded these: of the delivery class `at_least_once`.
        case acknowledgement = 2
        /// The receiver can take this many more (decimal text in the content).
        case credit = 3
        /// The envelopes named in the content will never come.
        case gap = 4
        /// Everything before this on the same path has been said.
        case marker = 5
        /// An agent attaches, or a proxy confirms that it did.
        case hello = 6
        /// Several contents of one flow, which follow each other; a `Batch`.
        case batch = 7
    }

    /// How the content bytes are to be read.
    public enum ContentEncoding: UInt8, Sendable, CaseIterable {
        case binary = 0
        case json = 1
        /// JSON that says where in shared memory the content is: a `PointCloudDescriptor`.
        case descriptor = 2

        /// Whether the bytes of the envelope itself are JSON.
        public var isJSON: Bool { self != .binary }
    }

    /// An envelope that passed more bridges than this is dropped, counted and named.
    public static let hopsMax: UInt8 = 4

    /// Sender, destination, incarnation and sequence.
    public var identity: Identity
    /// What the envelope is for.
    public var kind: Kind
    /// Message type, as the seed's `message_type`: letters, digits, `_` and `-`.
    public var type: String
    /// Sender's clock, nanoseconds since 1970; never runs backwards within a run.
    public var sent: UInt64
    /// The envelope that this one answers.
    public var cause: Identity?
    /// Bridges passed so far.
    public var hops: UInt8
    /// How the content bytes are to be read.
    public var contentEncoding: ContentEncoding
    /// What its sender does where it does not arrive.
    public var delivery: DeliveryClass
    @usableFromInline var storage: Storage

    /// Makes an envelope.
    public init(
        identity: Identity, kind: Kind = .content, type: String, sent: UInt64,
        cause: Identity? = nil, hops: UInt8 = 0, contentEncoding: ContentEncoding = .binary,
        delivery: DeliveryClass = .atMostOnce, content: [UInt8] = []
    ) {
        self.identity = identity
        self.kind = kind
        self.type = type
        self.sent = sent
        self.cause = cause
        self.hops = hops
        self.contentEncoding = contentEncoding
        self.delivery = delivery
        self.storage = .array(content)
    }

    /// The sending agent.
    public var source: String { identity.flow.source }
    /// The agent or topic that is addressed.
    public var destination: Address { identity.flow.destination }
    /// The sender's incarnation.
    public var incarnation: UInt32 { identity.incarnation }
    /// The position in its flow.
    public var sequence: UInt64 { identity.sequence }
}

/// What becomes of an envelope that does not arrive.
public enum DeliveryClass: String, Sendable, Hashable, CaseIterable {
    /// It is sent once; what is lost on the way is lost, and named.
    case atMostOnce = "at_most_once"
    /// Its sender keeps it, and sends it again, until its receiver says that it has recorded it.
    case atLeastOnce = "at_least_once"
}
