public import JSON
public import Messaging
public import Wire
internal import ZeroMQ

/// How an agent sends: the client, and what keeps an agent answerable while nothing can be sent.
public final class Outbox {
    private let client: AgentClient
    /// Nil where the agent sends in nobody else's name.
    private let senders: Senders?
    private let transport: any AgentTransport
    /// Whether the last send waited in vain.
    ///
    /// Until one succeeds, the next ones fail at once, each on record as sent and dropped: an agent
    /// whose broker died must not wait once for each of a thousand answers.
    private(set) var isBlocked = false
    /// Whether the last cloud found no slot.
    private(set) var isPoolFull = false
    /// Why the last envelope was not sent that was not.
    private(set) var lastFailure: MessagingError?
    private var failuresLogged = 0
    /// Envelopes that could not be sent.
    public var failed: UInt64 { refused + client.unsentInBatches }
    /// Those of which the send itself said so.
    private var refused: UInt64 = 0
    /// What the agent asked to hear, or to hear no more, and has not been done yet.
    private(set) var wishes: [Wish] = []

    /// A subscription that is to begin or to end.
    struct Wish: Hashable {
        let topic: String
        let isWanted: Bool
    }

    init(client: AgentClient, transport: any AgentTransport, senders: Senders? = nil) {
        self.client = client
        self.senders = senders
        self.transport = transport
    }

    /// Sends to an agent or publishes to a topic.
    ///
    /// - Parameters:
    ///   - destination: The agent or topic.
    ///   - type: The message type.
    ///   - content: The content; arrives as it is.
    ///   - encoding: How the content is to be read.
    ///   - cause: The envelope that this one answers.
    /// - Returns: The envelope's identity.
    /// - Throws: `MessagingError`; the runtime goes on where only this envelope is concerned.
    @discardableResult
    public func send(
        to destination: Address, type: String, content: [UInt8],
        encoding: Envelope.ContentEncoding, cause: Identity? = nil
    ) throws(MessagingError) -> Identity {
        let patience: Duration? = isBlocked ? .zero : nil
        do throws(MessagingError) {
            let identity =
                switch destination {
                case .agent(let name):
                    try client.send(
                        to: name, type: type, content: content, encoding: encoding, cause: cause,
                        patience: patience)
                case .topic(let topic):
                    try client.publish(
                        topic: topic, type: type, content: content, encoding: encoding,
                        cause: cause, patience: patience)
                }
            isBlocked = false
            return identity
        } catch {
            refused += 1
            if case .noRoom = error.reason { isBlocked = true }
            throw error
        }
    }

    /// Sends in the name of somebody else, who is there for this message only: a device, a session.
    ///
    /// All of them share the agent's few connections. Each has flows of its own, and what it sends is
    /// in this agent's history. On ZeroMQ only, where the branch's proxy is one of ours.
    ///
    /// - Parameters:
    ///   - name: The sender's name; none that an agent of the mesh has.
    ///   - destination: The agent or topic.
    ///   - type: The message type.
    ///   - content: The content; arrives as it is.
    ///   - encoding: How the content is to be read.
    ///   - cause: The envelope that this one answers.
    /// - Returns: The envelope's identity.
    /// - Throws: `MessagingError`; the runtime goes on where only this envelope is concerned.
    @discardableResult
    public func send(
        as name: String, to destination: Address, type: String, content: [UInt8],
        encoding: Envelope.ContentEncoding, cause: Identity? = nil
    ) throws(MessagingError) -> Identity {
        guard let senders else {
            throw MessagingError(.send(destination, type: type), .sendsForItself)
        }
        do throws(MessagingError) {
            let identity = try senders.send(
                as: name, to: destination, type, content, encoding, cause,
                isBlocked ? .zero : nil)
            isBlocked = false
            return identity
        } catch {
            refused += 1
            if case .noRoom = error.reason { isBlocked = true }
            throw error
        }
    }

    /// Sends a point cloud to agents and topics: inside of the message, or, where it has at least
    /// the setting `threshold` of bytes and there is the setting `pool`, through shared memory.
    ///
    /// - Parameters:
    ///   - destinations: Where it goes; the cloud is made once, and lies in one slot, for all of
    ///     them.
    ///   - byteCount: The cloud's size in bytes.
    ///   - points: The cloud's points.
    ///   - cause: The envelope that the cloud answers.
    ///   - fill: Writes every byte of the cloud; called at most once.
    /// - Returns: The identities of what was sent: fewer than destinations where some could not be
    ///   sent to, which is logged and counted.
    /// - Throws: `MessagingError` where it was sent to nobody.
    @discardableResult
    public func sendPointCloud(
        to destinations: [Address], byteCount: Int, points: Int, cause: Identity? = nil,
        fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(MessagingError) -> [Identity] {
        try settle(
            client.sendPointCloud(
                to: destinations, byteCount: byteCount, points: points, cause: cause,
                patience: isBlocked ? .zero : nil, fill: fill))
    }

    /// Hands the bytes of the point cloud that an envelope carries or points to to `body`.
    ///
    /// A cloud in shared memory can be read once for each envelope; `body` gets the memory itself,
    /// not a copy, and nobody writes to it meanwhile.
    ///
    /// - Parameters:
    ///   - envelope: An envelope for which `carriesPointCloud` is true.
    ///   - body: What is done with the bytes, which are there only while it runs.
    /// - Returns: What `body` returns.
    /// - Throws: `MessagingError` where the bytes are not there any more, or are not those that were
    ///   sent; that is in the history already, and nothing of the cloud is to be used.
    public func receivePointCloud<Result>(
        _ envelope: Envelope, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(MessagingError) -> Result {
        try client.receivePointCloud(envelope, body)
    }

    /// Holds on to a point cloud after `handle` has returned.
    ///
    /// In place of `receivePointCloud`: a cloud in shared memory can be read once for each envelope.
    ///
    /// - Throws: `MessagingError`, as `receivePointCloud` does.
    public func keepPointCloud(_ envelope: Envelope) throws(MessagingError) -> KeptCloud {
        try client.keepPointCloud(envelope)
    }

    /// Takes over a point cloud from the former incarnation, which put `KeptCloud.state` into its
    /// `state()`; to be called in `restore`.
    ///
    /// - Throws: `MessagingError` where the cloud is not there any more.
    public func keptPointCloud(restoring state: Value) throws(MessagingError) -> KeptCloud {
        try client.keptPointCloud(restoring: state)
    }

    /// Sends a kept point cloud on to others; in shared memory without a copy.
    ///
    /// - Parameters:
    ///   - cloud: The cloud.
    ///   - destinations: Agents and topics.
    ///   - cause: The envelope that the cloud answers.
    /// - Returns: As `sendPointCloud`.
    /// - Throws: As `sendPointCloud`.
    @discardableResult
    public func forwardPointCloud(
        _ cloud: KeptCloud, to destinations: [Address], cause: Identity? = nil
    ) throws(MessagingError) -> [Identity] {
        try settle(
            client.forwardPointCloud(
                cloud, to: destinations, cause: cause, patience: isBlocked ? .zero : nil))
    }

    /// Sends the point cloud of an envelope on to others; in shared memory without a copy, and in
    /// place of `receivePointCloud`.
    ///
    /// - Parameters:
    ///   - envelope: An envelope for which `carriesPointCloud` is true.
    ///   - destinations: Agents and topics.
    ///   - cause: The envelope that the cloud answers.
    /// - Returns: As `sendPointCloud`.
    /// - Throws: As `sendPointCloud` and `receivePointCloud`.
    @discardableResult
    public func forwardPointCloud(
        _ envelope: Envelope, to destinations: [Address], cause: Identity? = nil
    ) throws(MessagingError) -> [Identity] {
        try forwardPointCloud(keepPointCloud(envelope), to: destinations, cause: cause)
    }

    /// Counts what was not sent; throws where nothing was.
    private func settle(
        _ sending: AgentClient.CloudSending
    ) throws(MessagingError) -> [Identity] {
        refused += UInt64(sending.failures.count)
        isBlocked = sending.failures.contains { failure in
            if case .noRoom = failure.reason { true } else { false }
        }
        isPoolFull = sending.wasPoolFull
        lastFailure = sending.failures.first ?? lastFailure
        if sending.identities.isEmpty, let first = sending.failures.first { throw first }
        for failure in sending.failures { logFailure(failure) }
        return sending.identities
    }

    /// Logs why something was not sent; not all of it, where there is much.
    func logFailure(_ error: MessagingError) {
        failuresLogged += 1
        // A server that is away says the same of every envelope.
        if failuresLogged <= 20 || failuresLogged.isMultiple(of: 1_000) {
            Output.log("\(error) (failure \(failuresLogged))")
        }
    }

    /// When the message of a load that is being sent was due, by the run's clock.
    ///
    /// Whoever measures from here counts what comes late as late.
    public internal(set) var due: UInt64 = 0

    /// The time, by the run's clock.
    public var now: UInt64 { client.clock.now }

    /// Subscribes to a topic, and to all below it, once the agent is done with what it does now.
    ///
    /// `Agent.subscribed` says that it holds. An agent that is being drained does not subscribe any
    /// more; its next incarnation does so first of all.
    public func subscribe(to topic: String) {
        wishes.append(Wish(topic: topic, isWanted: true))
    }

    /// Ends a subscription once the agent is done with what it does now; what has arrived until then
    /// is still handled.
    ///
    /// What was published shortly before and is on its way is lost: end it when nothing is.
    public func unsubscribe(from topic: String) {
        wishes.append(Wish(topic: topic, isWanted: false))
    }

    func wish(_ wishes: [Wish]) { self.wishes += wishes }

    func takeWishes() -> [Wish] {
        defer { wishes.removeAll() }
        return wishes
    }

    /// Writes a line to the agent's log.
    public func log(_ line: String) { Output.log(line) }

    /// Whether something can be sent there now, as far as the transport can tell.
    func hasRoom(for destination: Address) -> Bool {
        guard isConnected else { return false }
        var items = transport.outboundItems(to: destination)
        guard !items.isEmpty else { return true }
        do throws(ZeroMQError) {
            return try poll(&items, timeout: .zero) > 0
        } catch {
            // The send itself will say what is wrong.
            return true
        }
    }

    /// Whether the transport knows of no break; cheap enough to ask before every message.
    var isConnected: Bool { transport.isConnected }

    /// Whether the last send waited in vain: the agent's commands get their turn before the next.
    var isHeldUp: Bool { isBlocked || isPoolFull }

    /// What tells that there is room, where the system can tell.
    func roomItems(for destination: Address) -> [PollItem] {
        transport.outboundItems(to: destination)
    }
}
