internal import Wire
internal import YAML

/// Proxies of the user's own: what their entries may say, and what they make impossible.
extension Resolver {
    func provider(
        of branch: Declarations.Branch, _ entry: Keyed<Declarations.Branch>
    ) -> ProxyProvider {
        guard branch.command != nil || branch.connect != nil else { return .own }
        let part = "branch \(Diagnostic.quote(entry.key))"
        for (key, location) in branch.ownKeys {
            diagnostics.error(
                key == "links"
                    ? "\(part) has a proxy of your own, which cannot be linked"
                    : "'\(key)' is about a proxy of ours, and \(part) has one of your own",
                at: location,
                help: key == "links"
                    ? "remove the link: agents that send to each other belong into one branch here"
                    : "remove it")
        }
        checkBridge(branch.bridgeKeys, part)
        if let command = branch.command, let connect = branch.connect {
            return both(part, command, connect.location)
        }
        if let connect = branch.connect {
            if let endpoint = branch.endpoint { exclude("endpoint", endpoint.location) }
            checkRunning(connect)
            return .running
        }
        checkTold(branch.endpoint, part)
        return .command(branch.command?.value ?? [])
    }

    func provider(
        of proxy: Declarations.TopicProxy, _ entry: Keyed<Declarations.TopicProxy>
    ) -> ProxyProvider {
        guard proxy.command != nil || proxy.connect != nil else { return .own }
        let part = "topic proxy \(Diagnostic.quote(entry.key))"
        for (key, location) in proxy.ownKeys {
            diagnostics.error(
                "'\(key)' is about a proxy of ours, and \(part) is your own", at: location,
                help: "remove it")
        }
        checkBridge(proxy.bridgeKeys, part)
        if let overflow = proxy.queue?.overflow, overflow.value == .pause {
            diagnostics.error(
                "publishers do not wait at \(part), which is your own", at: overflow.location,
                help: "use drop_oldest or drop_newest: what NATS has no room for is dropped by name"
            )
        }
        if let command = proxy.command, let connect = proxy.connect {
            return both(part, command, connect.location)
        }
        if let connect = proxy.connect {
            for (key, endpoint) in [("publish", proxy.publish), ("subscribe", proxy.subscribe)] {
                if let endpoint { exclude(key, endpoint.location) }
            }
            for endpoint in [connect.publish, connect.subscribe].compactMap({ $0 }) {
                checkRunning(endpoint)
            }
            return .running
        }
        checkTold(proxy.publish, part)
        checkTold(proxy.subscribe, part)
        return .command(proxy.command?.value ?? [])
    }

    /// Beside a proxy of the user's own these are about what comes from NATS and goes there.
    private func checkBridge(_ keys: [(key: String, location: Location)], _ part: String) {
        guard declarations.servers.isEmpty else { return }
        for (key, location) in keys {
            diagnostics.error(
                "'\(key)' of \(part), a proxy of your own, is about its way to NATS, and there "
                    + "is no NATS here", at: location, help: "remove it")
        }
    }

    private func both(
        _ part: String, _ command: Located<[String]>, _ location: Location
    ) -> ProxyProvider {
        diagnostics.error(
            "\(part) has a 'command' or a 'connect', not both", at: location,
            help: "remove one: 'connect' is for a proxy that runs already")
        return .command(command.value)
    }

    private func exclude(_ key: String, _ location: Location) {
        diagnostics.error(
            "'connect' says already where the proxy is", at: location, help: "remove '\(key)'")
    }

    /// A proxy that runs already is somewhere in particular.
    private func checkRunning(_ endpoint: Located<Endpoint>) {
        switch endpoint.value {
        case .tcp(let host, let port) where port == nil || host == "*":
            diagnostics.error(
                "a proxy that runs already has a host and a port", at: endpoint.location,
                help: "write tcp://127.0.0.1:5555")
        case .ipc(let path) where path.first != "/":
            diagnostics.error(
                "a proxy that runs already has no socket in the run's folder",
                at: endpoint.location, help: "write the whole path: ipc:///run/proxy.sock")
        default: break
        }
    }

    /// A program can only be told of a port that is known before it starts.
    private func checkTold(_ endpoint: Located<Endpoint>?, _ part: String) {
        guard let endpoint, case .tcp(let host, let port) = endpoint.value,
            port == nil || host == "*"
        else { return }
        diagnostics.error(
            "\(part) is started by a command, which must be told a host and a port",
            at: endpoint.location,
            help: "write tcp://127.0.0.1:5555, or leave it out: then it is a socket in the run's "
                + "folder")
    }

    /// Behind a proxy of the user's own nobody answers what only ours know.
    func checkForeignHome(of agent: Declarations.Agent, _ branch: String) {
        if let wire = agent.wire, wire.value == .frames {
            diagnostics.error(
                "the proxy of branch \(Diagnostic.quote(branch)) is your own, and passes on the "
                    + "seed's wire only",
                at: wire.location, help: "remove it, or write 'wire: json'")
        } else if let contract = agent.contract, contract.value == .full {
            diagnostics.error(
                "the full contract speaks frames, and the proxy of branch "
                    + "\(Diagnostic.quote(branch)) is your own: it passes on the seed's wire only",
                at: contract.location,
                help: "remove the contract, or move the agent to a branch of ours")
        }
        guard agent.kindKey == nil else { return }
        if let location = agent.answersKey {
            diagnostics.error(
                "nothing records at the proxy of branch \(Diagnostic.quote(branch)), which is your "
                    + "own: whether answers came cannot be told",
                at: location, help: "remove 'answers', or move the agent to a branch of ours")
        }
        let command = agent.perTransport[.nats]?.command?.location
        if let location = command
            ?? (agent.transport?.value == .nats ? agent.transport?.location : nil)
        {
            diagnostics.error(
                "nothing records or translates on NATS for a command of branch "
                    + "\(Diagnostic.quote(branch)), whose proxy is your own",
                at: location, help: "keep it on zmq, or move the agent to a branch of ours")
        }
    }

    /// Reports programs of other branches whose messages on NATS nobody would number for agents of
    /// a branch with a proxy of the user's own.
    func checkForeignNeighbours(_ agents: [Agent]) {
        func branch(_ name: String) -> Branch? { branches.first { $0.name == name } }
        let foreign = branches.filter(\.provider.isForeign)
        var seen: Set<String> = []
        for agent in agents
        where !agent.keepsHistory && !agent.speaks && agent.launch(on: .nats) != nil {
            guard let home = branch(agent.branch), !home.provider.isForeign,
                let server = home.server,
                let beside = foreign.first(where: { $0.server == server }),
                seen.insert(agent.group).inserted
            else { continue }
            diagnostics.error(
                "\(Diagnostic.quote(agent.group)) gives no identities and can be on NATS, and branch "
                    + "\(Diagnostic.quote(beside.name)) on the same server has a proxy of your own, "
                    + "beside which nobody gives them",
                at: agent.location,
                help: "give one of the branches a NATS server of its own, or keep the agent on zmq")
        }
    }

    /// Reports agents that send to another branch where one of the two has a proxy of the user's
    /// own.
    func checkForeignBorders(_ agents: [Agent]) {
        let foreign = Set(branches.filter(\.provider.isForeign).map(\.name))
        guard !foreign.isEmpty else { return }
        let homes = Dictionary(agents.map { ($0.name, $0.branch) }) { first, _ in first }
        for entry in declarations.branches where !foreign.contains(entry.key) {
            for link in entry.value?.links ?? [] where foreign.contains(link.value) {
                diagnostics.error(
                    "branch \(Diagnostic.quote(link.value)) has a proxy of your own, which cannot "
                        + "be linked",
                    at: link.location,
                    help: "remove the link: agents that send to each other belong into one branch "
                        + "here")
            }
        }
        var seen: Set<String> = []
        for agent in agents where seen.insert(agent.group).inserted {
            let far = agent.addressedAgents.first { name in
                guard let home = homes[name], home != agent.branch else { return false }
                return foreign.contains(home) || foreign.contains(agent.branch)
            }
            guard let far, let home = homes[far] else { continue }
            let border = foreign.contains(home) ? home : agent.branch
            diagnostics.error(
                "\(Diagnostic.quote(agent.group)) sends to \(Diagnostic.quote(far)) of another "
                    + "branch, and the proxy of branch \(Diagnostic.quote(border)) is your own, "
                    + "which is linked to none",
                at: agent.location, help: "put both into one branch")
        }
    }

    /// What proxies of the user's own make impossible, as notes and for the verdict.
    func blindSpots(_ agents: [Agent]) -> [BlindSpot] {
        var spots: [BlindSpot] = []
        func add(_ text: String, _ location: Location) {
            spots.append(BlindSpot(text: text, location: location))
            // Beside errors they would only be in the way.
            if !diagnostics.hasErrors { diagnostics.note(text, at: location) }
        }
        for branch in branches where branch.provider.isForeign {
            let name = Diagnostic.quote(branch.name)
            add(
                "the proxy of branch \(name) is your own: what it drops is found as lost, from what "
                    + "the agents recorded, but no proxy names it, and nothing keeps a slow receiver "
                    + "from being sent too much", branch.location)
            if branch.server != nil {
                add(
                    "the proxy of branch \(name) keeps nothing for an agent that moves: while a name "
                        + "changes hands the other agents of the branch are paused, and that "
                        + "everything came before is proven only if it handles one sender's messages "
                        + "in order", branch.location)
            }
            addRunning(branch.provider, "the proxy of branch \(name)", branch.location, add)
            var seen: Set<String> = []
            for agent in agents where agent.branch == branch.name && !agent.speaks {
                guard seen.insert(agent.group).inserted else { continue }
                add(
                    "\(Diagnostic.quote(agent.group)) keeps no history, and the proxy of branch "
                        + "\(name) records nothing: what is sent to it is not known to arrive, what "
                        + "it sends has no identity, and it cannot be paused while another agent's "
                        + "name changes hands", agent.location)
            }
        }
        for proxy in topicProxies where proxy.provider.isForeign {
            let name = "topic proxy \(Diagnostic.quote(proxy.name))"
            add(
                "\(name) is your own: what it drops for a slow subscriber is found as lost, but "
                    + "nobody names it; that a moved subscriber missed nothing is proven only if it "
                    + "gives all subscribers the same order", proxy.location)
            addRunning(proxy.provider, name, proxy.location, add)
        }
        return spots
    }

    private func addRunning(
        _ provider: ProxyProvider, _ name: String, _ location: Location,
        _ add: (String, Location) -> Void
    ) {
        guard provider == .running else { return }
        add(
            "\(name) runs already: a run does not start, stop, restart or fault it, and its leaks "
                + "are not counted", location)
    }
}
