internal import DequeModule
public import Moves
internal import Recording
public import Wire
public import ZeroMQ

/// A way into the mesh that is changed for the other while the agent goes on.
///
/// It has one way, and during a move both; the client sees one transport. What happens when is said by a
/// `MovingAgent`; here is what carries it out. The moves are in `LiveTransport+Moving.swift`.
///
/// ```swift
/// let transport = try LiveTransport(
///     agent: "capture", at: Route(.zmq, epoch: 0), clock: clock, openers: openers)
/// transport.begin(Route(.nats, epoch: 1))
/// ```
public final class LiveTransport: AgentTransport {
    let agent: String
    let clock: RunClock
    let openers: WayOpeners
    /// What the agent does in its moves.
    var mover: MovingAgent
    var zmq: OpenWay<ZeroMQTransport>?
    var nats: OpenWay<NATSTransport>?
    /// A way that is being opened, and for which move.
    var opening: (route: Route, opening: WayOpening)?
    /// Set from the end of sending on the old way until the beginning of sending on the new one.
    var pausedSince: UInt64?
    var move: LiveMove?
    /// Moves that have ended and that nobody has asked for yet.
    var finished: [LiveMove] = []
    /// Bytes of contents that came on a way that is held.
    var keptBytes = 0
    /// What to tell the client.
    var remarks: Deque<Inbound> = []
    var nextTick: UInt64 = 0
    /// A step of the next move at which the process is to be stopped, and how.
    var halt: (stage: MovingAgent.Stage, action: () -> Void)?
    /// What is subscribed to; what waits for the end of a move is not.
    var topics: Set<String> = []
    /// Whether the agent has ever published.
    var hasPublished = false
    /// Subscriptions that wait for the end of a move.
    var wishes: Deque<TopicWish> = []
    private var tickets: UInt64 = 0
    /// Of the tickets here: which of the way's own they are.
    private var confirming: [UInt64: (transport: Transport, ticket: UInt64)] = [:]
    /// Envelopes of a batch that was too large for the present way.
    private var parts: Deque<Envelope> = []
    /// How often ways that are closed were broken and whole again.
    var formerReconnections = 0
    private var isZeroMQsTurn = false
    /// How often the way that is sent on was changed for another.
    public internal(set) var switches = 0
    /// Faults for chunks, which every way to NATS is to have.
    private var defects: (defects: Defects?, lane: Lane)?

    /// A subscription that is to begin, with its ticket, or to end.
    struct TopicWish {
        let topic: String
        let ticket: UInt64?
    }

    /// Opens the first way.
    ///
    /// - Parameters:
    ///   - agent: The agent's name.
    ///   - route: Where it lives.
    ///   - clock: The run's clock.
    ///   - openers: How to get to either way.
    ///   - deadlines: How long the steps of a move may take.
    /// - Throws: `MessagingError` where the way cannot be opened.
    public init(
        agent: String, at route: Route, clock: RunClock, openers: WayOpeners,
        deadlines: MoveDeadlines = MoveDeadlines()
    ) throws(MessagingError) {
        self.agent = agent
        self.clock = clock
        self.openers = openers
        mover = MovingAgent(at: route, deadlines: deadlines)
        install(try .open(route.transport, by: openers, topics: []), isHeld: false)
    }

    /// Begins to open the ways of an agent that had a life before this one, which may have been moved, or
    /// was about to be: its home says where it lives.
    ///
    /// Until `isMoving` is false nothing is handed out or sent.
    ///
    /// - Parameters:
    ///   - agent: The agent's name.
    ///   - route: Where it should live, under an epoch that is above all that were before.
    ///   - clock: The run's clock.
    ///   - openers: How to get to either way.
    ///   - deadlines: How long the steps of a move may take.
    /// - Throws: `MessagingError` where there is no room for a thread.
    public init(
        agent: String, returningTo route: Route, clock: RunClock, openers: WayOpeners,
        deadlines: MoveDeadlines = MoveDeadlines()
    ) throws(MessagingError) {
        self.agent = agent
        self.clock = clock
        self.openers = openers
        let (mover, actions) = MovingAgent.starting(
            at: route, deadlines: deadlines, now: clock.now)
        self.mover = mover
        move = LiveMove(target: route, began: clock.now)
        try perform(actions)
    }

    func install(_ way: OpenedWay, isHeld: Bool) {
        switch way.kind {
        case .zmq(let transport):
            let early = way.early.map { transport.credited($0) }
            zmq = OpenWay(transport: transport, early: Deque(early), isHeld: isHeld)
        case .nats(let transport):
            if let defects { transport.plant(defects.defects, lane: defects.lane) }
            nats = OpenWay(transport: transport, early: Deque(way.early), isHeld: isHeld)
        }
    }

    func plant(_ defects: Defects?, lane: Lane) {
        self.defects = (defects, lane)
        nats?.transport.plant(defects, lane: lane)
    }

    func way(_ transport: Transport) -> (any AgentTransport)? {
        switch transport {
        case .zmq: zmq?.transport
        case .nats: nats?.transport
        }
    }

    /// The way that is sent on.
    private var outbound: (any AgentTransport)? { way(mover.sending) }
    private var all: [any AgentTransport] { [way(.zmq), way(.nats)].compactMap(\.self) }

    /// Where the agent hears, and where it is registered as far as it knows.
    public var route: Route { mover.route }

    /// Whether a move is going on, or the agent has not been told yet where it lives.
    public var isMoving: Bool { mover.stage != nil }

    /// Whether nothing is sent until the old way is known to have ended.
    public var isPaused: Bool { pausedSince != nil }

    /// That of the way that is sent on.
    public var name: String { mover.sending.rawValue }

    /// Whether the way that is sent on has a connection, and is sent on now.
    public var isConnected: Bool { !isPaused && outbound?.isConnected ?? false }

    /// That of the way that is sent on; during a move that of either, since it may leave on the new one.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        guard isMoving else { return outbound?.refusal(of: envelope) }
        for way in all { if let reason = way.refusal(of: envelope) { return reason } }
        return nil
    }

    /// That of the way that is sent on.
    public var batchBytesMax: Int { outbound?.batchBytesMax ?? 0 }

    /// On the present way; false while there is none.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool {
        guard !isPaused, let outbound else { return false }
        if !hasPublished, case .topic = envelope.destination { hasPublished = true }
        while let part = parts.first {
            guard try outbound.send(part) else { return false }
            parts.removeFirst()
        }
        // It was begun on a way that takes larger ones.
        guard envelope.kind == .batch, envelope.contentSize > outbound.batchBytesMax,
            let envelopes = try? envelope.unbatched
        else { return try outbound.send(envelope) }
        parts = Deque(envelopes)
        return true
    }

    private func sendParts() throws(MessagingError) {
        while !isPaused, let part = parts.first, let outbound, try outbound.send(part) {
            parts.removeFirst()
        }
    }

    /// From the ways that are heard, in turns.
    public func receive() throws(MessagingError) -> Inbound? {
        try tend()
        if !parts.isEmpty { try sendParts() }
        if let remark = remarks.popFirst() { return remark }
        for _ in 0..<2 {
            isZeroMQsTurn.toggle()
            if let inbound = isZeroMQsTurn ? try zmq?.next() : try nats?.next() {
                return counted(inbound, isZeroMQsTurn ? .zmq : .nats)
            }
        }
        // What was received may have been the last that a move waited for.
        if isMoving { try tend() }
        return nil
    }

    private func counted(_ inbound: Inbound, _ transport: Transport) -> Inbound? {
        guard case .confirmed(let ticket) = inbound else { return inbound }
        let ours = confirming.first { $1.transport == transport && $1.ticket == ticket }?.key
        guard let ours else { return .remark("a subscription was confirmed twice") }
        confirming[ours] = nil
        return .confirmed(ticket: ours)
    }

    /// Of the ways that are heard.
    public func inboundItems() -> [PollItem] {
        var items: [PollItem] = zmq?.transport.inboundItems() ?? []
        // What is held there is readable all the time.
        if let nats, !nats.isHeld { items += nats.transport.inboundItems() }
        if let opening { items.append(opening.opening.pollItem) }
        if mover.stage == .marking { items += zmq?.transport.topics.settlingItems ?? [] }
        return items
    }

    /// Of the way that is sent on; nothing while there is none.
    public func outboundItems(to destination: Address) -> [PollItem] {
        isPaused ? [] : outbound?.outboundItems(to: destination) ?? []
    }

    /// On the present way; after the move where one is going on.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        tickets += 1
        if isMoving {
            wishes.append(TopicWish(topic: topic, ticket: tickets))
        } else {
            try subscribe(to: topic, as: tickets)
        }
        return tickets
    }

    private func subscribe(to topic: String, as ticket: UInt64) throws(MessagingError) {
        let transport = mover.route.transport
        guard let way = way(transport) else { return }
        topics.insert(topic)
        confirming[ticket] = (transport, try way.subscribe(to: topic))
    }

    /// On the present way; after the move where one is going on.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        guard !isMoving else { return wishes.append(TopicWish(topic: topic, ticket: nil)) }
        topics.remove(topic)
        try way(mover.route.transport)?.unsubscribe(from: topic)
    }

    /// Does what waited for the end of a move.
    func grantWishes() throws(MessagingError) {
        while !isMoving, let wish = wishes.popFirst() {
            if let ticket = wish.ticket {
                try subscribe(to: wish.topic, as: ticket)
            } else {
                topics.remove(wish.topic)
                try way(mover.route.transport)?.unsubscribe(from: wish.topic)
            }
        }
    }

    /// Only ZeroMQ counts.
    public func consumed(_ count: Int) { zmq?.transport.consumed(count) }

    /// On every way that is open.
    public func beginInboundDrain(of hold: UInt64?) throws(MessagingError) {
        zmq?.isHeld = false
        nats?.isHeld = false
        for way in all { try way.beginInboundDrain(of: way is ZeroMQTransport ? hold : nil) }
    }

    /// Of every way that is open.
    public var isInboundDrained: Bool {
        zmq?.early.isEmpty ?? true && nats?.early.isEmpty ?? true
            && all.allSatisfy(\.isInboundDrained)
    }

    /// On every way that is open.
    public func beginOutboundDrain() throws(MessagingError) {
        for way in all { try way.beginOutboundDrain() }
    }

    /// Of every way that is open.
    public var isOutboundDrained: Bool { all.allSatisfy(\.isOutboundDrained) }

    /// Of all that there were.
    public var reconnections: Int {
        formerReconnections + all.reduce(0) { $0 + $1.reconnections }
    }

    /// Ends all.
    public func close() {
        opening?.opening.abandon()
        opening = nil
        for way in all { way.close() }
    }
}

/// One way of an agent that can be moved.
struct OpenWay<Way: AgentTransport> {
    let transport: Way
    /// What came while it was opened or held: before what comes.
    var early: Deque<Inbound>
    /// Whether nothing is handed on yet of what comes here.
    var isHeld: Bool

    mutating func next() throws(MessagingError) -> Inbound? {
        guard !isHeld else { return nil }
        if let inbound = early.popFirst() { return inbound }
        return try transport.receive()
    }
}

/// A move, as it is reported.
public struct LiveMove: Sendable, Hashable {
    /// Where it was to go.
    public let target: Route
    /// When it began, by the run's clock.
    public let began: UInt64
    /// When it ended.
    public var ended: UInt64 = 0
    /// When the agent began to hear on both ways.
    public var opened: UInt64?
    /// For how long nothing was sent, in nanoseconds.
    public var pause: UInt64 = 0
    /// Things that were held until the old way had ended.
    public var held = 0
    /// How it ended.
    public var outcome: MovingAgent.Outcome?
    /// Why a way could not be opened.
    public var reason: String?
}
