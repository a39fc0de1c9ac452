internal import DequeModule
internal import JSON
internal import Moves
public import Wire
public import ZeroMQ

/// An agent's way into the mesh over ZeroMQ: a DEALER to its branch's ROUTER, an XPUB to each topic
/// proxy that it publishes through and a SUB from each that it hears.
public final class ZeroMQTransport: AgentTransport {
    /// `zmq`.
    public let name = "zmq"
    let configuration: Configuration
    private let clock: RunClock
    private var dealer: Socket
    let topics: TopicLane
    /// Where the agent lives, as its branch said last when it was asked.
    var decision: Route?
    /// The latest move of which the branch has said that all that was sent on the old way has gone on.
    var settledEpoch: UInt64 = 0
    /// What is received, in libzmq's own buffers.
    private var incoming = MultipartMessage()
    /// What came while the branch's answer was waited for.
    private var early: Deque<Inbound> = []
    /// Where the next look begins, so that no way in starves the others.
    private var turn = 0
    private var owedCredit = 0
    private var isAttached = false
    /// The branch answered that it has no such agent.
    private var isUnknown = false
    /// The branch's word that it holds everything from now on.
    private var marked: LastMarker?
    /// Of which hold the last markers must be.
    private var awaitedHold: UInt64?
    /// Which start of the branch's proxy answered the hello.
    private var branchIncarnation: Int64?
    /// By which it is noticed that the branch's proxy is frozen.
    private var beat: Beat?
    private let context: Context
    /// To whom nothing is sent until the branch says so: there is little room left for them.
    private var heldBack: Set<String> = []
    /// Another start of it says hello: it does not know how much may be sent.
    private var owesHello = false
    /// Starts of the branch's proxy after the first one.
    public private(set) var reconnections = 0
    /// Whether the branch has passed on everything that was sent before the last outbound marker.
    public private(set) var isOutboundDrained = false

    private static let dealerSource = 0

    /// Connects to the branch and waits for its answer.
    ///
    /// - Parameters:
    ///   - configuration: The agent and its mesh.
    ///   - clock: The run's clock.
    ///   - context: Owns the sockets' I/O threads; what is unsent when the transport ends is still
    ///     sent while the context lives, or for up to a second when it ends.
    ///   - connections: Where the ways to topic proxies come from; nil is some of its own.
    /// - Throws: `MessagingError`, with reason `.timeout` where the branch does not answer, or
    ///   `.notRegistered` where it answers that it has no such agent.
    public init(
        _ configuration: Configuration, clock: RunClock, in context: Context,
        sharing connections: Connections? = nil
    ) throws(MessagingError) {
        self.configuration = configuration
        self.clock = clock
        self.context = context
        topics = TopicLane(
            agent: configuration.agent, incarnation: configuration.incarnation,
            proxies: configuration.topicProxies, keepFrom: configuration.keepFrom, clock: clock,
            over: connections ?? Connections(in: context))
        let attempt = MessagingError.Attempt.attach(configuration.branch)
        do throws(ZeroMQError) {
            var options = SocketOptions(routingID: configuration.agent, linger: .seconds(1))
            options.sendTimeout = .seconds(2)
            dealer = try Socket(.dealer, in: context, options: options)
            try dealer.connect(to: configuration.branch)
        } catch {
            throw MessagingError(attempt, .zeroMQ(error))
        }
        try attach(attempt)
    }

    private func attach(_ attempt: MessagingError.Attempt) throws(MessagingError) {
        let end = clock.now + configuration.attachTimeout.nanoseconds
        // Said again in case that the first went into a connection that was being lost.
        var again: UInt64 = 0
        while !isAttached {
            let now = clock.now
            guard now < end else {
                throw MessagingError(attempt, .timeout(configuration.attachTimeout))
            }
            try zeroMQ(attempt) { () throws(ZeroMQError) in
                if now >= again {
                    _ = try sayHello()
                    again = now + 1_000_000_000
                }
                var items = [dealer.pollItem()]
                _ = try poll(&items, timeout: .nanoseconds(Int64(min(end, again) - now)))
            }
            while try receiveFromBranch() {
                if let inbound = decode() { early.append(inbound) }
            }
        }
        guard !isUnknown else { throw MessagingError(attempt, .notRegistered) }
    }

    private func sayHello() throws(ZeroMQError) -> Bool {
        let hello: Value = [
            "incarnation": .integer(Int64(configuration.incarnation)),
            "window": .integer(Int64(configuration.window)), "pauses": true, "batches": true,
            "beats": true,
        ]
        return try sendToProxy(.hello, type: "hello", Array(hello.canonical.utf8))
    }

    /// Says hello to a branch that was started again; without room now, with the next look.
    private func sayHelloAgain() {
        guard owesHello, (try? sayHello()) == true else { return }
        owesHello = false
        // The window is whole again: what is owed of the old one is not.
        owedCredit = 0
    }

    private func heed(hello: Envelope) {
        let answer = try? Value(parsing: hello.content)
        let start = answer?["incarnation"]?.integer
        // Another proxy knows nothing of what was said before; the same one asks where the
        // connection was lost, and with it what was in it.
        let isAnother = start != nil && start != branchIncarnation
        if isAnother || answer?["again"] == true {
            if isAttached {
                owesHello = true
                reconnections += 1
            }
            heldBack = []
        }
        branchIncarnation = start ?? branchIncarnation
        isAttached = true
        listenForBeats(within: .milliseconds(answer?["peer_timeout_ms"]?.integer ?? 0))
        isUnknown = answer?["registered"] == false
        sayHelloAgain()
    }

    /// Where the branch watches its agents, it can be watched by them.
    private func listenForBeats(within timeout: Duration) {
        guard beat == nil, timeout > .zero else { return }
        // Without it nothing is lost but the word that the branch is silent.
        beat = try? Beat.toBranch(
            at: configuration.branch, of: configuration.agent, within: timeout, clock: clock,
            in: context)
    }

    private func remark() throws(MessagingError) -> String? {
        let own = try zeroMQ(.receive) { () throws(ZeroMQError) in try beat?.look() }
        if let own { return own }
        return try topics.remark()
    }

    private func isHeldBack(_ name: String) -> Bool {
        !heldBack.isEmpty && heldBack.contains(name)
    }

    /// Whether the branch said to hold back what is for an agent, or to go on.
    private func heed(pause envelope: Envelope) -> Bool {
        guard let agent = (try? Value(parsing: envelope.content))?["agent"]?.string else {
            return false
        }
        switch envelope.type {
        case "pause": heldBack.insert(agent)
        case "resume": heldBack.remove(agent)
        default: return false
        }
        return true
    }

    func sendToProxy(
        _ kind: Envelope.Kind, type: String, _ content: [UInt8], wait: Bool = false
    ) throws(ZeroMQError) -> Bool {
        let envelope = Envelope(
            identity: Identity(
                flow: Flow(source: configuration.agent, destination: .agent("")),
                incarnation: configuration.incarnation, sequence: 0),
            kind: kind, type: type, sent: clock.now, contentEncoding: .json, content: content)
        return try dealer.send([[], envelope.header, content], wait: wait) == .sent
    }

    /// Where no topic proxy serves the topic, or where a peer would hang up: so large is no frame.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        guard envelope.contentSize <= SocketOptions.frameSizeMax else {
            return .oversize(bytes: envelope.contentSize, limit: SocketOptions.frameSizeMax)
        }
        return topics.refusal(of: envelope)
    }

    /// ZeroMQ carries any size.
    public let batchBytesMax = Batch.bytesMax

    /// To the branch, or to the topic's proxy; false where it has no room or is away.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool {
        switch envelope.destination {
        case .agent(let name):
            if isHeldBack(name), envelope.kind != .acknowledgement, envelope.kind != .gap {
                return false
            }
            let attempt = MessagingError.Attempt.send(envelope.destination, type: envelope.type)
            return try zeroMQ(attempt) { () throws(ZeroMQError) in
                try dealer.send([Array(name.utf8)], envelope, keepingFrom: configuration.keepFrom)
            }
        case .topic(let topic): return try topics.send(envelope, on: topic)
        }
    }

    /// The next thing from the branch or a topic proxy, in turns.
    public func receive() throws(MessagingError) -> Inbound? {
        if let inbound = early.popFirst() { return inbound }
        let sources = topics.count + 1
        for _ in 0..<sources {
            let source = turn % sources
            turn = source + 1
            while try receive(from: source) {
                let inbound =
                    source == Self.dealerSource ? decode() : try topics.decode(from: source - 1)
                if let inbound { return inbound }
            }
        }
        sayHelloAgain()
        if owedCredit >= max(1, configuration.window / 2) { grantCredit() }
        return try remark().map { .remark($0) }
    }

    private func receive(from source: Int) throws(MessagingError) -> Bool {
        source == Self.dealerSource
            ? try receiveFromBranch() : try topics.receive(from: source - 1)
    }

    private func receiveFromBranch() throws(MessagingError) -> Bool {
        try zeroMQ(.receive) { () throws(ZeroMQError) in try dealer.receive(into: &incoming) }
    }

    /// What the branch said; nil where it is for this transport alone.
    private func decode() -> Inbound? {
        guard incoming.frameCount == 2 else {
            return .malformed("the branch sent \(incoming.frameCount) frames")
        }
        let envelope: Envelope
        do throws(WireError) {
            envelope = try incoming.takeEnvelope(at: 0, keepingFrom: configuration.keepFrom)
        } catch {
            return .malformed("from the branch: \(error)")
        }
        switch envelope.kind {
        case .content:
            // Behind a last marker nothing comes, unless its move was given up.
            marked = nil
            return .arrival(Arrival(envelope, transport: name, isCredited: true))
        case .batch:
            marked = nil
            let inbound = Inbound.batch(
                envelope, from: "from the branch", transport: name, isCredited: true)
            // What cannot be read has taken credit all the same.
            if case .malformed = inbound { owedCredit += envelope.envelopeCount }
            return inbound
        case .gap: return GapNotice.inbound(envelope)
        case .hello:
            heed(hello: envelope)
        case .marker:
            switch envelope.type {
            case Self.outboundMarker: isOutboundDrained = true
            case MoveWord.answer, MoveWord.settle: heed(move: envelope)
            default: marked = LastMarker(envelope, at: clock.now)
            }
        case .credit where heed(pause: envelope): break
        case .acknowledgement: return Acknowledgement.inbound(envelope)
        case .credit: return .malformed("unexpected \(envelope.kind)")
        }
        return nil
    }

    /// The branch's and the topic proxies' sockets.
    public func inboundItems() -> [PollItem] {
        [dealer.pollItem()] + topics.pollItems + (beat.map { [$0.pollItem] } ?? [])
    }

    /// The branch's socket; for topics libzmq does not tell, nor for whom the branch holds back.
    public func outboundItems(to destination: Address) -> [PollItem] {
        guard case .agent(let name) = destination, !isHeldBack(name) else { return [] }
        return [dealer.pollItem(.writable)]
    }

    /// Subscribes at every proxy that may carry something under the topic.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        try topics.subscribe(to: topic)
    }

    /// Ends the subscription at every proxy, once what it had sent until now has come.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        try topics.unsubscribe(from: topic)
    }

    /// Tells the branch, each time that half of the window was consumed.
    public func consumed(_ count: Int) {
        owedCredit += count
        if owedCredit >= max(1, configuration.window / 2) { grantCredit() }
    }

    private func grantCredit() {
        // Without room now it is tried again with the next that is consumed or received.
        let isSent = try? sendToProxy(.credit, type: "credit", Array(String(owedCredit).utf8))
        if isSent == true { owedCredit = 0 }
    }

    private static let outboundMarker = "outbound"

    /// Nothing to ask for: whoever moves the agent has its proxies send a last marker.
    public func beginInboundDrain(of hold: UInt64?) throws(MessagingError) { awaitedHold = hold }

    /// Whether the branch's and every topic proxy's last marker came.
    public var isInboundDrained: Bool {
        early.isEmpty && marked?.ends(awaitedHold, at: clock.now) ?? false
            && topics.isDrained(of: awaitedHold)
    }

    /// Sends a marker behind everything; the branch sends it back.
    public func beginOutboundDrain() throws(MessagingError) {
        isOutboundDrained = false
        let isSent = try zeroMQ(.drain) { () throws(ZeroMQError) in
            try sendToProxy(.marker, type: Self.outboundMarker, Array("1".utf8), wait: true)
        }
        guard isSent else { throw MessagingError(.drain, .noRoom(waited: .seconds(2))) }
    }

    /// Ends the subscriptions and the ways to the topic proxies; the way to the branch ends with
    /// the transport.
    public func close() {
        topics.close()
    }
}
