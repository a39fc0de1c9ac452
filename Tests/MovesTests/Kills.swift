import Moves
import Wire

/// Agents and proxies that are killed, and come back.
extension World {
    /// An agent is killed, and started again where its home's registry says that it lives.
    mutating func killAgent(_ agent: Int) {
        hadKills = true
        let dead = agents[agent]
        story.append("\(now): agent \(agent) is killed")
        for line in [Line.toAgent(agent), .fromServer(.agent(agent))] { bury(cut(line)) }
        // What it had given to the system may still arrive; its subscriptions end with its connection.
        for line in [Line.toProxy(agent: agent), .toServer(.agent(agent))] {
            let given = cut(line)
            let kept = Int.random(in: 0...given.count, using: &random)
            bury(Array(given[kept...]))
            for load in given[..<kept] where load.isSaid { put(load, on: line) }
        }
        deaf[.agent(agent), default: []].formUnion(subscriptions[.agent(agent)] ?? [])
        subscriptions[.agent(agent)] = []
        killed.formUnion(dead.backlog)
        killed.formUnion(dead.ahead)
        for held in dead.held.values { killed.formUnion(held) }
        deliveredBefore += dead.delivered

        lastEpoch += 1
        let home = proxies[dead.home].owners[agent]?.route.transport ?? .zmq
        agents[agent] = AgentModel(
            index: agent, home: dead.home, spansLives: dead.spansLives)
        agents[agent].incarnation = dead.incarnation + 1
        agents[agent].ways = [.zmq: .held]
        agents[agent].outcomes = dead.outcomes
        let (machine, actions) = MovingAgent.starting(
            at: Route(home, epoch: lastEpoch), deadlines: Self.deadlines, now: now)
        agents[agent].machine = machine
        for action in actions { perform(action, by: agent) }
    }

    /// A proxy is killed, and comes back with what its registry says.
    mutating func killProxy(_ proxy: Int) {
        hadKills = true
        let dead = proxies[proxy]
        story.append("\(now): proxy \(proxy) is killed")
        for agent in dead.owners.keys.sorted() {
            // What has reached the agent's machine comes; what is still in its pipe goes to the next life.
            let line = Line.toAgent(agent)
            bury(cut(line, keeping: Int.random(in: 0...count(on: line), using: &random)))
            let back = cut(.toProxy(agent: agent))
            let lost = Int.random(in: 0...back.count, using: &random)
            bury(Array(back[..<lost]))
            for load in back[lost...] { put(load, on: .toProxy(agent: agent)) }
        }
        for peer in proxies.indices {
            bury(cut(.link(from: proxy, to: peer)))
            bury(cut(.link(from: peer, to: proxy)))
        }
        bury(cut(.fromServer(.proxy(proxy))))
        bury(cut(.toServer(.proxy(proxy))))

        var next = ProxyModel(index: proxy)
        next.lastToken = dead.lastToken + 1_000
        for (agent, owner) in dead.owners {
            next.owners[agent] = RouteOwner(
                owner.route, firstToken: next.lastToken, deadlines: Self.deadlines)
        }
        proxies[proxy] = next
        // What is published before it listens again finds nobody here.
        deaf[.proxy(proxy), default: []].formUnion(subscriptions[.proxy(proxy)] ?? [])
        subscriptions[.proxy(proxy)] = []
        for agent in next.owners.keys.sorted() where next.owners[agent]?.route.transport == .zmq {
            send(.subscribe(agent), by: .proxy(proxy))
        }
    }

    private mutating func bury(_ loads: [Load]) {
        for case let parcel? in loads.map(\.parcel) { killed.insert(parcel) }
    }
}
