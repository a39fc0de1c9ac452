internal import Control
internal import JSON
internal import Recording
package import Supervision
package import Topologies
internal import Wire

/// Agents: how they are started and spoken to.
extension Mesh {
    func start(_ agent: Agent) async throws {
        let (context, place, topology, book) = (context, place, topology, book)
        let endpoint = control.endpoint
        do {
            try await context.supervisor.spawn(place.process(agent.name)) { incarnation in
                Mesh.specification(
                    of: agent, in: topology, incarnation: incarnation, book: book, place: place,
                    context: context, control: endpoint)
            }
            board.reach(.started, agent.name)
            try await waitUntilUp(agent, incarnation: 1)
        } catch {
            throw EnvironmentError(
                "could not start the agent '\(agent.name)'", reason: "\(error)",
                remedy: "See \(place.directory.processLogPath(name: agent.name)).")
        }
        context.report("  \(place.process(agent.name)) ready")
    }

    /// Waits for the agent's own word; one that knows no control plane is up when it runs.
    func waitUntilUp(_ agent: Agent, incarnation: UInt32) async throws {
        if !agent.upkeep.probes.isEmpty { try await waitForProbes(of: agent.name) }
        guard agent.speaks else {
            if book.transport(of: agent.name) == .nats {
                try await waitUntilSubscribed(agent)
            }
            book.withLock { book in
                book.ready[agent.name] = incarnation
                book.incarnations[agent.name] = incarnation
            }
            return
        }
        try await waitUntilReady(agent.name, role: "agent", incarnation: incarnation)
    }

    func command(
        _ name: String, to agent: String, _ arguments: Value = [:],
        timeout: Duration = .seconds(5)
    ) async throws -> Value {
        let child = ChildID(role: "agent", name: agent, incarnation: book.incarnation(of: agent))
        return try await control.command(name, to: child, arguments: arguments, timeout: timeout)
    }

    /// The agents that listen to commands.
    nonisolated var speaking: [Agent] { topology.agents.filter(\.speaks) }

    /// What every agent says of itself; those that are down or silent are left out.
    func agentStatuses() async -> [String: Value] {
        await withTaskGroup { group in
            for agent in speaking where book.isReady(agent.name) {
                group.addTask {
                    (agent.name, try? await self.command("status", to: agent.name))
                }
            }
            var answers: [String: Value] = [:]
            for await (name, answer) in group { answers[name] = answer }
            return answers
        }
    }

    /// What every agent that is up has to show for its work, each in the words of its kind.
    func results() async -> [String: Value] {
        await withTaskGroup { group in
            for agent in speaking where book.isReady(agent.name) {
                group.addTask {
                    (agent.name, try? await self.command("result", to: agent.name))
                }
            }
            var answers: [String: Value] = [:]
            for await (name, answer) in group { answers[name] = answer }
            return answers
        }
    }

    /// How an incarnation of an agent is started: program, environment, log.
    package static func specification(
        of agent: Agent, in topology: Topology, incarnation: UInt32, book: MeshBook,
        place: MeshPlace, context: RunContext, control: String
    ) -> ProcessSpecification {
        let epoch = book.returnEpoch(
            of: agent, incarnation: incarnation, in: topology, place: place)
        let (transport, state, router, proxies) = book.withLock { book in
            (
                book.agents[agent.name]?.transport ?? agent.transport,
                book.agents[agent.name].flatMap {
                    $0.stateIncarnation == incarnation ? $0.statePath : nil
                },
                book.endpoints[agent.branch]?["router"] ?? "",
                topology.topicProxies.map { proxy -> Value in
                    let bound = book.endpoints[proxy.name]
                    return [
                        "name": .string(proxy.name),
                        "publish": .string(bound?["publish"] ?? ""),
                        "subscribe": .string(bound?["subscribe"] ?? ""),
                        "prefixes": .array(proxy.prefixes.map { .string($0) }),
                        // A proxy of the user's own knows nothing of it.
                        "peer_timeout_ms": Value(
                            proxy.provider.isForeign ? 0 : proxy.peerTimeout.wholeMilliseconds),
                    ]
                }
            )
        }
        var environment = environment(
            of: agent.name, incarnation: incarnation, context: context, place: place,
            control: control)
        // What was kept for others is looked for in one file.
        if !topology.agents.contains(where: { $0.delivery == .atLeastOnce }) {
            environment.merge(rotation(of: topology)) { $1 }
        }
        environment["SYNMESH_KIND"] = agent.kind
        environment["SYNMESH_TRANSPORT"] = transport.rawValue
        environment["SYNMESH_ROUTE_EPOCH"] = epoch.map { String($0) }
        environment["SYNMESH_WIRE"] = agent.wire.rawValue
        environment["SYNMESH_BRANCH_ENDPOINT"] = router
        environment["SYNMESH_NATS_URL"] = book.url(of: topology.server(of: agent)?.name).string
        environment["SYNMESH_NATS_SEND"] = agent.sending.rawValue
        environment["SYNMESH_NATS_CHUNKING"] =
            topology.isChunking(topology.server(of: agent)?.name)
            ? "true" : "false"
        environment["SYNMESH_TOPIC_PROXIES"] = Value.array(proxies).canonical
        if !topology.pools.isEmpty {
            environment["SYNMESH_POOLS"] =
                pools(of: topology, place: place, run: context.run).canonical
        }
        if topology.isTapped {
            environment["SYNMESH_SEED_AGENTS"] = topology.seedAgents.canonical
        }
        environment["SYNMESH_BATCH"] = agent.batch.map { topology.batching($0).canonical }
        environment["SYNMESH_SETTINGS"] = agent.settings.canonical
        if agent.delivery == .atLeastOnce {
            environment["SYNMESH_DELIVERY"] = agent.delivery.rawValue
            let others = topology.agents.filter(\.acknowledges).map { Value.string($0.name) }
            environment["SYNMESH_ACKNOWLEDGING"] = Value.array(others).canonical
        }
        environment["SYNMESH_STATE"] = state
        if !agent.keepsHistory { environment["SYNMESH_HISTORY"] = nil }
        let launch = agent.launch(on: transport)
        environment.merge(launch?.environment ?? [:]) { _, own in own }
        // Without a launch nothing is started: the supervisor says so.
        var executable = ""
        var arguments: [String] = []
        var directory: String?
        switch launch?.program {
        case .builtIn(let program): executable = context.programs + "/" + program
        case .command(let words):
            executable = words.first ?? ""
            arguments = Array(words.dropFirst())
            directory = agent.upkeep.workingDirectory ?? topology.directory
        case nil: break
        }
        // What other parts are found by is known by now: agents start after them.
        func resolved(_ text: String) -> String {
            RunReference.resolved(text) { book.value(of: $0) }
        }
        var specification = ProcessSpecification(
            executable: resolved(executable), arguments: arguments.map(resolved),
            environment: environment.mapValues(resolved), workingDirectory: directory,
            logPath: place.directory.processLogPath(name: agent.name),
            showsOnConsole: context.options.showsOutput, restart: agent.restart.supervision,
            grace: agent.upkeep.grace, limits: agent.upkeep.limits.supervision,
            probes: agent.upkeep.probes.map(\.supervision))
        specification.notesTimes = true
        specification.logLimit = agent.upkeep.log.map { LogLimit(bytes: $0.size, kept: $0.kept) }
        return specification
    }
}
