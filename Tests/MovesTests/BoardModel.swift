import Moves
import Wire

/// A topic proxy of the model: everybody may publish, who listens hears, and NATS has the same topic.
struct BoardModel {
    let index: Int
    /// Who listens on ZeroMQ now.
    var listeners: Set<Int>
    /// What is said when NATS has answered.
    var waiting: [UInt64: (packet: Packet, line: Line)] = [:]
    var lastToken: UInt64 = 0
}

/// Boards decide nothing about who moves; they say what they have done.
extension World {
    mutating func toBoard(_ packet: Packet, _ board: Int, from agent: Int) {
        let answers = Line.fromBoard(board: board, agent: agent)
        switch packet {
        case .parcel(let parcel):
            spread(parcel, board)
            send(.publish(Self.topic(of: board), .parcel(parcel)), by: .board(board))
        case .listen(let epoch):
            boards[board].listeners.insert(agent)
            send(.listening(epoch: epoch), on: answers)
        case .deafen: boards[board].listeners.remove(agent)
        case .askLast(let epoch): sayLater(.last(epoch: epoch), board, on: answers)
        case .askSettled(let epoch):
            sayLater(
                .boardSettled(epoch: epoch), board, on: .toPublisher(board: board, agent: agent))
        default: faults.append("a board hears what is not for it")
        }
    }

    private mutating func spread(_ parcel: Parcel, _ board: Int) {
        for listener in boards[board].listeners.sorted() where listener != parcel.source {
            send(.parcel(parcel), on: .fromBoard(board: board, agent: listener))
        }
    }

    /// Behind all that NATS has for the board, once NATS has all that the board had for it.
    private mutating func sayLater(_ packet: Packet, _ board: Int, on line: Line) {
        guard defect != .noBoardFlush else { return send(packet, on: line) }
        boards[board].lastToken += 1
        boards[board].waiting[boards[board].lastToken] = (packet, line)
        send(.ping(boards[board].lastToken), by: .board(board))
    }

    mutating func hear(_ frame: Frame, board: Int) {
        switch frame {
        case .message(_, .parcel(let parcel)): spread(parcel, board)
        case .pong(let token):
            if let (packet, line) = boards[board].waiting.removeValue(forKey: token) {
                send(packet, on: line)
            }
        default: faults.append("a board hears what is not for it")
        }
    }

    mutating func fromBoard(_ packet: Packet, _ board: Int, to agent: Int) {
        switch packet {
        case .parcel(let parcel): take(parcel, on: .zmq, agent)
        case .listening(let epoch):
            guard agents[agent].machine.stage == .opening else { return }
            agents[agent].awaited.remove(board)
            if agents[agent].awaited.isEmpty { tell(agent, .opened(epoch: epoch)) }
        case .last(let epoch):
            guard agents[agent].machine.target?.epoch == epoch else { return }
            agents[agent].awaited.remove(board)
            if let answer = agents[agent].answer { answered(answer, agent) }
        case .boardSettled(let epoch):
            guard agents[agent].machine.target?.epoch == epoch else { return }
            agents[agent].unsettled.remove(board)
            confirmIfSettled(epoch, agent)
        default: faults.append("an agent hears what is not for it")
        }
    }

    // The agent's side.

    /// Asks the boards that it hears where what they have for it ends.
    mutating func askBoards(_ epoch: UInt64, _ agent: Int) {
        guard defect != .noLastTopics else { return agents[agent].awaited = [] }
        // Asked again, those that have answered have answered.
        if agents[agent].answer == nil, agents[agent].awaited.isEmpty {
            agents[agent].awaited = Set(agents[agent].boards)
        }
        for board in agents[agent].awaited.sorted() {
            send(.askLast(epoch: epoch), on: .askBoard(agent: agent, board: board))
        }
    }

    /// The home has answered; where that means to go, the boards have to have said their last, too.
    mutating func answered(_ route: Route, _ agent: Int) {
        let target = agents[agent].machine.target
        guard route != target || agents[agent].awaited.isEmpty else {
            agents[agent].answer = route
            return
        }
        agents[agent].answer = nil
        agents[agent].awaited = []
        tell(agent, .answered(route))
    }

    /// Has the home and the boards say when all that was sent has gone on.
    mutating func mark(_ epoch: UInt64, _ former: Transport, _ agent: Int) {
        guard agents[agent].machine.target?.epoch == epoch else { return }
        send(.mark(agent: agent, epoch: epoch, of: former), on: .toProxy(agent: agent))
        guard defect != .noBoardSettling else { return }
        if !agents[agent].isConfirmed { agents[agent].unsettled = Set(boards.indices) }
        for board in agents[agent].unsettled.sorted() {
            send(.askSettled(epoch: epoch), on: .toBoard(agent: agent, board: board))
        }
    }

    mutating func confirmIfSettled(_ epoch: UInt64, _ agent: Int) {
        guard agents[agent].isConfirmed, agents[agent].unsettled.isEmpty else { return }
        agents[agent].isConfirmed = false
        tell(agent, .confirmed(epoch: epoch))
    }

    mutating func leaveNATS(_ agent: Int) {
        send(.unsubscribe(agent), by: .agent(agent))
        for board in agents[agent].boards {
            send(.unsubscribe(Self.topic(of: board)), by: .agent(agent))
        }
    }
}
