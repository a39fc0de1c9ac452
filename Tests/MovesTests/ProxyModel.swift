import Moves
import Wire

/// A proxy of the model: home of some agents, with a bridge to NATS and links to the others.
struct ProxyModel {
    let index: Int
    var owners: [Int: RouteOwner] = [:]
    /// Whose flush it is, by the token on the connection.
    var flushes: [UInt64: (agent: Int, token: UInt64)] = [:]
    /// Flushes before an agent's old way is called settled here.
    var settling: [UInt64: (agent: Int, epoch: UInt64)] = [:]
    var lastToken: UInt64 = 0
    /// Who has said that an agent's old way is settled there.
    var settlements: [Int: WaySettlement] = [:]
    /// To whom the home has given something of an agent.
    var linksUsed: [Int: Set<Int>] = [:]
    /// Agents of whom something went to NATS from here, its own and those of other proxies.
    var publishers: Set<Int> = []
    /// Who is asked about an agent's old way.
    var asked: [Int: Set<Int>] = [:]
    /// Of the defect: waits for the server, and for nothing else.
    var isBlocked = false
    /// Of defects: how many flushes the decision of an agent has had.
    var flushCounts: [Int: Int] = [:]

    init(index: Int) { self.index = index }
}

extension World {
    mutating func ask(_ proxy: Int, _ agent: Int, _ event: RouteOwner.Event) {
        guard let actions = proxies[proxy].owners[agent]?.take(event, at: now) else {
            return faults.append("proxy \(proxy) is not the home of agent \(agent)")
        }
        for action in actions { perform(action, of: agent, by: proxy) }
    }

    private mutating func perform(_ action: RouteOwner.Action, of agent: Int, by proxy: Int) {
        switch action {
        case .listen: send(.subscribe(agent), by: .proxy(proxy))
        case .unlisten: send(.unsubscribe(agent), by: .proxy(proxy))
        case .flush(let token):
            let number = proxies[proxy].flushCounts[agent, default: 0] + 1
            proxies[proxy].flushCounts[agent] = number
            if defect == .noFirstFlush && number == 1 || defect == .noSecondFlush && number == 2 {
                return ask(proxy, agent, .flushed(token: token))
            }
            proxies[proxy].flushes[ping(proxy)] = (agent, token)
            if defect == .blocksOnFlush { proxies[proxy].isBlocked = true }
        case .register: proxies[proxy].flushCounts[agent, default: 0] = 1
        case .answer(let route):
            if proxies[proxy].owners[agent]?.isSettled == true {
                proxies[proxy].flushCounts[agent] = 0
            }
            send(.answer(route), on: .toAgent(agent))
        }
    }

    private mutating func ping(_ proxy: Int) -> UInt64 {
        proxies[proxy].lastToken += 1
        send(.ping(proxies[proxy].lastToken), by: .proxy(proxy))
        return proxies[proxy].lastToken
    }

    /// The agent's marker came: the proxies beside this one that had something of it are asked, and NATS where
    /// something may be there.
    private mutating func settle(_ agent: Int, _ epoch: UInt64, of former: Transport, at proxy: Int)
    {
        let others = proxies.indices.filter { $0 != proxy }
        let peers =
            former == .nats
            ? Set(others) : proxies[proxy].linksUsed[agent, default: []]
        proxies[proxy].asked[agent] = peers.union([proxy])
        for peer in peers.sorted() {
            if defect == .noPeers {
                note(agent, epoch, settledAt: peer, home: proxy)
            } else {
                send(
                    .passed(agent: agent, epoch: epoch, of: former),
                    on: .link(from: proxy, to: peer))
            }
        }
        settleHere(agent, epoch, of: former, at: proxy)
    }

    private mutating func settleHere(
        _ agent: Int, _ epoch: UInt64, of former: Transport, at proxy: Int
    ) {
        guard former == .nats || proxies[proxy].publishers.contains(agent) else {
            return settled(agent, epoch, at: proxy)
        }
        proxies[proxy].settling[ping(proxy)] = (agent, epoch)
    }

    private mutating func note(_ agent: Int, _ epoch: UInt64, settledAt proxy: Int, home: Int) {
        let names = proxies[home].asked[agent, default: []].map { "\($0)" }
        let isDone = proxies[home].settlements[agent, default: WaySettlement()]
            .note("\(proxy)", epoch: epoch, of: names)
        if isDone { send(.confirm(epoch: epoch), on: .toAgent(agent)) }
    }

    mutating func toProxy(_ packet: Packet, from agent: Int) {
        let home = agents[agent].home
        switch packet {
        case .parcel(let parcel): route(parcel, at: home, isFromNATS: false)
        case .ask(let route): ask(home, agent, .asked(route))
        case .mark(let agent, let epoch, let former): settle(agent, epoch, of: former, at: home)
        default: faults.append("a proxy hears what is not for it")
        }
    }

    mutating func toPeer(_ packet: Packet, from: Int, to: Int) {
        switch packet {
        case .parcel(let parcel): route(parcel, at: to, isFromNATS: false)
        case .passed(let agent, let epoch, let former):
            settleHere(agent, epoch, of: former, at: to)
        case .settled(let agent, let epoch, let proxy):
            note(agent, epoch, settledAt: proxy, home: to)
        default: faults.append("a proxy hears what is not for it")
        }
    }

    mutating func hear(_ frame: Frame, proxy: Int) {
        switch frame {
        case .message(_, .parcel(let parcel)): route(parcel, at: proxy, isFromNATS: true)
        case .pong(let token):
            proxies[proxy].isBlocked = false
            if let (agent, own) = proxies[proxy].flushes.removeValue(forKey: token) {
                ask(proxy, agent, .flushed(token: own))
            }
            if let (agent, epoch) = proxies[proxy].settling.removeValue(forKey: token) {
                settled(agent, epoch, at: proxy)
            }
        default: faults.append("a proxy hears what is not for it")
        }
    }

    /// All that an agent sent on its old way has gone on from this proxy.
    private mutating func settled(_ agent: Int, _ epoch: UInt64, at proxy: Int) {
        let home = agents[agent].home
        if home == proxy {
            note(agent, epoch, settledAt: proxy, home: home)
        } else {
            send(
                .settled(agent: agent, epoch: epoch, proxy: proxy),
                on: .link(from: proxy, to: home))
        }
    }

    private mutating func route(_ parcel: Parcel, at proxy: Int, isFromNATS: Bool) {
        let home = agents[parcel.destination].home
        guard home == proxy else {
            if isFromNATS { return faults.append("a bridge hears for an agent of another home") }
            proxies[proxy].linksUsed[parcel.source, default: []].insert(home)
            return send(.parcel(parcel), on: .link(from: proxy, to: home))
        }
        switch proxies[proxy].owners[parcel.destination]?.route.transport {
        case .zmq: send(.parcel(parcel), on: .toAgent(parcel.destination))
        // Who is on NATS has it from there itself.
        case .nats where isFromNATS: break
        case .nats:
            if defect != .forgetsNATS { proxies[proxy].publishers.insert(parcel.source) }
            send(.publish(parcel.destination, .parcel(parcel)), by: .proxy(proxy))
        case nil: faults.append("nobody owns agent \(parcel.destination)")
        }
    }
}
