internal import Control
internal import JSON
internal import Wire
internal import ZeroMQ

extension BranchProxy: Pending {
    /// Answers a command.
    func answer(_ asker: Asker, _ result: Result<Value, CommandFailure>) {
        if !commands.answer(asker, result) { log("CONTROL: the orchestrator takes no answer") }
    }

    func refuse(_ asker: Asker, _ reason: String) {
        answer(asker, .failure(CommandFailure(reason: reason)))
    }

    /// Does what a command says; the answer may come later, but does come.
    func perform(_ name: String, _ arguments: Value, for asker: Asker) throws(RoutingError) {
        switch name {
        case "status": answer(asker, .success(status))
        case "link": try link(arguments, for: asker)
        case "hold":
            guard let peer = peer(arguments, for: asker) else { return }
            try hold(
                peer, number: arguments["epoch"]?.integer.flatMap(UInt64.init(exactly:)),
                for: asker)
        case "release", "route":
            guard let peer = peer(arguments, for: asker) else { return }
            guard let transport = arguments["transport"]?.string.flatMap(Transport.init(rawValue:)),
                let epoch = arguments["epoch"]?.integer.flatMap(UInt64.init(exactly:))
            else { return refuse(asker, "'transport' (zmq or nats) and 'epoch' are needed") }
            try release(peer, to: transport, epoch: epoch, for: asker)
        case "halt":
            guard let peer = peer(arguments, for: asker) else { return }
            let step = arguments["at"]?.string
            peer.haltAt = step.flatMap(MoveDecisionStep.init(rawValue:))
            guard step == nil || peer.haltAt != nil else {
                return refuse(asker, "'at' is no step of a decision")
            }
            answer(asker, .success([:]))
        case "stop":
            isStopped = true
            answer(asker, .success([:]))
        default: refuse(asker, "unknown command '\(name.prefix(40))'")
        }
    }

    private func peer(_ arguments: Value, for asker: Asker) -> Peer? {
        guard let name = arguments["agent"]?.string else {
            refuse(asker, "'agent' is needed")
            return nil
        }
        guard let peer = peers[Array(name.utf8)] else {
            refuse(asker, "'\(name)' is no agent of branch '\(configuration.name)'")
            return nil
        }
        return peer
    }

    /// Adds links, or moves those that are known; says how many there are.
    private func link(_ arguments: Value, for asker: Asker) throws(RoutingError) {
        guard let wanted = arguments["peers"]?.array else {
            return refuse(asker, "'peers' is needed")
        }
        for value in wanted {
            guard let name = value["name"]?.string, Names.isLegal(name),
                let endpoint = value["endpoint"]?.string
            else { return refuse(asker, "a peer needs 'name' and 'endpoint'") }
            do throws(ZeroMQError) {
                try link(
                    BranchConfiguration.Neighbour(
                        name: name, endpoint: endpoint,
                        agents: (value["agents"]?.array ?? []).compactMap(\.string)))
            } catch {
                return refuse(asker, error.description)
            }
        }
        answer(asker, .success(["linked": Value(links.count)]))
    }

    /// Adds a link, or moves one that is known.
    func link(_ neighbour: BranchConfiguration.Neighbour) throws(ZeroMQError) {
        let link: Link
        if let known = links[neighbour.name] {
            link = known
            try link.move(to: neighbour.endpoint)
        } else {
            link = try Link(
                to: neighbour.name, at: neighbour.endpoint, from: configuration.name,
                limits: limits, in: context)
        }
        links[neighbour.name] = link
        remote = remote.filter { $0.value !== link }
        for agent in neighbour.agents { remote[Array(agent.utf8)] = link }
        log("LINK: \(neighbour.name) at \(neighbour.endpoint)")
    }

    private var status: Value {
        let agents = peers.values.map { peer -> (String, Value) in
            (
                peer.name,
                [
                    "transport": .string(peer.transport.rawValue), "epoch": Value(peer.epoch),
                    "wire": .string(peer.wire.rawValue), "attached": .bool(peer.wasAttached),
                    "reachable": .bool(peer.wasAttached && peer.isReachable),
                    "incarnation": Value(peer.incarnation),
                    "queued": Value(peer.outlet.count),
                    "stalled": .bool(peer.outlet.isStalled),
                    "silent": .bool(peer.silentSince != nil),
                    "beats": .bool(peer.isBeating), "handed": Value(peer.handed),
                    "disconnects": Value(peer.disconnects),
                    "held": peer.held.map { Value($0.parcels.count) } ?? nil,
                    "credit": peer.outlet.credit.map { Value($0) } ?? nil,
                ]
            )
        }
        let routes = passage.statistics.rows.map { row -> Value in
            [
                "source": .string(row.source), "destination": .string(row.destination),
                "count": Value(row.count), "bytes": Value(row.bytes),
            ]
        }
        return [
            "messages": Value(passage.statistics.messages),
            "bytes": Value(passage.statistics.bytes),
            "routes": .array(routes),
            "dead_letters": deadLetterCounts,
            "agents": .object(Dictionary(agents) { _, last in last }),
            "links": .object(links.mapValues { ["queued": Value($0.outlet.count)] }),
            "waits": Value(waits),
            "waiting_for": .array(
                fillings.values.filter(\.isHolding).map { .string($0.way.name) }),
            "nats": natsStatus, "history_failures": Value(history.failures),
            "report": .array(reportLines.map { .string($0) }),
        ]
    }

    private var deadLetterCounts: Value {
        .object(Dictionary(deadLetters.counts.map { ($0.reason, Value($0.count)) }) { $1 })
    }

    private var natsStatus: Value {
        guard let bridge else { return nil }
        return ["connected": .bool(bridge.isConnected), "queued": Value(bridge.queued)]
    }
}

extension BranchProxy {
    /// Says to the orchestrator, where there is one, that agents can connect, and where.
    public func announce() throws(RoutingError) {
        try controlPlane { () throws(ControlError) in
            try commands.ready(endpoints: endpoints)
        }
    }
}
