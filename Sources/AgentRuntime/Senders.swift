internal import JSON
internal import Messaging
internal import Recording
internal import Wire
internal import ZeroMQ

/// Others in whose name an agent sends, all over the same few connections.
///
/// Each has its own flows, numbered as if it were an agent; what it sends is in the agent's history.
final class Senders {
    private let environment: AgentEnvironment
    private let history: HistoryWriter
    private let connections: Connections
    /// Planted faults: of those in whose name the agent sends as of the agent itself.
    private let defects: Defects?
    private var known: [String: (client: AgentClient, transport: SendingTransport)] = [:]

    /// More names than this are refused: each is remembered until the agent ends.
    private static let namesMax = 10_000

    init(
        _ environment: AgentEnvironment, _ history: HistoryWriter, over connections: Connections,
        defects: Defects?
    ) {
        self.defects = defects
        self.environment = environment
        self.history = history
        self.connections = connections
    }

    func send(
        as name: String, to destination: Address, _ type: String, _ content: [UInt8],
        _ encoding: Envelope.ContentEncoding, _ cause: Identity?, _ patience: Duration?
    ) throws(MessagingError) -> Identity {
        let attempt = MessagingError.Attempt.send(destination, type: type)
        guard environment.transport == .zmq, !environment.speaksSeedWire,
            let branch = environment.branch
        else { throw MessagingError(attempt, .sendsForItself) }
        let sender: (client: AgentClient, transport: SendingTransport)
        if let one = known[name] {
            sender = one
        } else {
            guard known.count < Self.namesMax else {
                throw MessagingError(attempt, .tooManySenders(Self.namesMax))
            }
            let transport = SendingTransport(
                to: branch, topicProxies: environment.topicProxies, agent: name,
                incarnation: environment.incarnation, clock: environment.clock, over: connections)
            var options = AgentClient.Options()
            options.sendTimeout = .seconds(6)
            options.defects = defects
            sender = (
                try AgentClient(
                    name: name, incarnation: environment.incarnation, clock: environment.clock,
                    transport: transport, recorder: history, options: options), transport
            )
            known[name] = sender
        }
        // The next one finds the connection as this one leaves it.
        defer { sender.transport.rest() }
        switch destination {
        case .agent(let agent):
            return try sender.client.send(
                to: agent, type: type, content: content, encoding: encoding, cause: cause,
                patience: patience)
        case .topic(let topic):
            return try sender.client.publish(
                topic: topic, type: type, content: content, encoding: encoding, cause: cause,
                patience: patience)
        }
    }
}
