internal import Control
internal import DequeModule
internal import JSON
internal import Recording
internal import Threads
internal import Wire
internal import ZeroMQ

/// The bridge between NATS and a branch whose ROUTER is one of the user's own.
///
///     agents (DEALER) ── the user's ROUTER ── seat per agent on NATS ── bridge ── NATS
///
/// It is one more peer of that ROUTER: under the name of each agent that lives on NATS it has a
/// seat, and what comes there it publishes; what NATS has for agents on ZeroMQ it sends from the
/// seat of its sender, or from a seat of its own. That ROUTER keeps nothing for anybody: between
/// the moment an agent leaves its name and the moment the bridge has it, nobody may send to it, and
/// the orchestrator sees to that.
///
/// Like the proxies it is run by one thread, and what came from NATS never goes back there.
public final class BranchBridge: Node {
    /// What it is to the orchestrator: it has the registry of its branch, as the branch's own proxy
    /// would.
    public static let role = "branch"
    /// Nobody connects to it.
    public let endpoints: [String: String] = [:]

    let configuration: BridgeConfiguration
    let context: Context
    let clock: RunClock
    let log: @Sendable (String) -> Void
    let limits: QueueLimits
    let inbox: Inbox
    let bridge: NATSBridge
    let history: HistoryKeeper
    let incarnation: UInt32
    /// For what has no seat of its own.
    let ownSeat: Seat
    var residents: [String: Resident] = [:]
    var deadLetters: DeadLetters
    var pending = PendingTable()
    var commands: CommandSource
    var isStopped = false
    var messages = 0
    var bytes = 0

    /// Messages of one look at a seat; then everything else gets its turn.
    private static let batchMax = 512
    private static let startTimeout = Duration.seconds(10)

    /// Connects to the ROUTER and to NATS, and takes the names of the agents that live there.
    ///
    /// - Parameters:
    ///   - configuration: The branch.
    ///   - surroundings: What it finds where it is started.
    /// - Throws: `RoutingError` when the ROUTER does not give it its places.
    public init(
        _ configuration: BridgeConfiguration, in surroundings: consuming Surroundings
    ) throws(RoutingError) {
        let (context, inbox) = (surroundings.context, surroundings.inbox)
        let (clock, log) = (surroundings.clock, surroundings.log)
        self.configuration = configuration
        self.context = context
        self.clock = clock
        self.log = log
        self.inbox = inbox
        incarnation = surroundings.incarnation
        let limits = QueueLimits(
            messages: configuration.queueMessages, bytes: configuration.queueBytes)
        self.limits = limits
        history = HistoryKeeper(surroundings.history, log: log)
        commands = surroundings.commands
        deadLetters = DeadLetters(name: configuration.name, clock: clock, log: log)
        bridge = try NATSBridge(
            .init(
                url: configuration.nats, name: "bridge \(configuration.branch)",
                limits: limits, isChunking: configuration.isChunking), inbox: inbox)
        ownSeat = Seat(
            "_bridge.\(configuration.branch)", at: configuration.router, incarnation: incarnation,
            clock: clock, limits: limits, in: context)
        for agent in configuration.agents {
            let seat = Seat(
                agent.name, at: configuration.router, incarnation: incarnation, clock: clock,
                limits: limits, in: context)
            residents[agent.name] = Resident(agent, seat: seat)
        }
        try start()
    }

    private func start() throws(RoutingError) {
        _ = try bridge.start(waiting: Self.startTimeout, log: log)
        var waiting = 1
        var missing: [String] = []
        func take(_ seat: Seat) throws(RoutingError) {
            try seat.join(within: Self.startTimeout) { isOurs in
                waiting -= 1
                if !isOurs { missing.append(seat.name) }
            }
        }
        try take(ownSeat)
        for resident in residents.values {
            waiting += 1
            switch resident.transport {
            case .nats: try take(resident.seat)
            case .zmq: listen(to: resident) { _ in waiting -= 1 }
            }
        }
        // Whoever is told that the bridge is ready may count on it.
        while waiting > 0 {
            inbox.wakeUp.wait(milliseconds: 5)
            handleInbox()
            expirePending()
            try takeTurn()
        }
        guard missing.isEmpty else {
            throw .configuration(
                "the ROUTER at \(configuration.router) does not give back what "
                    + "'\(missing.sorted().joined(separator: "', '"))' says to itself")
        }
    }

    /// Serves until `stop` is readable or the command `stop` came, then ends in order.
    ///
    /// - Parameter stop: A descriptor that becomes readable when the bridge is to end.
    /// - Throws: `RoutingError` when a socket fails in a way that no peer can cause.
    public func run(stop: Int32? = nil) throws(RoutingError) {
        while !isStopped {
            var items = [.fileDescriptor(inbox.wakeUp.descriptor)] + seats.compactMap(\.pollItem)
            if let item = commands.pollItem { items.append(item) }
            if let stop { items.append(.fileDescriptor(stop)) }
            let isBusy = seats.contains { $0.isBusy }
            let wait: Duration =
                isBusy ? .milliseconds(5) : .milliseconds(pending.isEmpty ? 200 : 50)
            _ = try zeroMQ { () throws(ZeroMQError) in try poll(&items, timeout: wait) }
            if stop != nil, items[items.count - 1].isReadable { break }
            handleInbox()
            try handleControl()
            try takeTurn()
            expirePending()
            deadLetters.writeWaiting()
        }
        try shutDown()
    }

    var seats: [Seat] { [ownSeat] + residents.values.map(\.seat) }

    /// Takes what came at each seat, and does what is due.
    func takeTurn() throws(RoutingError) {
        for resident in residents.values where resident.seat.isOpen {
            for _ in 0..<Self.batchMax {
                guard let arrival = try resident.seat.receive() else { break }
                take(arrival, for: resident)
            }
        }
        while let arrival = try ownSeat.receive() {
            if case .malformed(let what) = arrival {
                deadLetters.addMalformed(what, history: history)
            }
        }
        for seat in seats { try seat.tick() }
    }

    private func handleControl() throws(RoutingError) {
        while true {
            let command = try controlPlane { () throws(ControlError) in try commands.next() }
            guard let command else { return }
            try perform(command.name, command.arguments, for: .control(command.id))
        }
    }

    func handleInbox() {
        for event in inbox.takeAll() {
            do throws(RoutingError) {
                try handle(event)
            } catch {
                log("ROUTING: \(error)")
            }
        }
    }

    /// Says to the orchestrator, where there is one, that the bridge has its places.
    public func announce() throws(RoutingError) {
        try controlPlane { () throws(ControlError) in try commands.ready(endpoints: endpoints) }
    }
}

/// An agent of the branch: where it lives, and what waits for it.
final class Resident {
    let name: String
    let seat: Seat
    var transport: Transport
    /// Raised with each move; a command of an earlier one comes too late.
    var epoch: UInt64 = 0
    /// What came for the agent since a move began; nil when none is under way.
    var held: ParcelQueue?
    /// A release is under way.
    var isReleasing = false
    /// Whether the bridge is subscribed to `agent.<name>.>`.
    var isListening = false

    init(_ agent: BridgeConfiguration.Agent, seat: Seat) {
        name = agent.name
        transport = agent.transport
        self.seat = seat
    }
}
