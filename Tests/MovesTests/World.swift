import Moves
import Randomness
import Wire

/// One envelope on its way.
struct Parcel: Hashable {
    let source: Int
    /// Which life of the source.
    let incarnation: Int
    let destination: Int
    let sequence: UInt64
}

/// What the parts of the world say to each other.
enum Packet {
    case parcel(Parcel)
    case ask(Route)
    case answer(Route)
    /// The last message of an agent's old way.
    case mark(agent: Int, epoch: UInt64, of: Transport)
    case confirm(epoch: UInt64)
    /// From an agent's home to the proxies beside it: what the agent sent before has come to you?
    case passed(agent: Int, epoch: UInt64, of: Transport)
    /// It has, and has gone on.
    case settled(agent: Int, epoch: UInt64, proxy: Int)
    /// To a board: I listen, from now on.
    case listen(epoch: UInt64)
    /// I do not any more.
    case deafen
    /// From a board: you are heard by it.
    case listening(epoch: UInt64)
    /// To a board: where does what you have for me end?
    case askLast(epoch: UInt64)
    /// Here.
    case last(epoch: UInt64)
    /// To a board, behind what was published there: has it gone on?
    case askSettled(epoch: UInt64)
    /// It has.
    case boardSettled(epoch: UInt64)
}

/// What a client and the server of NATS say to each other.
enum Frame {
    case subscribe(Int)
    case unsubscribe(Int)
    /// On the subject of an agent, or of markers.
    case publish(Int, Packet)
    case ping(UInt64)
    case message(Int, Packet)
    case pong(UInt64)
}

/// Where something is on its way; each of these keeps its order, and no two keep it with each other.
enum Line: Hashable {
    case toProxy(agent: Int)
    case toAgent(Int)
    case link(from: Int, to: Int)
    /// What an agent publishes at a board.
    case toBoard(agent: Int, board: Int)
    /// What it asks there, on the connection on which it listens.
    case askBoard(agent: Int, board: Int)
    case fromBoard(board: Int, agent: Int)
    /// What a board says to who publishes there.
    case toPublisher(board: Int, agent: Int)
    case toServer(Client)
    case fromServer(Client)
}

enum Client: Hashable {
    case agent(Int)
    case proxy(Int)
    case board(Int)
}

enum Load {
    case packet(Packet)
    case frame(Frame)

    /// Whether it still says something where nobody is left who said it.
    var isSaid: Bool {
        switch self {
        case .packet, .frame(.publish): true
        case .frame: false
        }
    }

    /// The parcel that is carried, if one is.
    var parcel: Parcel? {
        switch self {
        case .packet(.parcel(let parcel)), .frame(.publish(_, .parcel(let parcel))),
            .frame(.message(_, .parcel(let parcel))):
            parcel
        default: nil
        }
    }
}

/// How a wrong implementation would do it, as a control: the model must find it out.
enum Defect: String, CaseIterable {
    /// The owner does not wait for what NATS still has for the agent.
    case noFirstFlush
    /// It does not wait for what it published to the agent itself.
    case noSecondFlush
    /// The agent goes back by itself when it is not answered in time.
    case undoesAlone
    /// What comes on the new way is handed out before the old one has ended.
    case noHold
    /// The agent sends on the new way before the old one has ended.
    case noPause
    /// The proxies beside the home are not asked for what they have.
    case noPeers
    /// The proxy does nothing else while it waits for NATS.
    case blocksOnFlush
    /// A board says where what it has ends without asking NATS.
    case noBoardFlush
    /// The agent does not wait for the boards it listens to.
    case noLastTopics
    /// Boards are not asked whether what was published there has gone on.
    case noBoardSettling
    /// Proxies do not notice that something of an agent went to NATS from them.
    case forgetsNATS
    /// Receivers go on counting where a sender's former life had come to.
    case marksSpanIncarnations

    var isOfTopics: Bool {
        switch self {
        case .noBoardFlush, .noLastTopics, .noBoardSettling: true
        default: false
        }
    }
}

/// Agents, their home proxies and a NATS server, in one value: everything that happens is the delivery of
/// one load of one line, in an order that a seed decides.
struct World {
    /// The topic of a board, as a destination and as a subject.
    static func topic(of board: Int) -> Int { -10 - board }

    static let deadlines = MoveDeadlines(step: 600, again: 60)

    var random: SplitMix64
    let defect: Defect?
    var now: UInt64 = 0
    var agents: [AgentModel] = []
    var proxies: [ProxyModel] = []
    var boards: [BoardModel] = []
    var subscriptions: [Client: Set<Int>] = [:]
    /// All lines, in an order that does not depend on anything but the world's size.
    private let lines: [Line]
    private let numbers: [Line: Int]
    private var queues: [[Load]]
    private let clients: [Client]
    /// A frozen server takes nothing and says nothing.
    var isFrozen = false
    /// What was wrong on the way.
    var faults: [String] = []
    var sent: Set<Parcel> = []
    /// Whether anybody was killed.
    var hadKills = false
    /// Of these a copy went with somebody who was killed, or found nobody because of that.
    var killed: Set<Parcel> = []
    /// What each agent's former lives delivered.
    var deliveredBefore: [Parcel] = []
    /// What each client listened to when it was killed, and does not yet again.
    var deaf: [Client: Set<Int>] = [:]
    /// The parcel whose way is written down, with everything that is no parcel.
    var watched: Parcel?
    var story: [String] = []
    /// The last number of a move or a start.
    var lastEpoch: UInt64 = 0

    init(
        seed: UInt64, agents count: Int, proxies proxyCount: Int, boards boardCount: Int = 0,
        defect: Defect?
    ) {
        random = SplitMix64(seed: seed)
        self.defect = defect
        let agents = 0..<count
        let proxies = 0..<proxyCount
        let boards = 0..<boardCount
        clients =
            agents.map(Client.agent) + proxies.map(Client.proxy) + boards.map(Client.board)
        var lines = agents.flatMap { [Line.toProxy(agent: $0), .toAgent($0)] }
        lines += proxies.flatMap { from in proxies.map { Line.link(from: from, to: $0) } }
        lines += agents.flatMap { agent in
            boards.flatMap { board in
                [
                    Line.toBoard(agent: agent, board: board),
                    .askBoard(agent: agent, board: board),
                    .fromBoard(board: board, agent: agent),
                    .toPublisher(board: board, agent: agent),
                ]
            }
        }
        lines += clients.flatMap { [Line.toServer($0), .fromServer($0)] }
        self.lines = lines
        numbers = Dictionary(uniqueKeysWithValues: lines.enumerated().map { ($1, $0) })
        queues = lines.map { _ in [] }
        self.proxies = proxies.map(ProxyModel.init(index:))
        for index in agents {
            let home = index % proxyCount
            self.agents.append(
                AgentModel(
                    index: index, home: home, spansLives: defect == .marksSpanIncarnations))
            self.proxies[home].owners[index] = RouteOwner(
                Route(.zmq, epoch: 0), deadlines: Self.deadlines)
        }
        for proxy in proxies {
            subscriptions[.proxy(proxy)] = Set(self.proxies[proxy].owners.keys)
        }
        for agent in agents { subscriptions[.agent(agent)] = [] }
        for board in boards {
            // Half of all listen, and all may publish.
            let listeners = agents.filter { _ in Bool.random(using: &random) }
            self.boards.append(BoardModel(index: board, listeners: Set(listeners)))
            subscriptions[.board(board)] = [Self.topic(of: board)]
            for agent in listeners { self.agents[agent].boards.append(board) }
        }
    }

    mutating func put(_ load: Load, on line: Line) {
        if let number = numbers[line] { queues[number].append(load) }
    }
    /// Takes everything off a line from a place on.
    mutating func cut(_ line: Line, keeping count: Int = 0) -> [Load] {
        guard let number = numbers[line], count < queues[number].count else { return [] }
        defer { queues[number].removeSubrange(count...) }
        return Array(queues[number][count...])
    }

    /// How much waits on a line.
    func count(on line: Line) -> Int { numbers[line].map { queues[$0].count } ?? 0 }

    mutating func send(_ packet: Packet, on line: Line) { put(.packet(packet), on: line) }
    mutating func send(_ frame: Frame, by client: Client) {
        put(.frame(frame), on: .toServer(client))
    }

    /// Whether something may be delivered on a line now.
    private func isOpen(_ line: Line) -> Bool {
        switch line {
        case .toServer: !isFrozen
        // What the server has said already comes, frozen or not.
        case .fromServer, .toAgent: true
        case .toProxy(let agent): !proxies[agents[agent].home].isBlocked
        case .toBoard, .askBoard, .fromBoard, .toPublisher: true
        case .link(_, let to): !proxies[to].isBlocked
        }
    }

    /// Delivers one load; false where there is none.
    mutating func step() -> Bool {
        now += 1
        var open: [Int] = []
        for number in lines.indices where !queues[number].isEmpty && isOpen(lines[number]) {
            open.append(number)
        }
        guard let number = open.randomElement(using: &random) else { return false }
        let (line, load) = (lines[number], queues[number].removeFirst())
        if let watched, load.parcel == watched || load.parcel == nil {
            story.append("\(now): \(line) \(load)")
        }
        switch (line, load) {
        case (.toProxy(let agent), .packet(let packet)): toProxy(packet, from: agent)
        case (.toAgent(let agent), .packet(let packet)): toAgent(packet, agent)
        case (.link(let from, let to), .packet(let packet)): toPeer(packet, from: from, to: to)
        case (.toServer(let client), .frame(let frame)): serve(frame, to: client)
        case (.fromServer(.agent(let agent)), .frame(let frame)): hear(frame, agent: agent)
        case (.fromServer(.proxy(let proxy)), .frame(let frame)): hear(frame, proxy: proxy)
        case (.fromServer(.board(let board)), .frame(let frame)): hear(frame, board: board)
        case (.toBoard(let agent, let board), .packet(let packet)),
            (.askBoard(let agent, let board), .packet(let packet)):
            toBoard(packet, board, from: agent)
        case (.fromBoard(let board, let agent), .packet(let packet)),
            (.toPublisher(let board, let agent), .packet(let packet)):
            fromBoard(packet, board, to: agent)
        default: faults.append("a load on the wrong line")
        }
        return true
    }

    private mutating func serve(_ frame: Frame, to client: Client) {
        switch frame {
        case .subscribe(let subject):
            subscriptions[client, default: []].insert(subject)
            deaf[client]?.remove(subject)
        case .unsubscribe(let subject): subscriptions[client, default: []].remove(subject)
        case .publish(let subject, let packet):
            if case .parcel(let parcel) = packet, parcel.destination >= 0,
                findsNobody(parcel, by: client)
            {
                killed.insert(parcel)
            }
            for listener in clients
            where listener != client && subscriptions[listener]?.contains(subject) == true {
                put(.frame(.message(subject, packet)), on: .fromServer(listener))
            }
        case .ping(let token): put(.frame(.pong(token)), on: .fromServer(client))
        case .message, .pong: faults.append("a client speaks like a server")
        }
    }

    /// Whether what is published for an agent finds nobody, because who listened was killed.
    private func findsNobody(_ parcel: Parcel, by client: Client) -> Bool {
        let agent = parcel.destination
        let isHeard = clients.contains {
            $0 != client && subscriptions[$0]?.contains(agent) == true
        }
        // Its own copy is lost, whatever comes of one that its home may still hear.
        if deaf[.agent(agent)]?.contains(agent) == true { return true }
        return !isHeard && deaf[.proxy(agents[agent].home)]?.contains(agent) == true
    }

    mutating func tick() {
        for agent in agents.indices { tell(agent, .tick) }
        for proxy in proxies.indices {
            for agent in proxies[proxy].owners.keys.sorted() { ask(proxy, agent, .tick) }
        }
    }
}
