public import Wire
public import ZeroMQ

/// A way into the mesh over ZeroMQ for somebody who only sends, over connections that he shares with
/// others of his program.
///
/// It attaches nowhere, so a message costs no more than its sending. It gives its connections back
/// when `rest` is called, and takes some again with the next envelope. Its sender's name need not be
/// that of an agent of the topology; an answer to it arrives only where there is one of that name.
///
/// ```swift
/// let connections = Connections(in: context)
/// let sender = try AgentClient(
///     name: "gateway-7", incarnation: 1, clock: clock,
///     transport: SendingTransport(
///         to: branch, topicProxies: proxies, agent: "gateway-7", incarnation: 1, clock: clock,
///         over: connections))
/// try sender.send(to: "report", type: "task", content: bytes)
/// ```
public final class SendingTransport: AgentTransport {
    /// `zmq`.
    public let name = "zmq"
    private let branch: String
    private let agent: String
    private let incarnation: UInt32
    private let clock: RunClock
    private let connections: Connections
    private let topics: TopicLane
    private var line: Leased<BranchLine>?
    /// Whether the branch has passed on everything that was sent before the last outbound marker.
    public private(set) var isOutboundDrained = false

    /// Prepares; nothing is connected before the first envelope.
    ///
    /// - Parameters:
    ///   - branch: The ROUTER of a branch.
    ///   - topicProxies: The topic proxies of the mesh.
    ///   - agent: The sender's name.
    ///   - incarnation: The sender's incarnation: raised each time that the same name begins to
    ///     number its messages anew.
    ///   - clock: The run's clock.
    ///   - connections: Whose connections are used.
    public init(
        to branch: String, topicProxies: [TopicProxyEndpoints] = [], agent: String,
        incarnation: UInt32, clock: RunClock, over connections: Connections
    ) {
        self.branch = branch
        self.agent = agent
        self.incarnation = incarnation
        self.clock = clock
        self.connections = connections
        topics = TopicLane(
            agent: agent, incarnation: incarnation, proxies: topicProxies,
            keepFrom: InPlace.threshold, clock: clock, over: connections)
    }

    /// Gives the connections back: others may have them until the next envelope.
    public func rest() {
        line = nil
        topics.rest()
    }

    /// Only where no topic proxy serves the topic: ZeroMQ carries any size.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        topics.refusal(of: envelope)
    }

    /// To the branch, or to the topic's proxy; false where it has no room or is away.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool {
        let attempt = MessagingError.Attempt.send(envelope.destination, type: envelope.type)
        switch envelope.destination {
        case .agent(let name):
            let line = try leasedLine(attempt)
            do throws(ZeroMQError) {
                return try line.socket.send(
                    [Array(name.utf8)], envelope, keepingFrom: InPlace.threshold)
            } catch {
                // Nobody else is to have a connection that failed.
                self.line?.discard()
                self.line = nil
                throw MessagingError(attempt, .zeroMQ(error))
            }
        case .topic(let topic): return try topics.send(envelope, on: topic)
        }
    }

    private func leasedLine(_ attempt: MessagingError.Attempt) throws(MessagingError) -> BranchLine
    {
        if let line = line?.connection { return line }
        let branch = branch
        let lease = try connections.lease(.branch(branch), attempt) {
            context throws(ZeroMQError) in try BranchLine(to: branch, in: context)
        }
        let leased = Leased(lease)
        line = leased
        return leased.connection
    }

    /// Nothing but the branch's answer to a marker.
    public func receive() throws(MessagingError) -> Inbound? {
        guard let line = line?.connection else { return nil }
        while let frames = try zeroMQ(
            .receive, { () throws(ZeroMQError) in try line.socket.receive() })
        {
            guard frames.count == 2,
                let envelope = try? Envelope(header: frames[0], content: frames[1])
            else { continue }
            // Of others who had this connection before there may be answers too.
            if envelope.kind == .marker, envelope.source == agent { isOutboundDrained = true }
        }
        return nil
    }

    /// The branch's connection, where there is one.
    public func inboundItems() -> [PollItem] {
        line.map { [$0.connection.socket.pollItem()] } ?? []
    }

    /// The branch's connection; for topics libzmq does not tell.
    public func outboundItems(to destination: Address) -> [PollItem] {
        guard case .agent = destination, let line = line?.connection else { return [] }
        return [line.socket.pollItem(.writable)]
    }

    /// Impossible: nothing arrives here.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        throw MessagingError(.subscribe(topic), .sendsOnly)
    }

    /// Nothing is subscribed to.
    public func unsubscribe(from topic: String) throws(MessagingError) {}

    /// Nothing arrives.
    public func consumed(_ count: Int) {}

    /// Nothing arrives.
    public func beginInboundDrain(of hold: UInt64?) throws(MessagingError) {}

    /// Always: nothing arrives.
    public var isInboundDrained: Bool { true }

    /// Sends a marker behind everything; the branch sends it back.
    public func beginOutboundDrain() throws(MessagingError) {
        isOutboundDrained = false
        let marker = Envelope(
            identity: Identity(
                flow: Flow(source: agent, destination: .agent("")), incarnation: incarnation,
                sequence: 0),
            kind: .marker, type: "outbound", sent: clock.now, contentEncoding: .json,
            content: Array("1".utf8))
        let line = try leasedLine(.drain)
        let isSent = try zeroMQ(.drain) { () throws(ZeroMQError) in
            try line.socket.send([[], marker.header, marker.content], wait: true) == .sent
        }
        guard isSent else { throw MessagingError(.drain, .noRoom(waited: .seconds(2))) }
    }

    /// Gives the connections back.
    public func close() { rest() }
}

/// A connection to a branch that is no agent's own: what is sent over it says whom it is from.
final class BranchLine {
    var socket: Socket

    init(to branch: String, in context: Context) throws(ZeroMQError) {
        var options = SocketOptions(linger: .seconds(1))
        options.sendTimeout = .seconds(2)
        socket = try Socket(.dealer, in: context, options: options)
        try socket.connect(to: branch)
    }
}
