import Moves
import Wire

/// An agent of the model: sends, hears on one way or two, delivers each parcel once.
struct AgentModel {
    enum Way { case closed, held, live }

    /// What one life of a sender says.
    struct Flow: Hashable {
        let source: Int
        let incarnation: Int
        let destination: Int

        init(_ parcel: Parcel, spansLives: Bool = false) {
            source = parcel.source
            incarnation = spansLives ? 1 : parcel.incarnation
            destination = parcel.destination
        }
    }

    let index: Int
    let home: Int
    var machine: MovingAgent
    var ways: [Transport: Way] = [.zmq: .live, .nats: .closed]
    var held: [Transport: [Parcel]] = [:]
    var isPaused = false
    var backlog: [Parcel] = []
    var next: [Int: UInt64] = [:]
    /// Which life it is.
    var incarnation = 1
    /// The next sequence of each sender's life.
    var expected: [Flow: UInt64] = [:]
    /// Where each of these flows began for this life.
    var bases: [Flow: UInt64] = [:]
    var ahead: Set<Parcel> = []
    /// When the move began that goes on, or was the last.
    var began: UInt64 = 0
    /// When the last one ended.
    var ended: UInt64 = 0
    var delivered: [Parcel] = []
    var outcomes: [MovingAgent.Outcome] = []
    /// The boards that it listens to.
    var boards: [Int] = []
    /// Boards that have not said yet what is waited for.
    var awaited: Set<Int> = []
    /// Boards at which what it published has not gone on.
    var unsettled: Set<Int> = []
    /// What its home said, while a board has not said where what it has ends.
    var answer: Route?
    var isConfirmed = false
    /// For the defect of going back alone: since when it waits for an answer.
    var waitsSince: UInt64?

    /// Of a defect: whether marks go on from one life of a sender to the next.
    let spansLives: Bool

    init(index: Int, home: Int, spansLives: Bool = false) {
        self.index = index
        self.home = home
        self.spansLives = spansLives
        machine = MovingAgent(at: Route(.zmq, epoch: 0), deadlines: World.deadlines)
    }

    /// Takes what came, in the order of its sender, once.
    ///
    /// - Returns: False where it overtook the one before it, and waits.
    mutating func deliver(_ parcel: Parcel) -> Bool {
        let flow = Flow(parcel, spansLives: spansLives)
        // A later life does not know what the former had: it begins with what it sees first.
        let due = expected[flow] ?? (incarnation == 1 ? 1 : parcel.sequence)
        if bases[flow] == nil { bases[flow] = due }
        if parcel.sequence < due || ahead.contains(parcel) { return true }
        guard parcel.sequence == due else {
            ahead.insert(parcel)
            return false
        }
        delivered.append(parcel)
        expected[flow] = due + 1
        let follower = Parcel(
            source: parcel.source, incarnation: parcel.incarnation,
            destination: parcel.destination, sequence: due + 1)
        return ahead.remove(follower) == nil || deliver(follower)
    }
}

extension World {
    /// An agent sends one more parcel.
    mutating func emit(from source: Int, to destination: Int) {
        let sequence = agents[source].next[destination, default: 1]
        agents[source].next[destination] = sequence + 1
        let parcel = Parcel(
            source: source, incarnation: agents[source].incarnation, destination: destination,
            sequence: sequence)
        sent.insert(parcel)
        if agents[source].isPaused {
            agents[source].backlog.append(parcel)
        } else {
            transmit(parcel, on: agents[source].machine.sending)
        }
    }

    private mutating func transmit(_ parcel: Parcel, on transport: Transport) {
        switch transport {
        case .zmq where parcel.destination < 0:
            let board = -10 - parcel.destination
            send(.parcel(parcel), on: .toBoard(agent: parcel.source, board: board))
        case .zmq: send(.parcel(parcel), on: .toProxy(agent: parcel.source))
        case .nats:
            send(.publish(parcel.destination, .parcel(parcel)), by: .agent(parcel.source))
        }
    }

    /// An agent publishes one more parcel at a board.
    mutating func publish(from source: Int, at board: Int) {
        emit(from: source, to: Self.topic(of: board))
    }

    /// An agent is told to go to the other transport.
    mutating func move(_ agent: Int, to transport: Transport) {
        lastEpoch += 1
        tell(agent, .told(Route(transport, epoch: lastEpoch)))
    }

    mutating func tell(_ agent: Int, _ event: MovingAgent.Event) {
        for action in agents[agent].machine.take(event, at: now) { perform(action, by: agent) }
        guard defect == .undoesAlone else { return }
        undoAlone(agent)
    }

    mutating func perform(_ action: MovingAgent.Action, by agent: Int) {
        switch action {
        case .open(let route):
            agents[agent].began = now
            open(route, agent)
        case .close(let transport):
            if transport == .nats, agents[agent].ways[.nats] != .closed { leaveNATS(agent) }
            if transport == .zmq {
                for board in agents[agent].boards {
                    send(.deafen, on: .askBoard(agent: agent, board: board))
                }
            }
            agents[agent].ways[transport] = .closed
            agents[agent].held[transport] = []
        case .ask(let route):
            send(.ask(route), on: .toProxy(agent: agent))
            askBoards(route.epoch, agent)
        case .drain(let epoch):
            leaveNATS(agent)
            send(.ping(epoch * 4 + 1), by: .agent(agent))
        case .hand(let transport):
            let held = agents[agent].held[transport] ?? []
            agents[agent].held[transport] = []
            for parcel in held { deliver(parcel, to: agent) }
        case .release(let transport):
            agents[agent].ways[transport] = .live
            agents[agent].ways[transport == .zmq ? .nats : .zmq] = .closed
            let held = agents[agent].held[transport] ?? []
            agents[agent].held[transport] = []
            for parcel in held { deliver(parcel, to: agent) }
        case .pause: agents[agent].isPaused = defect != .noPause
        case .mark(.zmq, let epoch): mark(epoch, .zmq, agent)
        // What was published is with the server before anybody is asked.
        case .mark(.nats, let epoch): send(.ping(epoch * 4 + 2), by: .agent(agent))
        case .resume(let transport):
            agents[agent].isPaused = false
            let backlog = agents[agent].backlog
            agents[agent].backlog = []
            for parcel in backlog { transmit(parcel, on: transport) }
        case .finish(let outcome):
            agents[agent].outcomes.append(outcome)
            agents[agent].ended = now
        }
    }

    private mutating func deliver(_ parcel: Parcel, to agent: Int) {
        guard !agents[agent].deliver(parcel) else {
            // Before what a later life saw first: late, and given up with the life before.
            let flow = AgentModel.Flow(parcel)
            if parcel.sequence < agents[agent].bases[flow] ?? 0 { killed.insert(parcel) }
            return
        }
        // Where sender and receiver move at the same time, what is held on the one's new way and
        // what comes on the other's old one may pass each other; the receiver's rule is for that.
        let (sender, receiver) = (agents[parcel.source], agents[agent])
        let isMutual =
            receiver.machine.stage != nil
            && (sender.machine.stage != nil || sender.ended >= receiver.began)
        if !isMutual { faults.append("\(parcel) overtook the one before it") }
    }

    private mutating func open(_ route: Route, _ agent: Int) {
        agents[agent].ways[route.transport] = defect == .noHold ? .live : .held
        switch route.transport {
        case .nats:
            send(.subscribe(agent), by: .agent(agent))
            for board in agents[agent].boards {
                send(.subscribe(Self.topic(of: board)), by: .agent(agent))
            }
            send(.ping(route.epoch * 4), by: .agent(agent))
        case .zmq where agents[agent].boards.isEmpty: tell(agent, .opened(epoch: route.epoch))
        case .zmq:
            agents[agent].awaited = Set(agents[agent].boards)
            for board in agents[agent].boards {
                send(.listen(epoch: route.epoch), on: .askBoard(agent: agent, board: board))
            }
        }
    }

    mutating func toAgent(_ packet: Packet, _ agent: Int) {
        switch packet {
        case .parcel(let parcel): take(parcel, on: .zmq, agent)
        case .answer(let route): answered(route, agent)
        case .confirm(let epoch):
            guard agents[agent].machine.target?.epoch == epoch else { return }
            agents[agent].isConfirmed = true
            confirmIfSettled(epoch, agent)
        default: faults.append("an agent hears what is not for it")
        }
    }

    mutating func hear(_ frame: Frame, agent: Int) {
        switch frame {
        case .message(_, .parcel(let parcel)): take(parcel, on: .nats, agent)
        case .pong(let token) where token % 4 == 0: tell(agent, .opened(epoch: token / 4))
        case .pong(let token) where token % 4 == 1: tell(agent, .drained(epoch: token / 4))
        case .pong(let token): mark(token / 4, .nats, agent)
        default: faults.append("an agent hears what is not for it")
        }
    }

    mutating func take(_ parcel: Parcel, on transport: Transport, _ agent: Int) {
        switch agents[agent].ways[transport] ?? .closed {
        case .live: deliver(parcel, to: agent)
        case .held: agents[agent].held[transport, default: []].append(parcel)
        // A copy, or lost: the end of the run says which.
        case .closed: break
        }
    }

    /// The defect: who is not answered for long closes the new way and forgets the move.
    private mutating func undoAlone(_ agent: Int) {
        guard agents[agent].machine.stage == .asking else {
            agents[agent].waitsSince = nil
            return
        }
        let since = agents[agent].waitsSince ?? now
        agents[agent].waitsSince = since
        guard now >= since + 30 else { return }
        let old = agents[agent].machine.route
        let new: Transport = old.transport == .zmq ? .nats : .zmq
        perform(.close(new), by: agent)
        agents[agent].machine = MovingAgent(at: old, deadlines: Self.deadlines)
        agents[agent].waitsSince = nil
        agents[agent].outcomes.append(.stayed(at: .asking))
    }
}
