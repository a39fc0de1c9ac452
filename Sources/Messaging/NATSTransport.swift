internal import Chunking
internal import DequeModule
internal import Glibc
internal import NATS
internal import Recording
internal import Threads
public import Wire
public import ZeroMQ

/// An agent's way into the mesh over NATS: `agent.<name>.>`, topics as subjects.
///
/// Subscriptions are synchronous, each on a thread of its own: the library's callbacks could still
/// run after a flush returned. With a run named it is a shadow lane: the same, on
/// `shadow.<run>.…`.
public final class NATSTransport: AgentTransport {
    /// `nats`.
    public let name = "nats"
    private let agent: String
    private let connection: Connection
    private let shadowRun: String?
    private let seedAgents: Set<String>?
    private let isChunking: Bool
    private let decoder: NATSDecoder
    /// Written anew for each envelope, in the same place.
    private var lines: [UInt8] = []
    /// Mostly the next envelope goes where the last one went.
    private var latestSubject: (destination: Address, type: String, subject: String)?
    private var chunkDefects = ChunkDefects()
    private let inbox: NATSInbox
    private let flushTimeout: Duration
    private var inboxReader: NATSReader
    /// What was taken from the inbox and not handed on yet.
    private var fetched: Deque<Inbound> = []
    private var topicReaders: [String: [NATSReader]] = [:]
    private var topics: Set<String> = []
    private var confirmed: [UInt64] = []
    private var tickets: UInt64 = 0
    private var drainingReaders: [NATSReader] = []
    /// Of topics that were unsubscribed from: what the server had sent by then is still fetched.
    private var leavingReaders: [NATSReader] = []
    /// Where a content is not whole yet, so that they are not drained yet.
    private var undrained: [NATSReader] = []
    private var assembliesEnd = ContinuousClock.now
    private var isDraining = false
    private var drainTimeout = Duration.seconds(3)
    private var wasConnected = true
    private var reconnected = 0
    /// Whether everything sent is with the server.
    public private(set) var isOutboundDrained = false

    /// More than this in the library's buffer means that the socket does not keep up.
    private static let pendingBytesMax = 8 << 20

    /// Connects and subscribes to the agent's inbox; when it returns, the server knows.
    ///
    /// - Parameters:
    ///   - agent: The agent's name.
    ///   - url: The server.
    ///   - shadowRun: The run whose shadow subjects are to be used instead of the agents' own.
    ///   - seedAgents: The agents that speak only the seed's wire, where branches translate for them
    ///     and number what they send: then what has no identity is not taken from them directly.
    ///   - sending: When what is sent leaves.
    ///   - isChunking: Whether contents that are too large for one message are sent in several.
    ///   - flushTimeout: The longest that the server may take to confirm a subscription.
    /// - Throws: `MessagingError` with the library's reason.
    public init(
        agent: String, url: String, shadowRun: String? = nil, seedAgents: Set<String>? = nil,
        sending: NATSSending = .atOnce, isChunking: Bool = true,
        flushTimeout: Duration = .seconds(2)
    ) throws(MessagingError) {
        let attempt = MessagingError.Attempt.attach(url)
        self.agent = agent
        self.shadowRun = shadowRun
        self.seedAgents = seedAgents
        self.flushTimeout = flushTimeout
        self.isChunking = isChunking
        self.decoder = NATSDecoder(shadowRun: shadowRun, takesUnidentified: seedAgents == nil)
        self.inbox = try NATSInbox()
        let suffix = shadowRun == nil ? "" : " (shadow)"
        let connection = try nats(attempt) { () throws(NATSError) in
            try Connection(
                to: url,
                options: ConnectionOptions(
                    name: "agent \(agent)\(suffix)", sendAsap: sending == .atOnce))
        }
        self.connection = connection
        let subject = Self.subject(Subject.inbox(of: agent), shadowRun)
        let subscription = try nats(attempt) { () throws(NATSError) in
            let subscription = try connection.subscribe(to: subject)
            try connection.flush(timeout: flushTimeout)
            return subscription
        }
        self.inboxReader = try NATSReader(subscription, into: inbox, decoder)
        try inboxReader.start()
    }

    deinit { close() }

    /// Whether the server is there now.
    public var isConnected: Bool {
        let isConnected = connection.isConnected
        if !isConnected { wasConnected = false }
        return isConnected
    }

    /// How often the server was away and is there again, as far as somebody looked meanwhile.
    public var reconnections: Int {
        let isConnected = connection.isConnected
        if isConnected, !wasConnected { reconnected += 1 }
        wasConnected = isConnected
        return reconnected
    }

    private static func subject(_ subject: String, _ run: String?) -> String {
        run.map { Subject.shadow(subject, run: $0) } ?? subject
    }

    private func subject(of envelope: Envelope) -> String {
        if let latest = latestSubject, latest.type == envelope.type,
            latest.destination == envelope.destination
        {
            return latest.subject
        }
        let subject =
            isTranslated(envelope.destination)
            ? Subject.translated(to: envelope.destination.name, type: envelope.type)
            : Self.subject(Subject.of(envelope), shadowRun)
        latestSubject = (envelope.destination, envelope.type, subject)
        return subject
    }

    /// Whether the receiver speaks only the seed's wire, in which its branch gives it the message on.
    private func isTranslated(_ destination: Address) -> Bool {
        guard case .agent(let name) = destination else { return false }
        return seedAgents?.contains(name) == true
    }

    /// More than any headers of an envelope take.
    private static let headersMax = 2_048

    /// More than the server's `max_payload`, headers included, where it cannot go in chunks either.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        let limit = connection.maxPayload
        guard envelope.contentSize + Self.headersMax > limit else { return nil }
        lines.removeAll(keepingCapacity: true)
        envelope.appendHeaderLines(to: &lines)
        // An envelope that has no sequence yet gets headers a few digits longer.
        let bytes = lines.count + 64 + envelope.contentSize
        guard bytes > limit else { return nil }
        // A program of the seed's wire would have to put it together, and knows nothing of chunks.
        guard isChunking, !isTranslated(envelope.destination),
            connection.chunkBytes(besides: lines.count + 64) != nil
        else { return .oversize(bytes: bytes, limit: limit) }
        let most = Connection.chunkedContentMax
        return envelope.contentSize > most
            ? .oversize(bytes: envelope.contentSize, limit: most) : nil
    }

    /// What the server takes in one message, less the headers.
    public var batchBytesMax: Int { max(0, connection.maxPayload - Self.headersMax) }

    /// Publishes; false while the server is away or the socket does not keep up.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool {
        guard connection.isConnected, connection.pendingBytes < Self.pendingBytesMax else {
            return false
        }
        do throws(NATSError) {
            try publish(envelope)
            return true
        } catch {
            switch error.code {
            case .oversize, .invalidSubject, .closed:
                throw MessagingError(
                    .send(envelope.destination, type: envelope.type), .nats(error))
            default:
                // The connection broke under it. It may have gone out nevertheless: sending it
                // again is harmless, as receivers drop repeats.
                return false
            }
        }
    }

    private func publish(_ envelope: Envelope) throws(NATSError) {
        try connection.publish(
            envelope, on: subject(of: envelope), lines: &lines,
            isChunking: isChunking && !isTranslated(envelope.destination),
            defect: { chunkDefects.next() })
    }

    /// Plants faults in the chunks that are sent, for controls.
    func plant(_ defects: Defects?, lane: Lane) {
        chunkDefects = ChunkDefects(defects, lane: lane)
    }

    /// The next message that a reader fetched.
    public func receive() throws(MessagingError) -> Inbound? {
        if let ticket = confirmed.popLast() { return .confirmed(ticket: ticket) }
        if fetched.isEmpty { fetched = inbox.takeAll() }
        if let inbound = fetched.popFirst() { return inbound }
        let lost = inbox.takeLost()
        return lost > 0
            ? .malformed("NATS: \(lost) messages lost, too many waited or their subscription broke")
            : nil
    }

    /// The inbox's signal.
    public func inboundItems() -> [PollItem] { [.fileDescriptor(inbox.wakeUp.descriptor)] }

    /// The library has no descriptor for this.
    public func outboundItems(to destination: Address) -> [PollItem] { [] }

    /// Subscribes to the topic and to all below it; the server has confirmed when it returns.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        topics.insert(topic)
        // A subscription above it receives the same already, and a second one would repeat it.
        if !topicReaders.keys.contains(where: { Names.topic(topic, isUnder: $0) }) {
            try startReaders(of: topic)
        }
        tickets += 1
        confirmed.insert(tickets, at: 0)
        inbox.wake()
        return tickets
    }

    private func startReaders(of topic: String) throws(MessagingError) {
        var subscriptions: [Subscription] = []
        for subject in Subject.subscriptions(to: topic) {
            subscriptions.append(
                try nats(.subscribe(topic)) { () throws(NATSError) in
                    try connection.subscribe(to: Self.subject(subject, shadowRun))
                })
        }
        try nats(.subscribe(topic)) { () throws(NATSError) in
            try connection.flush(timeout: flushTimeout)
        }
        for subscription in subscriptions {
            let reader = try NATSReader(subscription, into: inbox, decoder)
            try reader.start()
            topicReaders[topic, default: []].append(reader)
        }
    }

    /// Ends the topic's subscription; the narrower ones that it stood for get their own.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        topics.remove(topic)
        guard let readers = topicReaders.removeValue(forKey: topic) else { return }
        for other in topics.sorted() where Names.topic(other, isUnder: topic) {
            guard !topicReaders.keys.contains(where: { Names.topic(other, isUnder: $0) }) else {
                continue
            }
            try startReaders(of: other)
        }
        for reader in leavingReaders where reader.isEnded { reader.stop() }
        leavingReaders.removeAll { $0.isEnded }
        for reader in readers { reader.leave() }
        leavingReaders += readers
        // Then what is published from now on comes on the narrower ones alone. Without an answer it
        // comes twice, and is dropped once.
        try? connection.flush(timeout: flushTimeout)
    }

    /// Nothing is counted here.
    public func consumed(_ count: Int) {}

    /// Drains every subscription: what the server sent until it hears of it is still received.
    ///
    /// One on which a content comes in chunks is drained once it is whole.
    public func beginInboundDrain(of hold: UInt64?) throws(MessagingError) {
        try beginInboundDrain(within: .seconds(3))
    }

    func beginInboundDrain(within timeout: Duration) throws(MessagingError) {
        guard !isDraining else { return }
        isDraining = true
        drainTimeout = timeout
        let readers = [inboxReader] + topicReaders.values.flatMap { $0 }
        drainingReaders = readers + leavingReaders
        undrained = readers
        assembliesEnd = .now + Self.assemblyPatience
        try drainReaders()
    }

    /// The longest that a drain waits for a content to become whole; a drain has 3 s.
    private static let assemblyPatience = Duration.milliseconds(1_500)

    private func drainReaders() throws(MessagingError) {
        for reader in undrained where !reader.isAssembling || assembliesEnd <= .now {
            undrained.removeAll { $0 === reader }
            try nats(.drain) { () throws(NATSError) in
                try reader.subscription.drain(timeout: drainTimeout)
            }
        }
    }

    /// Whether every reader has fetched its last message, and all were received.
    ///
    /// A server that is away sends nothing more: then what had arrived is all there will be, and an
    /// agent that leaves a dead server does not wait for its answer.
    public var isInboundDrained: Bool {
        guard isDraining else { return false }
        // What cannot be drained has ended.
        try? drainReaders()
        guard undrained.isEmpty else { return false }
        let isAllFetched = drainingReaders.allSatisfy { reader in
            reader.isEnded || !connection.isConnected && reader.isIdle
        }
        // Looked at last: a reader's last message may come between the two.
        return isAllFetched && inbox.isEmpty && fetched.isEmpty
    }

    /// Flushes: then the server has everything.
    public func beginOutboundDrain() throws(MessagingError) {
        guard connection.isConnected else {
            throw MessagingError(.drain, .system("the NATS server is away"))
        }
        try nats(.drain) { () throws(NATSError) in try connection.flush(timeout: flushTimeout) }
        isOutboundDrained = true
    }

    /// Whether the server has everything that was sent, asked for so long at most.
    func flush(within timeout: Duration) -> Bool {
        (try? connection.flush(timeout: timeout)) != nil
    }

    /// How much has come that nobody has received.
    var waitingCount: Int { fetched.count + inbox.count }

    /// Ends every subscription, and the connection.
    public func close() {
        inbox.close()
        if connection.isConnected { try? connection.flush(timeout: .milliseconds(500)) }
        connection.close()
        inboxReader.stop()
        for reader in Array(topicReaders.values.joined()) + leavingReaders { reader.stop() }
        topicReaders.removeAll()
        leavingReaders.removeAll()
    }
}
