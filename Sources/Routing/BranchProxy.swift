internal import CLinux
internal import Control
internal import DequeModule
internal import JSON
internal import Moves
internal import Recording
internal import Threads
internal import Wire
internal import ZeroMQ

/// The proxy of one branch: a ROUTER that knows where each of its agents lives, linked to the
/// proxies of other branches and bridged to NATS.
///
///     agents (DEALER) ── ROUTER ── outlet per agent, per link
///                          │
///                     NATS bridge (threads of its own)
///
/// One thread runs it and owns its sockets; nothing that the loop does waits for one peer. What
/// came from NATS is delivered to ZeroMQ only, and what came over a link is delivered locally
/// only, so that no envelope can go in circles.
///
/// ```swift
/// let surroundings = try Surroundings(context: context, log: { print($0) })
/// let proxy = try BranchProxy(configuration, in: surroundings)
/// print(proxy.endpoints)
/// try proxy.run(stop: descriptor)
/// ```
///
/// In a test, or inside another program, `ProxyThread` runs it on a thread of its own.
public final class BranchProxy: Node {
    /// What it is to the orchestrator.
    public static let role = "branch"
    /// Where agents connect, with the port that the system chose for `*`: `router`.
    public let endpoints: [String: String]

    let configuration: BranchConfiguration
    let context: Context
    let clock: RunClock
    let log: @Sendable (String) -> Void
    let limits: QueueLimits
    let inbox: Inbox
    let bridge: NATSBridge?
    let history: HistoryKeeper

    /// The ROUTER, and what the short way through needs.
    var passage: BranchPassage
    /// Tells of agents that go.
    var monitor: Monitor
    /// Connections that have ended, and whose last messages may still be unread.
    var gone: [Int32] = []
    var peers: [[UInt8]: Peer] = [:]
    var links: [String: Link] = [:]
    /// Agents of linked branches.
    var remote: [[UInt8]: Link] = [:]
    var deadLetters: DeadLetters
    var stamper: SeedStamper
    let incarnation: UInt32
    /// Agents that something waits for although they have credit: libzmq had no room, or no peer.
    var blocked: [ObjectIdentifier: Peer] = [:]
    /// Destinations whose queues fill, where senders are to wait for them.
    var fillings: [ObjectIdentifier: Filling] = [:]
    /// Whether something from NATS may wait that nothing tells of again.
    var hasLeftArrivals = false
    var nextWatch = ContinuousClock.now
    /// The most bytes that have waited since memory was given back.
    private var queuedBytes = 0
    private var nextTrim = ContinuousClock.now
    /// How often everybody had to wait.
    var waits = 0
    /// What the proxy itself says and could not yet.
    var unsent: Deque<[[UInt8]]> = []
    /// Agents that are to be told that this proxy is another one than they said hello to.
    var unasked: [Peer] = []
    var nextAsk = ContinuousClock.now
    /// Agents that were there and whose connection has ended.
    var strayed: [Peer] = []
    var nextSearch = ContinuousClock.now
    /// Agents of other branches of whom something that came over a link went to NATS from here.
    var publishedFromLinks: Set<Int> = []
    /// Where it is kept where the agents live.
    let registry: RouteRegistry?
    /// Agents of which it is being decided where they live.
    var deciding: [Peer] = []
    /// The first token that no decision has used.
    var routeTokens: UInt64 = 1
    /// When the proxy came to be.
    let began = ContinuousClock.now
    var pending: PendingTable
    var commands: CommandSource
    var isStopped = false

    /// Messages of one look at the ROUTER; then everything else gets its turn.
    static let batchMax = 512
    private static let connectTimeout = Duration.seconds(5)

    /// Binds, and connects to NATS where there is one, which may take a while.
    ///
    /// - Parameters:
    ///   - configuration: The branch.
    ///   - surroundings: What it finds where it is started.
    /// - Throws: `RoutingError` when the endpoint cannot be bound.
    public init(
        _ configuration: BranchConfiguration, in surroundings: consuming Surroundings
    ) throws(RoutingError) {
        let (context, inbox) = (surroundings.context, surroundings.inbox)
        let (clock, log) = (surroundings.clock, surroundings.log)
        self.configuration = configuration
        self.context = context
        self.clock = clock
        self.log = log
        self.inbox = inbox
        incarnation = surroundings.incarnation
        pending = PendingTable(incarnation: incarnation)
        limits = QueueLimits(
            messages: configuration.queueMessages, bytes: configuration.queueBytes,
            overflow: configuration.overflow)
        history = HistoryKeeper(surroundings.history, log: log)
        commands = surroundings.commands
        deadLetters = DeadLetters(name: configuration.name, clock: clock, log: log)
        stamper = SeedStamper(incarnation: incarnation)
        let router = try zeroMQ { () throws(ZeroMQError) in
            var router = try Socket(
                .router, in: context,
                options: SocketOptions(
                    linger: .seconds(1), routerMandatory: true, routerHandover: true))
            try router.bind(to: configuration.endpoint)
            return router
        }
        monitor = try zeroMQ { () throws(ZeroMQError) in
            try Monitor(of: router, in: context)
        }
        endpoints = ["router": router.lastEndpoint]
        passage = BranchPassage(router)
        let (limits, isChunking) = (limits, configuration.isChunking)
        bridge = try configuration.nats.map { url throws(RoutingError) in
            try NATSBridge(
                .init(
                    url: url, name: "branch \(configuration.name)", limits: limits,
                    isChunking: isChunking), inbox: inbox)
        }
        registry = configuration.registry.map { RouteRegistry(path: $0) }
        let known = try registry?.read() ?? [:]
        for agent in configuration.agents {
            let peer = Peer(
                agent, number: passage.statistics.number(of: Array(agent.name.utf8)),
                limits: limits,
                isRestarted: incarnation > 1)
            if let route = known[agent.name] {
                peer.transport = route.transport
                peer.epoch = route.epoch
            }
            peers[peer.routingID] = peer
            passage.registry.insert(peer, for: peer.routingID)
            if incarnation > 1, peer.wire == .frames { unasked.append(peer) }
        }
        for neighbour in configuration.neighbours {
            try zeroMQ { () throws(ZeroMQError) in try link(neighbour) }
        }
        try startBridge()
    }

    private func startBridge() throws(RoutingError) {
        guard let bridge else { return }
        let isThere = try bridge.start(waiting: Self.connectTimeout, log: log)
        var waiting = 0
        if configuration.isTapping, incarnation > 1 {
            let reason = "it was started again: what passed on NATS meanwhile was not seen"
            history.annotate(.blind(reason: reason, by: configuration.name, at: clock.now))
        }
        for peer in peers.values where peer.transport == .zmq || isWatching(peer) {
            waiting += 1
            listen(to: peer) { _ in waiting -= 1 }
        }
        // Whoever is told that the proxy is ready may count on the bridge.
        while isThere, waiting > 0 {
            bridge.pause()
            handleInbox()
            expirePending()
        }
    }

    /// Serves until `stop` is readable or the command `stop` came, then ends in order.
    ///
    /// - Parameter stop: A descriptor that becomes readable when the proxy is to end.
    /// - Throws: `RoutingError` when a socket fails in a way that no peer can cause.
    public func run(stop: Int32? = nil) throws(RoutingError) {
        var nextReport = ContinuousClock.now + configuration.routingReport
        while !isStopped {
            let order = links.values.map(\.self)
            var items = [
                passage.router.pollItem(isReading ? .readable : []),
                .fileDescriptor(inbox.wakeUp.descriptor),
            ]
            items += order.map { $0.socket.pollItem() }
            let extra = items.count
            if let item = commands.pollItem { items.append(item) }
            if let stop { items.append(.fileDescriptor(stop)) }
            let wait = pollTimeout(until: nextReport)
            _ = try zeroMQ { () throws(ZeroMQError) in try poll(&items, timeout: wait) }
            if let stop, items[items.count - 1].isReadable, stop >= 0 { break }
            if items[1].isReadable || hasLeftArrivals { handleInbox(arrivals: isReading) }
            // First, so that whoever asks is told of them.
            try noteDisconnects()
            if items[extra...].contains(where: \.isReadable) { try handleControl() }
            for (index, link) in order.enumerated() where items[2 + index].isReadable {
                try hear(from: link)
            }
            if items[0].isReadable { _ = try receiveBatch() }
            try askForHellos()
            try askTheStrayed()
            try retry()
            try tendFillings()
            try watchPeers()
            try tendDecisions()
            expirePending()
            deadLetters.writeWaiting()
            let now = ContinuousClock.now
            if now >= nextTrim { giveMemoryBack(at: now) }
            if now >= nextReport {
                writeReport()
                nextReport = now + configuration.routingReport
            }
        }
        try shutDown()
    }

    private func pollTimeout(until report: ContinuousClock.Instant) -> Duration {
        var wait = min(.milliseconds(200), max(.zero, report - .now))
        if !pending.isEmpty { wait = min(wait, .milliseconds(50)) }
        if unasked.contains(where: { $0.transport == .zmq }) { wait = min(wait, askInterval) }
        if !blocked.isEmpty { wait = min(wait, .milliseconds(10), askInterval) }
        let isFull =
            blocked.values.contains { $0.isReachable }
            || links.values.contains { !$0.outlet.isEmpty }
        if configuration.peerTimeout > .zero {
            wait = min(wait, max(.milliseconds(10), configuration.peerTimeout / 6))
        }
        if !fillings.isEmpty { wait = min(wait, .milliseconds(10)) }
        if !unsent.isEmpty || isFull || !isReading { wait = min(wait, .milliseconds(1)) }
        return wait
    }

    /// Tries again what had no room.
    func retry() throws(RoutingError) {
        while let frames = unsent.first {
            let result = try zeroMQ { () throws(ZeroMQError) in try passage.router.send(frames) }
            guard result != .wouldBlock else { break }
            unsent.removeFirst()
        }
        for peer in blocked.values { try pump(peer) }
        for link in links.values { try pump(link) }
    }

    /// Sends something that the proxy itself says to whoever asked.
    func say(_ frames: [[UInt8]]) throws(RoutingError) {
        let result = try zeroMQ { () throws(ZeroMQError) in try passage.router.send(frames) }
        // Who is gone asks again when it is back.
        if result == .wouldBlock, unsent.count < 10_000 { unsent.append(frames) }
    }

    /// How often memory is given back at most, and for how much less that waits.
    private static let trimInterval = Duration.seconds(1)
    private static let trimBytes = 256 << 10

    /// What waited for somebody slow has gone, if only for a moment: libc would keep its memory, and
    /// what waits the next time would lie among that.
    private func giveMemoryBack(at now: ContinuousClock.Instant) {
        nextTrim = now + Self.trimInterval
        var (most, left) = (0, 0)
        for peer in peers.values {
            most += peer.outlet.takeBytesMax()
            left += peer.outlet.queue.bytes
        }
        for link in links.values {
            most += link.outlet.takeBytesMax()
            left += link.outlet.queue.bytes
        }
        queuedBytes = max(queuedBytes, most)
        guard queuedBytes >= left + Self.trimBytes else { return }
        queuedBytes = left
        synmesh_trim_memory()
    }

    func writeReport() {
        for line in reportLines { log(line) }
    }

    var reportLines: [String] {
        passage.statistics.report(title: configuration.name, deadLetters: deadLetters.counts)
            + silenceLines
    }

    private func handleControl() throws(RoutingError) {
        while true {
            let command = try controlPlane { () throws(ControlError) in try commands.next() }
            guard let command else { return }
            try perform(command.name, command.arguments, for: .control(command.id))
        }
    }

    func handleInbox(arrivals: Bool = true) {
        hasLeftArrivals = !arrivals
        for event in inbox.takeAll(arrivals: arrivals) {
            do throws(RoutingError) {
                try handle(event)
            } catch {
                log("ROUTING: \(error)")
            }
        }
    }

    /// The link's peer only ever returns markers.
    private func hear(from link: Link) throws(RoutingError) {
        while true {
            let frames = try zeroMQ { () throws(ZeroMQError) in try link.socket.receive() }
            guard let frames else { return }
            guard frames.count == 2, let view = HeaderView(frames[0]) else {
                deadLetters.addMalformed("from branch \(link.name)", history: history)
                continue
            }
            guard view.kind == .marker,
                let token = UInt64(decimal: frames[1])
                    ?? (try? Value(parsing: frames[1])).flatMap({ LinkQuestion($0) })?.token
            else { continue }
            complete(token, true)
        }
    }
}

extension UInt64 {
    /// Reads decimal digits, and nothing else.
    init?(decimal bytes: [UInt8]) {
        guard !bytes.isEmpty, bytes.count <= 20,
            bytes.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        self.init(String(decoding: bytes, as: UTF8.self))
    }
}
