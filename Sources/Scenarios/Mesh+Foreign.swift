internal import Control
internal import JSON
internal import Recording
internal import Routing
internal import Supervision
internal import Threads
internal import Topologies
internal import Wire

/// Proxies of the user's own: started or found, asked what such a proxy can be asked, and with a
/// process of ours beside them.
extension Mesh {
    func startForeign(_ branch: Branch) async throws {
        let index = topology.branches.firstIndex { $0.name == branch.name } ?? 0
        let endpoint =
            branch.endpoint?.resolved(in: context.runtime) ?? socket("router-\(index)")
        book.withLock { $0.endpoints[branch.name] = ["router": endpoint] }
        try await startCommand(
            branch.name, branch.provider, ["endpoint": endpoint], branch.endpoint)
        try await waitUntilPassing(branch)
        context.report("  \(place.process(branch.name)) passes messages on at \(endpoint)")
        guard branch.server != nil else { return }
        try await startNode(branch.nodeName, role: "branch", program: "bridge") {
            [topology, book] in
            [
                "name": .string(branch.nodeName), "branch": .string(branch.name),
                "router": .string(endpoint), "nats": book.url(of: branch.server),
                "nats_chunking": .bool(topology.isChunking(branch.server)),
                "queue_messages": Value(branch.queueMessages),
                "queue_bytes": Value(branch.queueBytes),
                "agents": .array(
                    topology.agents.filter { $0.branch == branch.name }.map { agent in
                        [
                            "name": .string(agent.name),
                            "transport": .string(book.transport(of: agent.name).rawValue),
                        ]
                    }),
            ]
        }
        context.report("  \(place.process(branch.nodeName)) ready")
    }

    func startForeign(_ proxy: Topologies.TopicProxy) async throws {
        let index = topology.topicProxies.firstIndex { $0.name == proxy.name } ?? 0
        let publish =
            proxy.publish?.resolved(in: context.runtime) ?? socket("publish-\(index)")
        let subscribe =
            proxy.subscribe?.resolved(in: context.runtime) ?? socket("subscribe-\(index)")
        book.withLock {
            $0.endpoints[proxy.name] = ["publish": publish, "subscribe": subscribe]
        }
        try await startCommand(
            proxy.name, proxy.provider, ["publish": publish, "subscribe": subscribe],
            proxy.publish, proxy.subscribe)
        try await startNode(proxy.nodeName, role: "topics") { [topology, book] in
            [
                "name": .string(proxy.nodeName), "beside": true,
                "publish_endpoint": .string(publish), "subscribe_endpoint": .string(subscribe),
                "nats": book.url(of: proxy.server),
                "nats_chunking": .bool(topology.isChunking(proxy.server)),
                "prefixes": .array(proxy.prefixes.map { .string($0) }),
                "queue_messages": Value(proxy.queueMessages),
                "queue_bytes": Value(proxy.queueBytes),
                "overflow": .string(proxy.queueOverflow.rawValue),
                "stall_timeout_ms": Value(proxy.stallTimeout.wholeMilliseconds),
                "record": .array(
                    topology.agents.filter { !$0.keepsHistory }.map { .string($0.name) }),
            ]
        }
        // The process beside it has sent something through it.
        markPassing(proxy.name)
        context.report("  \(place.process(proxy.name)) passes messages on, as is proven beside it")
    }

    /// A socket that only this mesh has: short, since Linux allows 107 bytes.
    private func socket(_ name: String) -> String {
        "ipc://\(context.runtime)/\(place.label.isEmpty ? "" : place.label + "-")\(name)"
    }

    private func startCommand(
        _ name: String, _ provider: ProxyProvider, _ endpoints: [String: String],
        _ fixed: Endpoint?...
    ) async throws {
        guard case .command = provider else { return }
        for case .tcp(_, let port?)? in fixed { remember(port: port) }
        let words = provider.words(endpoints)
        let (context, place, topology, control) = (context, place, topology, control.endpoint)
        do {
            try await context.supervisor.spawn(place.process(name)) { incarnation in
                var environment = Mesh.environment(
                    of: name, incarnation: incarnation, context: context, place: place,
                    control: control)
                for (key, endpoint) in endpoints {
                    environment["SYNMESH_\(key.uppercased())"] = endpoint
                }
                return ProcessSpecification(
                    executable: words.first ?? "", arguments: Array(words.dropFirst()),
                    environment: environment, workingDirectory: topology.directory,
                    logPath: place.directory.processLogPath(name: name),
                    showsOnConsole: context.options.showsOutput,
                    restart: RestartPolicy(.onFailure))
            }
        } catch {
            throw EnvironmentError("could not start the proxy '\(name)'", reason: "\(error)")
        }
    }

    /// Asks a ROUTER of the user's own what it can be asked: whether it gives back what somebody
    /// says to itself.
    func waitUntilPassing(_ branch: Branch) async throws {
        let endpoint = book.withLock { $0.endpoints[branch.name]?["router"] } ?? ""
        let deadline = ContinuousClock.now + Self.readyTimeout
        while ContinuousClock.now < deadline, !Task.isCancelled {
            let isPassing = try await onDedicatedThread(named: "self-probe") {
                selfProbe(endpoint: endpoint, timeout: .seconds(1))
            }
            if isPassing { return markPassing(branch.name) }
            if let breakage {
                throw EnvironmentError(
                    "could not start the branch '\(branch.name)'", reason: breakage,
                    remedy: "See \(place.directory.processLogPath(name: branch.name)).")
            }
        }
        throw EnvironmentError(
            "could not use the proxy of the branch '\(branch.name)'",
            reason: "its ROUTER at \(endpoint) does not give back what a peer says to itself",
            remedy: branch.provider == .running
                ? "Is it running, and does it route on 'to' to any peer of that name?"
                : "See \(place.directory.processLogPath(name: branch.name)).")
    }

    private func markPassing(_ part: String) {
        book.withLock { $0.ready[part] = $0.incarnations[part] ?? 1 }
    }
}

/// A name that changes hands at a proxy that keeps nothing for anybody.
extension Mesh {
    /// Has everybody who sends through the proxy of the agent's branch fall silent, once everything
    /// that they have sent has been handled.
    ///
    /// - Returns: Those who must be resumed.
    func pauseMates(of agent: Agent) async throws -> [Agent] {
        let mates = speaking.filter { mate in
            mate.branch == agent.branch && mate.name != agent.name
                && book.transport(of: mate.name) == .zmq && book.isReady(mate.name)
        }
        context.note(
            "paused", ["for": .string(agent.name), "agents": Value(mates.count)])
        let failures = await withTaskGroup { group in
            for mate in mates {
                group.addTask { () -> String? in
                    do {
                        _ = try await self.command("pause", to: mate.name, timeout: .seconds(4))
                        return nil
                    } catch {
                        return "\(mate.name) could not be paused: \(error)"
                    }
                }
            }
            var failures: [String] = []
            for await failure in group { if let failure { failures.append(failure) } }
            return failures
        }
        guard failures.isEmpty else {
            await resume(mates, after: agent)
            throw EnvironmentError(
                "could not pause the branch '\(agent.branch)'",
                reason: failures.sorted().joined(separator: "; "))
        }
        return mates
    }

    /// Has them go on.
    func resume(_ mates: [Agent], after agent: Agent) async {
        guard !mates.isEmpty else { return }
        await withTaskGroup { group in
            for mate in mates {
                group.addTask {
                    do {
                        _ = try await self.command("resume", to: mate.name)
                    } catch {
                        // Who has died meanwhile is not paused when it comes back.
                        self.context.report("  \(mate.name) was not resumed: \(error)")
                    }
                }
            }
        }
        context.note("resumed", ["for": .string(agent.name), "agents": Value(mates.count)])
    }

    /// Makes the agent's name at the proxy that of who is to have it: the bridge while the agent is
    /// on NATS, nobody when it is about to come back.
    func hand(_ agent: Agent, to transport: Transport, _ paused: inout [Agent]) async throws {
        let node = topology.homeBranch(of: agent)?.nodeName ?? ""
        let arguments: Value = ["agent": .string(agent.name)]
        switch transport {
        case .nats:
            _ = try await command("join", toNode: node, role: "branch", arguments)
            // From here on the bridge keeps what comes.
            await resume(paused, after: agent)
            paused = []
        case .zmq:
            if paused.isEmpty { paused = try await pauseMates(of: agent) }
            let answer = try await command("leave", toNode: node, role: "branch", arguments)
            if answer["whole"]?.bool != true {
                let doubt =
                    "the proxy of \(agent.branch) has not shown that all it had for \(agent.name) "
                    + "came before the name changed hands"
                context.report("  \(doubt)")
                doubts.append(doubt)
            }
        }
    }
}
