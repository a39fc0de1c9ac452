internal import DequeModule
public import JSON
public import Recording
public import Wire
internal import ZeroMQ

/// An agent's one way to speak in the mesh, whatever carries it.
///
/// It names every envelope (per flow from 1), records it before the transport sees it, receives
/// through the receiver's rule, and records what it hands out before it hands it out. It belongs to
/// one thread, and goes on receiving while it waits for anything, so that two agents that send to
/// each other never wait for each other for ever.
///
/// ```swift
/// let client = try AgentClient(name: "capture", incarnation: 1, clock: clock, transport: transport)
/// try client.subscribe(to: "tot.updates")
/// _ = try client.send(to: "report", type: "task", content: Array("{}".utf8), encoding: .json)
/// while let envelope = try client.receive(timeout: .seconds(1)) { … }
/// ```
public final class AgentClient {
    /// What is bounded, and what is planted.
    public struct Options: Hashable, Sendable {
        /// The longest that a send waits for room.
        public var sendTimeout: Duration = .seconds(10)
        /// The same while it sends on NATS; nil is no other.
        public var natsSendTimeout: Duration?
        /// The longest that a subscription may take to be confirmed.
        public var subscribeTimeout: Duration = .seconds(5)
        /// The most envelopes that wait to be handed out before the client stops to read.
        public var readyMessages = 100_000
        /// The same in bytes of content.
        public var readyBytes = 512 << 20
        /// The shared-memory pool that point clouds are written to; nil is none.
        public var pool: String?
        /// The pools of the mesh.
        public var pools: [PoolAccess] = []
        /// Point clouds of fewer bytes are sent inside of the message.
        public var threshold = 10_000_000
        /// When what a shadow lane publishes leaves.
        public var natsSending = NATSSending.atOnce
        /// Whether a shadow lane sends large contents in chunks.
        public var isNATSChunking = true
        /// Planted faults, for controls.
        public var defects: Defects?
        /// What goes together in one message; nil: each envelope goes by itself, at once.
        public var batching: Batching?
        /// The class of what is sent to agents; what is published has `at_most_once`.
        public var delivery = DeliveryClass.atMostOnce
        /// The agents that acknowledge: what is sent to others has `at_most_once`; nil is all.
        public var acknowledging: Set<String>?

        /// The defaults.
        public init() {}
    }

    /// What waits to be handed out.
    enum Ready {
        case one(Arrival, isRecorded: Bool = false)
        case many(Bundle)
    }

    /// The agent's name.
    public let name: String
    /// The agent's incarnation.
    public let incarnation: UInt32
    /// The run's clock.
    public let clock: RunClock
    /// What is bounded, and what is planted.
    public let options: Options
    /// What the agent is subscribed to, confirmed.
    public internal(set) var subscriptions: Set<String> = []

    var transport: any AgentTransport {
        didSet {
            isDual = transport is DualTransport
            noteSwitch()
        }
    }
    /// Whether there is a second lane: looked at for every envelope.
    private(set) var isDual = false
    let recorder: (any MessageRecorder)?
    var receiver: Receiver
    var ready: Deque<Ready> = []
    /// Those that came together and of which some were handed out: before all others.
    var opened: Bundle?
    /// Envelopes that wait to be handed out, however they came, and the bytes of their contents.
    var readyCount = 0
    var readyBytes = 0
    var counts = Counters()
    let pools: PoolTable
    var confirmedTickets: Set<UInt64> = []
    var subscribing: Set<String> = []
    var primaryDefects: DefectLane
    /// Whether there are any: looked at for every envelope.
    let hasDefects: Bool
    let batchLimits: BatchLimits?
    /// The last destination that was sent to: mostly it is the same.
    var lastOutflow: Outflow?
    /// The flow of the envelope that was handed out last, and how many of it are not counted yet.
    var lastDelivered: Flow?
    var uncounted: UInt64 = 0
    var shadowDefects: DefectLane
    var isDrained = false
    /// What still comes is left to the next incarnation: nothing advances the marks any more.
    var isIntakeClosed = false
    /// What still comes is not known to be kept for the next incarnation.
    var isLeavingBehind = false
    /// When the agent ended its subscriptions; what was sent to them before is still handed out.
    var left: [String: UInt64] = [:]
    /// What is known of each destination that was sent to.
    var outflows: [Address: Outflow] = [:]
    /// Those with a batch that waits to be full, or for its time.
    var filling: [Outflow] = []
    /// When the first of them is to leave; never where there is none.
    var nextFlush: UInt64 = .max
    /// The last batch found no room: the next one does not wait for it again.
    var isBatchStuck = false
    /// Envelopes that could not be sent with their batch, and of which no send said so.
    public internal(set) var unsentInBatches: UInt64 = 0
    /// Envelopes sent, ever.
    public internal(set) var sentCount: UInt64 = 0
    /// What was sent of the class `at_least_once` and is not acknowledged.
    var unacknowledged: Unacknowledged
    /// How far each flow of the class is recorded, and which of them its sender has to hear that of.
    var recorded: [Receiver.Key: UInt64] = [:]
    var owed: [Receiver.Key: Owed] = [:]
    var owedSince: UInt64?
    /// How often the way was known to have been broken when it was last looked at.
    var knownReconnections = 0
    /// How often the way that is sent on had been changed when that was last looked at.
    var knownSwitches = 0
    /// What was dropped here and its receivers do not know of yet.
    var untoldGaps: [Address: [ClosedRange<UInt64>]] = [:]

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - name: The agent's name.
    ///   - incarnation: Raised each time that the agent starts; the first start is 1.
    ///   - clock: The run's clock.
    ///   - transport: The way into the mesh, attached already.
    ///   - recorder: What is told of every envelope; nil for none.
    ///   - state: What `state` of the former incarnation said, after a drained restart.
    ///   - history: What the former incarnations recorded: after a crash all of it counts, beside a
    ///     state only what that names.
    ///   - limits: What the receiver's rule is bounded by.
    ///   - options: What else is bounded.
    /// - Throws: `MessagingError` where the name is not legal or the state malformed.
    public init(
        name: String, incarnation: UInt32, clock: RunClock, transport: any AgentTransport,
        recorder: (any MessageRecorder)? = nil, restoring state: Value? = nil,
        recalling history: OwnHistory? = nil,
        limits: Receiver.Limits = Receiver.Limits(), options: Options = Options()
    ) throws(MessagingError) {
        guard Names.isLegal(name) else {
            throw MessagingError(.attach(name), .illegalName(name))
        }
        self.name = name
        self.incarnation = incarnation
        self.clock = clock
        self.transport = transport
        self.isDual = transport is DualTransport
        self.recorder = recorder
        self.options = options
        self.pools = PoolTable(options.pools)
        self.receiver = Receiver(
            base: incarnation == 1 || state != nil ? .one : .firstSeen, limits: limits)
        self.primaryDefects = DefectLane(
            options.defects, lane: .primary, transport: transport.name)
        self.hasDefects = options.defects != nil
        self.batchLimits = options.batching.map { BatchLimits($0) }
        (transport as? NATSTransport)?.plant(options.defects, lane: .primary)
        (transport as? LiveTransport)?.plant(options.defects, lane: .primary)
        self.shadowDefects = DefectLane(options.defects, lane: .shadow, transport: "nats")
        self.unacknowledged = Unacknowledged(seed: UInt64(bitPattern: Int64(name.hashValue)))
        if let state {
            let topics = state["subscriptions"]?.array?.compactMap(\.string) ?? []
            let outcomes = try receiver.restore(state, topics: topics, at: clock.now)
            try restoreKept(state, history)
            try apply(outcomes)
        } else {
            try restoreKept(nil, history)
        }
    }

    /// What the next incarnation restores: the receiver's marks, and what is subscribed to.
    ///
    /// The positions in the agent's own flows are not part of it: the incarnation rises.
    public var state: Value {
        var members = receiver.state.object ?? [:]
        members["subscriptions"] = .array(subscriptions.sorted().map(Value.string))
        members.merge(keptState) { _, kept in kept }
        return .object(members)
    }

    /// Whether the transport that is acted on has a connection, where it can tell.
    public var isConnected: Bool { transport.isConnected }

    /// The transport that is acted on, by its name in histories.
    public var transportName: String { transport.name }

    /// What was done so far.
    public var counters: Counters {
        var current = counts
        if let lastDelivered { current.delivered[lastDelivered, default: 0] += uncounted }
        for (destination, outflow) in outflows where outflow.sequence > 0 {
            current.sent[destination] = outflow.sequence
        }
        current.held = UInt64(receiver.heldCount)
        current.ahead = receiver.aheadCount
        current.unacknowledged = UInt64(unacknowledged.count)
        return current
    }

    /// Sends to an agent.
    ///
    /// - Parameters:
    ///   - agent: The receiver's name.
    ///   - type: The message type.
    ///   - content: The content; arrives as it is.
    ///   - encoding: How the content is to be read.
    ///   - cause: The envelope that this one answers.
    ///   - patience: The longest wait for room; nil is the option `sendTimeout`.
    /// - Returns: The envelope's identity.
    /// - Throws: `MessagingError`: refused before it got an identity (`.oversize`, `.illegalName`),
    ///   or recorded as sent and then dropped (`.noRoom` and others), which is annotated.
    @discardableResult
    public func send(
        to agent: String, type: String, content: [UInt8],
        encoding: Envelope.ContentEncoding = .binary, cause: Identity? = nil,
        patience: Duration? = nil
    ) throws(MessagingError) -> Identity {
        try post(to: .agent(agent), type, content, encoding, cause, patience)
    }

    /// Publishes to a topic.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - type: The message type.
    ///   - content: The content; arrives as it is.
    ///   - encoding: How the content is to be read.
    ///   - cause: The envelope that this one answers.
    ///   - patience: The longest wait for room; nil is the option `sendTimeout`.
    /// - Returns: The envelope's identity.
    /// - Throws: `MessagingError`, as `send` does.
    @discardableResult
    public func publish(
        topic: String, type: String, content: [UInt8],
        encoding: Envelope.ContentEncoding = .binary, cause: Identity? = nil,
        patience: Duration? = nil
    ) throws(MessagingError) -> Identity {
        try post(to: .topic(topic), type, content, encoding, cause, patience)
    }

    func post(
        to destination: Address, _ type: String, _ content: [UInt8],
        _ encoding: Envelope.ContentEncoding, _ cause: Identity?, _ patience: Duration?,
        keeping owner: (any ContentOwner)? = nil
    ) throws(MessagingError) -> Identity {
        let outflow = try outflow(to: destination, type)
        guard !isDrained else {
            throw MessagingError(.send(destination, type: type), .closed)
        }
        if outflow.draft.count > 0, cause == nil, owner == nil,
            let identity = try postNext(content, encoding, outflow, patience)
        {
            return identity
        }
        let delivery = deliveryClass(to: destination)
        if delivery == .atLeastOnce {
            try waitForOutbox(owner?.bytes.count ?? content.count, destination, type, patience)
        }
        var envelope = Envelope(
            identity: Identity(
                flow: outflow.flow, incarnation: incarnation, sequence: outflow.sequence + 1),
            type: type, sent: clock.now, cause: cause, contentEncoding: encoding,
            delivery: delivery, content: content)
        if let owner { envelope.keep(owner) }
        if let reason = transport.refusal(of: envelope) {
            throw try refuse(destination, type, reason)
        }
        try record(envelope, .sent, transport: transport.name)
        outflow.sequence += 1
        if isDual { duplicate(envelope) }
        sentCount += 1
        if delivery == .atLeastOnce {
            try keep(envelope, outflow)
            return envelope.identity
        }
        if !untoldGaps.isEmpty { try tellGaps(to: destination) }
        guard hasDefects else {
            try dispatch(envelope, outflow, patience)
            return envelope.identity
        }
        if let delay = primaryDefects.defects?.delay { try idle(for: UInt64(delay) * 1_000) }
        for copy in primaryDefects.apply(envelope, at: clock.now) {
            try dispatch(copy, outflow, patience)
        }
        return envelope.identity
    }

    /// Puts on record that something was not sent: nobody will miss what has no identity.
    ///
    /// - Returns: The error that says so.
    func refuse(
        _ destination: Address, _ type: String, _ reason: MessagingError.Reason
    ) throws(MessagingError) -> MessagingError {
        try annotate(
            .refused(
                to: destination, type: type, reason: reason.description, by: name, at: clock.now))
        return MessagingError(.send(destination, type: type), reason)
    }

    /// Sends, and goes on receiving while there is no room.
    func transmit(_ envelope: Envelope, patience: Duration? = nil) throws(MessagingError) {
        let attempt = MessagingError.Attempt.send(envelope.destination, type: envelope.type)
        let usual = transport.name == "nats" ? options.natsSendTimeout : nil
        let patience = patience ?? usual ?? options.sendTimeout
        let end = clock.now + patience.nanoseconds
        do throws(MessagingError) {
            while try !transport.send(envelope) {
                let now = clock.now
                guard now < end else {
                    throw MessagingError(attempt, .noRoom(waited: patience))
                }
                let outbound = transport.outboundItems(to: envelope.destination)
                // Where nothing tells that there is room, look again soon.
                let wait = outbound.isEmpty ? min(end - now, 2_000_000) : end - now
                var items = outbound + (isFull ? [] : transport.inboundItems())
                _ = try zeroMQ(attempt) { () throws(ZeroMQError) in
                    try poll(&items, timeout: .nanoseconds(Int64(clamping: wait)))
                }
                try pump()
            }
        } catch {
            guard envelope.kind == .content || envelope.kind == .batch else { throw error }
            for identity in envelope.identities {
                counts.dropped += 1
                noteGap(identity)
                try annotate(
                    .dropped(
                        identity, reason: error.reason.description, by: name, at: clock.now))
            }
            throw error
        }
    }

    /// What one destination is told of at most; beyond that its own patience ends the wait.
    private static let untoldGapsMax = 1_000

    private func noteGap(_ identity: Identity) {
        let (destination, sequence) = (identity.flow.destination, identity.sequence)
        var gaps = untoldGaps[destination] ?? []
        if let last = gaps.last, last.upperBound + 1 == sequence {
            gaps[gaps.count - 1] = last.lowerBound...sequence
        } else if gaps.count < Self.untoldGapsMax {
            gaps.append(sequence...sequence)
        }
        untoldGaps[destination] = gaps
    }

    /// Tells receivers what will never come, before what comes behind it.
    private func tellGaps(to destination: Address) throws(MessagingError) {
        guard let gaps = untoldGaps.removeValue(forKey: destination) else { return }
        for gap in gaps {
            let content: Value = [
                "from": .integer(Int64(clamping: gap.lowerBound)),
                "through": .integer(Int64(clamping: gap.upperBound)),
                "reason": "dropped by its sender: no room on the way",
            ]
            let notice = Envelope(
                identity: Identity(
                    flow: Flow(source: name, destination: destination), incarnation: incarnation,
                    sequence: gap.lowerBound),
                kind: .gap, type: "gap", sent: clock.now, contentEncoding: .json,
                content: Array(content.canonical.utf8))
            // Only a courtesy: without it the receiver waits out its bound.
            _ = try transport.send(notice)
        }
    }

    func record(
        _ envelope: Envelope, _ direction: Direction, transport: String, lane: Lane = .primary
    ) throws(MessagingError) {
        do throws(HistoryError) {
            try recorder?.record(envelope, direction, transport: transport, lane: lane)
        } catch {
            throw MessagingError(.record, .history(error))
        }
    }

    func annotate(_ annotation: Annotation) throws(MessagingError) {
        do throws(HistoryError) {
            try recorder?.annotate(annotation)
        } catch {
            throw MessagingError(.record, .history(error))
        }
    }
}
