public import Wire
public import ZeroMQ

/// An envelope as it came in.
public struct Arrival: Hashable, Sendable {
    /// The envelope.
    public var envelope: Envelope
    /// The transport that brought it: `zmq`, `nats` or `inproc`.
    public var transport: String
    /// Whether the way that it came counts what is consumed (a credit window).
    public var isCredited: Bool

    /// Makes an arrival.
    public init(_ envelope: Envelope, transport: String, isCredited: Bool = false) {
        self.envelope = envelope
        self.transport = transport
        self.isCredited = isCredited
    }
}

/// What a transport has to say.
public enum Inbound: Hashable, Sendable {
    /// An envelope came.
    case arrival(Arrival)
    /// Contents of one flow came together, in order.
    case batch(Batch.Items, transport: String, isCredited: Bool)
    /// The compared-only copy of an envelope came.
    case shadow(Envelope, transport: String)
    /// A message without identity came, in the seed's shape.
    case unidentified(SeedMessage, transport: String)
    /// These envelopes will never come; where their sender keeps them, not of themselves.
    case gap(
        flow: Flow, incarnation: UInt32, from: UInt64, through: UInt64, reason: String,
        isKept: Bool = false)
    /// A receiver says what it has recorded.
    case acknowledged(Acknowledgement)
    /// The subscription with this ticket holds from now on.
    case confirmed(ticket: UInt64)
    /// An envelope came, and its content did not; it has none here.
    case incomplete(Envelope, transport: String, reason: String)
    /// Something came that could not be read.
    case malformed(String)
    /// Something about the way itself, for the record.
    case remark(String)
}

/// One way into the mesh: how an agent's envelopes leave and come.
///
/// Nothing here waits: the client waits, for all of it at once, and goes on receiving while it
/// waits for room to send. A transport belongs to one thread.
public protocol AgentTransport: AnyObject {
    /// The transport's name in histories.
    var name: String { get }

    /// Whether there is a connection, where the transport can tell.
    var isConnected: Bool { get }

    /// Why the envelope can never go this way, if so; asked before it gets its identity.
    func refusal(of envelope: Envelope) -> MessagingError.Reason?

    /// The most bytes of a batch that it takes; 0 where it takes none.
    var batchBytesMax: Int { get }

    /// Sends, or answers false where there is no room now.
    func send(_ envelope: Envelope) throws(MessagingError) -> Bool

    /// The next thing that came, or nil.
    func receive() throws(MessagingError) -> Inbound?

    /// What to wait for to receive.
    func inboundItems() -> [PollItem]

    /// What to wait for to send there, where the system can tell; otherwise the client looks again
    /// every few milliseconds.
    func outboundItems(to destination: Address) -> [PollItem]

    /// Starts to subscribe; `Inbound.confirmed` with the returned ticket says that it holds.
    func subscribe(to topic: String) throws(MessagingError) -> UInt64

    /// Ends a subscription.
    func unsubscribe(from topic: String) throws(MessagingError)

    /// Credited arrivals were handed out or dropped by rule: more may come.
    func consumed(_ count: Int)

    /// Starts to end the way in without losing what is on it.
    ///
    /// - Parameter hold: The number that the last markers of the present move carry; nil where
    ///   nobody numbers them.
    /// - Throws: `MessagingError` where the transport fails.
    func beginInboundDrain(of hold: UInt64?) throws(MessagingError)

    /// Whether everything that was on the way in has been received.
    var isInboundDrained: Bool { get }

    /// Starts to make sure that everything sent has been passed on.
    func beginOutboundDrain() throws(MessagingError)

    /// Whether everything that was sent has been passed on.
    var isOutboundDrained: Bool { get }

    /// How often the way was broken and is whole again: what was on it may be lost.
    var reconnections: Int { get }

    /// How often the way that is sent on was changed for another.
    var switches: Int { get }

    /// When to look again although nothing comes, by the run's clock; nil where that is for nothing.
    var due: UInt64? { get }

    /// Ends both ways.
    func close()
}

extension AgentTransport {
    /// Ways that do not break, or do not tell.
    public var reconnections: Int { 0 }

    /// A way that stays what it is.
    public var switches: Int { 0 }

    /// A way on which all that happens can be waited for.
    public var due: UInt64? { nil }

    /// A way that nobody taught batches takes none.
    public var batchBytesMax: Int { 0 }

    /// Without a way to tell, there is.
    public var isConnected: Bool { true }
}

extension Inbound {
    /// The bytes of what was sent.
    var contentSize: Int {
        switch self {
        case .arrival(let arrival): arrival.envelope.contentSize
        case .batch(let items, _, _): items.contentSize
        default: 0
        }
    }

    /// What a batch is to its receiver: its envelopes, or something that could not be read.
    static func batch(
        _ envelope: Envelope, from place: String, transport: String, isCredited: Bool = false
    ) -> Inbound {
        do throws(WireError) {
            return .batch(
                try Batch.Items(of: envelope), transport: transport, isCredited: isCredited)
        } catch {
            return .malformed("\(place): the batch \(envelope.identity): \(error)")
        }
    }
}
