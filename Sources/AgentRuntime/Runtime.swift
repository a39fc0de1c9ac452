internal import Control
internal import Glibc
internal import JSON
internal import Messaging
internal import Moves
internal import Recording
internal import Wire
internal import ZeroMQ

/// An agent at work: its main loop, on the one thread that owns all of its sockets.
final class Runtime {
    let environment: AgentEnvironment
    let agent: any Agent
    let client: AgentClient
    let outbox: Outbox
    let history: HistoryWriter
    var control: ControlClient
    var loads: [ActiveLoad] = []
    var isDrained = false
    /// Set while others must be able to count on silence: nothing is sent and nothing handed out.
    var pause: Pause?
    /// The way into the mesh, where it can be changed while the agent goes on.
    let live: LiveTransport?
    /// Who waits for the end of a move.
    var moveCommand: Command?
    /// When to give back what the moves needed.
    var tidyAt: UInt64?
    /// Set by the command `stop`: whom to answer when everything is closed.
    var stopCommand: UInt64?
    var isStopping = false
    /// Whether the last envelope made the agent send.
    private var sendsInHandle = false
    /// How many records there were when what they say was last left to the next incarnation.
    private var pastLeft: UInt64 = 0
    /// Since when nothing is handed out because the outbox is full.
    private var fullSince: UInt64?
    private let context: Context
    private let termination: Termination
    private let timer: LoadTimer

    /// How much of one direction is done before the other gets its turn.
    static let turn: UInt64 = 5_000_000
    static let messagesPerTurn = 256
    /// How long to rest while nothing can be sent, before looking again.
    private static let lookAgain: Duration = .milliseconds(10)
    /// The longest that a full outbox keeps an agent from being handed what it answers.
    private static let fullMax: UInt64 = 10_000_000_000

    /// Attaches and subscribes; when it returns, everything holds.
    init(
        _ environment: AgentEnvironment, _ agent: any Agent, _ termination: Termination
    ) throws(AgentFailure) {
        self.environment = environment
        self.agent = agent
        self.termination = termination
        timer = try LoadTimer()
        let options = try Runtime.options(environment)
        let topics = try AgentSetup(
            name: environment.name, kind: environment.kind, seed: environment.seed,
            settings: environment.settings
        ).texts("subscribe")
        let state = try Runtime.restored(environment)
        // A state names what was too much for it.
        let past =
            try state == nil || state?["unacknowledged_recorded"] != nil
            ? Runtime.recalled(environment) : nil
        context = try reaching("libzmq") { () throws(ZeroMQError) in try Context() }
        let context = context
        control = try reaching(environment.control) { () throws(ControlError) in
            try ControlClient(
                endpoint: environment.control, name: environment.name,
                incarnation: environment.incarnation, role: "agent", in: context)
        }
        do throws(HistoryError) {
            history = try HistoryWriter(
                path: environment.history, process: environment.name, clock: environment.clock,
                rotation: environment.rotation)
        } catch {
            throw AgentFailure(.failed, "could not begin the history: \(error)")
        }
        do throws(MessagingError) {
            let connections = Connections(in: context)
            let transport = try Runtime.attach(environment, in: context, sharing: connections)
            live = transport as? LiveTransport
            client = try AgentClient(
                name: environment.name, incarnation: environment.incarnation,
                clock: environment.clock, transport: transport, recorder: history,
                restoring: state, recalling: past, options: options)
            outbox = Outbox(
                client: client, transport: transport,
                senders: Senders(
                    environment, history, over: connections, defects: options.defects))
            try Runtime.waitUntilHome(client, live)
            if let state { agent.restore(state["agent"] ?? .null, outbox) }
            let former = state?["subscriptions"]?.array?.compactMap(\.string) ?? []
            for topic in Set(topics).union(former).sorted() { try client.subscribe(to: topic) }
            outbox.wish(Runtime.wishes(state))
        } catch {
            throw AgentFailure(.unreachable, error.description)
        }
        if environment.incarnation > 1 { leavePast() }
    }

    private static func options(
        _ environment: AgentEnvironment
    ) throws(AgentFailure) -> AgentClient.Options {
        var options = AgentClient.Options()
        // On ZeroMQ longer than a topic proxy waits for a stalled subscriber, so that no publisher
        // loses what is only delayed. On NATS only the envelope that finds the server gone waits
        // at all, and no command is answered meanwhile.
        options.sendTimeout = .seconds(6)
        options.natsSendTimeout = .seconds(2)
        options.natsSending = environment.natsSending
        options.isNATSChunking = environment.isNATSChunking
        let setup = AgentSetup(
            name: environment.name, kind: environment.kind, seed: environment.seed,
            settings: environment.settings)
        options.delivery = environment.delivery
        options.acknowledging = environment.acknowledging
        options.pools = environment.pools
        options.batching = environment.batching
        options.pool = try setup.texts("pool").first
        if let pool = options.pool, !environment.pools.contains(where: { $0.name == pool }) {
            throw AgentFailure(
                .settings, "the setting 'pool' is '\(pool)', and SYNMESH_POOLS has no such pool")
        }
        options.threshold = try setup.integer(
            "threshold", in: 0...1 << 40, or: options.threshold)
        if let setting = environment.settings["defects"], setting != .null {
            guard let defects = Defects(setting) else {
                throw AgentFailure(
                    .settings,
                    "the setting 'defects' is \(setting.canonical); it takes 'lose', 'repeat', "
                        + "'swap', 'alter', 'alter_memory', 'lose_copies', 'swallow', 'forget', "
                        + "'lose_chunk', 'alter_chunk' (every "
                        + "Nth), 'delay_us', 'on' and 'lane'")
            }
            options.defects = defects
        }
        return options
    }

    private static func restored(_ environment: AgentEnvironment) throws(AgentFailure) -> Value? {
        guard let path = environment.state,
            let bytes = try AgentMain.contents(of: path, atMost: 1 << 30)
        else { return nil }
        do throws(ParseError) {
            return try Value(parsing: bytes)
        } catch {
            throw AgentFailure(.environment, "SYNMESH_STATE '\(path)': \(error.description)")
        }
    }

    /// What the former incarnations recorded, where they handed nothing over.
    ///
    /// - Throws: `AgentFailure` where a history is there and cannot be read: going on without it could
    ///   lose what has to be sent again, or hand out again what was handed out.
    private static func recalled(
        _ environment: AgentEnvironment
    ) throws(AgentFailure) -> OwnHistory? {
        do throws(HistoryError) {
            let history = try OwnHistory.recalled(
                of: environment.name, before: environment.history,
                incarnation: environment.incarnation)
            for note in history?.notes ?? [] { Output.log("history: \(note)") }
            return history
        } catch {
            throw AgentFailure(.failed, "could not read what was recorded before: \(error)")
        }
    }

    /// How many records the next incarnation may have to read, more or less.
    private static let recordsToRead: UInt64 = 200_000

    /// Leaves to the next incarnation what it would have to read in the histories.
    ///
    /// Where that fails, it reads them.
    private func leavePast() {
        pastLeft = history.messageCount
        do throws(HistoryError) {
            try KeptFile.write(
                client.keptPast, beside: environment.history, before: environment.incarnation,
                and: history.place)
        } catch {
            Output.log("could not write beside the history: \(error)")
        }
    }

    /// What the former incarnation was asked to hear and had no time for.
    private static func wishes(_ state: Value?) -> [Outbox.Wish] {
        (state?["wishes"]?.array ?? []).compactMap { wish in
            guard let topic = wish["topic"]?.string, let isWanted = wish["wanted"]?.bool else {
                return nil
            }
            return Outbox.Wish(topic: topic, isWanted: isWanted)
        }
    }

    /// Says ready, and works until stopped.
    func run() throws(AgentFailure) {
        ResidentPages.release()
        do throws(ControlError) {
            try control.ready(endpoints: [:])
        } catch {
            throw AgentFailure(.failed, error.description)
        }
        Output.log("ready: \(environment.kind) on \(environment.transport.rawValue)")
        do {
            while true {
                if termination.isRequested() {
                    Output.log("SIGTERM: stopping")
                    isStopping = true
                }
                try obey()
                if isStopping { break }
                if isDrained {
                    try rest(.seconds(1))
                } else if pause != nil {
                    try keepPaused()
                } else if live?.isPaused == true {
                    try keepMoving()
                } else {
                    try work()
                }
            }
        } catch {
            // What was recorded so far is in the file already; the seal only makes it tidy.
            try? history.seal()
            throw AgentFailure(.failed, "cannot go on: \(error)")
        }
        try stop()
    }

    /// One turn of sending and receiving, then rest until there is more to do.
    private func work() throws {
        if history.messageCount - pastLeft > Self.recordsToRead { leavePast() }
        reportMoves()
        tidyAfterMoves()
        let isOpen = hasRoom()
        if isOpen {
            try sendDue()
            if mayHandOut { try receiveTurn() }
            try subscribeAsWished()
            try wakeAgent()
        }
        finishLoads()
        guard isOpen else {
            // A way that is gone is one to be moved from.
            if live?.isMoving == true { return try keepMoving() }
            return try rest(Self.lookAgain, also: roomItems())
        }
        let now = environment.clock.now
        let open = loads.filter { !$0.schedule.isFinished(at: now) }
        let next = min(
            open.map(\.deadline).min() ?? .max, agent.due ?? .max, live?.due ?? .max)
        // Room in the outbox comes with an acknowledgement, which ends the wait.
        let wait: Duration =
            !client.hasOutboxRoom
            ? Self.lookAgain
            : next <= now ? .zero : .nanoseconds(Int64(min(next - now, 1_000_000_000)))
        var items = [control.pollItem, .fileDescriptor(termination.descriptor)]
        let isOfLoad = next != .max && next > now && next - now < 1_000_000_000
        if let item = timer.item(after: isOfLoad ? next - now : nil) { items.append(item) }
        guard mayHandOut else { return try client.linger(wait, also: &items) }
        _ = try client.wait(timeout: wait, also: &items)
    }

    /// Whether an answer or the next message of a load could be sent now.
    ///
    /// Nothing is handed out while nothing can be answered: what waits is not lost, and the agent
    /// stays answerable to the orchestrator.
    private func hasRoom() -> Bool {
        outbox.hasRoom(for: .agent(environment.name))
    }

    /// Whether envelopes may be handed out: not to an agent that answers them while the outbox is
    /// full, but for a while only, in case that two such agents wait for each other.
    private var mayHandOut: Bool {
        let now = environment.clock.now
        guard !client.hasOutboxRoom, sendsInHandle else {
            fullSince = nil
            return true
        }
        let since = fullSince ?? now
        fullSince = since
        return since + Self.fullMax <= now
    }

    private func roomItems() -> [PollItem] {
        outbox.roomItems(for: .agent(environment.name))
    }

    func rest(_ time: Duration, also others: [PollItem] = []) throws(ZeroMQError) {
        var items = [control.pollItem, .fileDescriptor(termination.descriptor)] + others
        _ = try poll(&items, timeout: time)
    }

    private func receiveTurn() throws(MessagingError) {
        let end = environment.clock.now + Self.turn
        for _ in 0..<Self.messagesPerTurn {
            guard let envelope = try client.receive(timeout: .zero) else { return }
            try handle(envelope)
            if environment.clock.now >= end || !outbox.isConnected || outbox.isHeldUp { return }
        }
    }

    private func subscribeAsWished() throws(MessagingError) {
        for wish in outbox.takeWishes() {
            do throws(MessagingError) {
                if wish.isWanted {
                    try client.subscribe(to: wish.topic)
                    try agent.subscribed(to: wish.topic, outbox)
                } else {
                    try client.unsubscribe(from: wish.topic)
                }
            } catch {
                try forgive(error)
            }
        }
    }

    private func wakeAgent() throws(MessagingError) {
        guard let due = agent.due, due <= environment.clock.now else { return }
        do throws(MessagingError) {
            try agent.wake(outbox)
        } catch {
            try forgive(error)
        }
    }

    func handle(_ envelope: Envelope) throws(MessagingError) {
        guard envelope.kind == .content else { return }
        let sent = client.sentCount
        defer { sendsInHandle = client.sentCount > sent }
        do throws(MessagingError) {
            try agent.handle(envelope, outbox)
        } catch {
            try forgive(error)
        }
    }

    /// Ends everything in order: what was sent leaves, the history is sealed, the one who asked is
    /// told.
    private func stop() throws(AgentFailure) {
        abandonLoads()
        client.close()
        do throws(HistoryError) {
            try history.seal()
        } catch {
            if let id = stopCommand { try? control.fail(id, error: error.description) }
            throw AgentFailure(.failed, "could not seal the history: \(error)")
        }
        if let id = stopCommand {
            reply { () throws(ControlError) in try control.answer(id, result: ["sealed": true]) }
        }
        Output.log("stopped")
    }
}

/// Makes an attempt to reach something, and says what it was where it fails.
private func reaching<Result: ~Copyable, Failure: Error & CustomStringConvertible>(
    _ place: String, _ attempt: () throws(Failure) -> Result
) throws(AgentFailure) -> Result {
    do throws(Failure) {
        return try attempt()
    } catch {
        throw AgentFailure(.unreachable, "could not reach \(place): \(error)")
    }
}
