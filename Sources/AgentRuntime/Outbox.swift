public import Messaging
public import Wire
internal import ZeroMQ

/// How an agent sends: the client, and what keeps an agent answerable while nothing can be sent.
public final class Outbox {
    private let client: AgentClient
    private let transport: any AgentTransport
    /// Whether the last send waited in vain.
    ///
    /// Until one succeeds, the next ones fail at once, each on record as sent and dropped: an agent
    /// whose broker died must not wait once for each of a thousand answers.
    private(set) var isBlocked = false
    /// Envelopes that could not be sent.
    public private(set) var failed: UInt64 = 0

    init(client: AgentClient, transport: any AgentTransport) {
        self.client = client
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
            failed += 1
            if case .noRoom = error.reason { isBlocked = true }
            throw error
        }
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
    var isConnected: Bool { (transport as? NATSTransport)?.isConnected ?? true }

    /// What tells that there is room, where the system can tell.
    func roomItems(for destination: Address) -> [PollItem] {
        transport.outboundItems(to: destination)
    }
}
