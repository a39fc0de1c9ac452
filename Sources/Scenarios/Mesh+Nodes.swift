internal import Control
internal import Foundation
package import JSON
internal import Recording
internal import Routing
internal import Supervision
internal import Threads
internal import Topologies
internal import Wire

/// Proxies: how they are configured, started, linked and, after a crash, put back.
extension Mesh {
    static let readyTimeout = Duration.seconds(15)

    func start(_ branch: Branch) async throws {
        if branch.provider.isForeign { return try await startForeign(branch) }
        try await startNode(
            branch.name, role: "branch", restart: branch.restart.supervision
        ) { [topology, context, book, place] in
            let bound = book.withLock { $0.endpoints[branch.name]?["router"] }
            return [
                "name": .string(branch.name),
                "endpoint": .string(
                    bound ?? branch.endpoint?.resolved(in: context.runtime)
                        ?? "tcp://127.0.0.1:*"),
                "nats": book.url(of: branch.server),
                "nats_chunking": .bool(topology.isChunking(branch.server)),
                "routing_report_ms": Value(branch.routingReport.wholeMilliseconds),
                "queue_messages": Value(branch.queueMessages),
                "queue_bytes": Value(branch.queueBytes),
                "overflow": .string(branch.queueOverflow.rawValue),
                "stall_timeout_ms": Value(branch.stallTimeout.wholeMilliseconds),
                "peer_timeout_ms": Value(branch.peerTimeout.wholeMilliseconds),
                "taps": .bool(topology.isTapped), "record": topology.unrecorded,
                "registry": .string(place.registry(of: branch.name).path),
                // One that comes back must know of the others before anybody speaks to it.
                "links": bound == nil ? [] : Self.links(of: branch, in: topology, book),
                "agents": .array(
                    topology.agents.filter { $0.branch == branch.name }.map { agent in
                        [
                            "name": .string(agent.name),
                            "transport": .string(book.transport(of: agent.name).rawValue),
                            "wire": .string(agent.wire.rawValue),
                            "history": .bool(agent.keepsHistory),
                            "batches": .bool(agent.takesBatches),
                        ]
                    }),
            ]
        }
        guard let endpoint = book.withLock({ $0.endpoints[branch.name]?["router"] }) else {
            throw EnvironmentError(
                "could not start the branch '\(branch.name)'",
                reason: "it did not say where it is bound")
        }
        let answer = try await onDedicatedThread(named: "hello-probe") {
            helloProbe(endpoint: endpoint, timeout: .seconds(5))
        }
        guard answer == branch.name else {
            throw EnvironmentError(
                "could not start the branch '\(branch.name)'",
                reason: answer.map { "\(endpoint) is answered by '\($0)', which is not ours" }
                    ?? "its ROUTER at \(endpoint) does not answer a hello")
        }
        context.report("  \(place.process(branch.name)) ready at \(endpoint)")
    }

    func start(_ proxy: Topologies.TopicProxy) async throws {
        if proxy.provider.isForeign { return try await startForeign(proxy) }
        try await startNode(
            proxy.name, role: "topics", restart: proxy.restart.supervision
        ) { [topology, context, book] in
            let bound = book.withLock { $0.endpoints[proxy.name] }
            let any = "tcp://127.0.0.1:*"
            return [
                "name": .string(proxy.name),
                "publish_endpoint": .string(
                    bound?["publish"] ?? proxy.publish?.resolved(in: context.runtime) ?? any),
                "subscribe_endpoint": .string(
                    bound?["subscribe"] ?? proxy.subscribe?.resolved(in: context.runtime) ?? any),
                "nats": book.url(of: proxy.server),
                "nats_chunking": .bool(topology.isChunking(proxy.server)),
                "prefixes": .array(proxy.prefixes.map { .string($0) }),
                "queue_messages": Value(proxy.queueMessages),
                "queue_bytes": Value(proxy.queueBytes),
                "overflow": .string(proxy.queueOverflow.rawValue),
                "stall_timeout_ms": Value(proxy.stallTimeout.wholeMilliseconds),
                "peer_timeout_ms": Value(proxy.peerTimeout.wholeMilliseconds),
                "record": topology.unrecorded,
            ]
        }
        let bound = book.withLock { $0.endpoints[proxy.name] } ?? [:]
        context.report(
            "  \(place.process(proxy.name)) ready: publish to \(bound["publish"] ?? ""), "
                + "subscribe at \(bound["subscribe"] ?? "")")
    }

    /// Tells each branch where the branches are that it is linked to, and who lives there.
    func linkBranches() async throws {
        for branch in topology.branches where !branch.links.isEmpty {
            try await link(branch)
        }
    }

    private func link(_ branch: Branch) async throws {
        _ = try await command(
            "link", toNode: branch.name, role: "branch",
            ["peers": Self.links(of: branch, in: topology, book)])
    }

    private static func links(of branch: Branch, in topology: Topology, _ book: MeshBook) -> Value {
        let peers = branch.links.map { peer -> Value in
            let agents = topology.agents.filter { $0.branch == peer }
            return [
                "name": .string(peer),
                "endpoint": .string(book.withLock { $0.endpoints[peer]?["router"] } ?? ""),
                "agents": .array(agents.map { .string($0.name) }),
            ]
        }
        return .array(peers)
    }

    /// Waits for an incarnation that the supervisor restarted, and tells it what it must know.
    ///
    /// Its configuration, made anew, already has the registry and the endpoint that was bound.
    func restore(_ part: String, incarnation: UInt32) {
        if helper(named: part) != nil {
            Task {
                do {
                    try await self.waitForProbes(of: part)
                    self.book.withLock { $0.ready[part] = incarnation }
                } catch {
                    self.context.report("  \(part) did not come back: \(error)")
                }
            }
            return
        }
        let role: String
        if topology.branches.contains(where: { $0.nodeName == part }) {
            role = "branch"
        } else if topology.topicProxies.contains(where: { $0.nodeName == part }) {
            role = "topics"
        } else {
            role = "agent"
        }
        let (agent, server) = (topology.agent(named: part), servers[part])
        let foreign = topology.branch(named: part).flatMap { $0.provider.isForeign ? $0 : nil }
        // A topic proxy of the user's own answers nothing: it is up when it runs.
        let isSilent = topology.topicProxies.contains {
            $0.name == part && $0.provider.isForeign
        }
        Task {
            do {
                if let server {
                    try await server.waitUntilReady()
                    self.book.withLock { $0.ready[part] = incarnation }
                } else if let agent {
                    try await self.waitUntilUp(agent, incarnation: incarnation)
                } else if let foreign {
                    try await self.waitUntilPassing(foreign)
                } else if isSilent {
                    self.book.withLock { $0.ready[part] = incarnation }
                } else {
                    try await self.waitUntilReady(part, role: role, incarnation: incarnation)
                }
                if let branch = self.topology.branch(named: part), !branch.links.isEmpty {
                    try await self.link(branch)
                }
            } catch {
                self.context.report("  \(part) did not come back: \(error)")
            }
        }
    }

    func waitUntilReady(_ part: String, role: String, incarnation: UInt32) async throws {
        let ready = try await control.waitReady(
            role: role, name: part, incarnation: incarnation, timeout: Self.readyTimeout)
        book.withLock { book in
            if !ready.endpoints.isEmpty { book.endpoints[part] = ready.endpoints }
            book.ready[part] = incarnation
            book.incarnations[part] = incarnation
        }
        for endpoint in ready.endpoints.values {
            if let port = Self.port(of: endpoint) { remember(port: port) }
        }
        context.note("ready", ["process": .string(place.process(part))])
    }

    /// Has a proxy do something, and returns its answer.
    package func command(
        _ name: String, toNode node: String, role: String, _ arguments: Value,
        timeout: Duration = .seconds(5)
    ) async throws -> Value {
        let child = ChildID(role: role, name: node, incarnation: book.incarnation(of: node))
        return try await control.command(name, to: child, arguments: arguments, timeout: timeout)
    }

    /// - Parameters:
    ///   - name: the process, in this mesh
    ///   - role: what it is on the control plane
    ///   - program: what `synmesh-node` is to be; `nil` is the role
    ///   - restart: what happens when it ends by itself
    ///   - configuration: what it is told, made anew for each start
    /// - Throws: `EnvironmentError` when it does not become ready.
    func startNode(
        _ name: String, role: String, program: String? = nil,
        restart: Supervision.RestartPolicy = RestartPolicy(.onFailure),
        configuration: @escaping @Sendable () -> Value
    ) async throws {
        let path = "\(place.directory.processesPath)/\(name).json"
        let (context, place, control) = (context, place, control.endpoint)
        let rotation = Self.rotation(of: topology)
        try await context.supervisor.spawn(place.process(name)) { incarnation in
            // A node without its file ends with an error that is in its log.
            try? Data((configuration().canonical + "\n").utf8).write(to: URL(filePath: path))
            var specification = ProcessSpecification(
                executable: context.programs + "/synmesh-node", arguments: [program ?? role, path],
                environment: Mesh.environment(
                    of: name, incarnation: incarnation, context: context, place: place,
                    control: control
                ).merging(rotation) { $1 },
                logPath: place.directory.processLogPath(name: name),
                showsOnConsole: context.options.showsOutput,
                restart: restart)
            specification.notesTimes = true
            return specification
        }
        do {
            try await waitUntilReady(name, role: role, incarnation: 1)
        } catch {
            let holders = await Self.holders(of: configuration())
            throw EnvironmentError(
                "could not start the proxy '\(name)'",
                reason: (["\(error)"] + holders).joined(separator: " "),
                remedy: "See \(place.directory.processLogPath(name: name)).")
        }
    }

    /// Who listens where a node that has ended was told to listen, a sentence for each port.
    private static func holders(of configuration: Value) async -> [String] {
        let ports = ["endpoint", "publish_endpoint", "subscribe_endpoint"]
            .compactMap { configuration[$0]?.string.flatMap(port(of:)) }
        var sentences: [String] = []
        for port in ports {
            guard let holders = await PortHolders.described(port, family: []) else { continue }
            sentences.append("Port \(port) is held by \(holders).")
        }
        return sentences
    }

    /// When the histories of a topology's processes go on in other files, as their environment says it.
    static func rotation(of topology: Topology) -> [String: String] {
        var variables: [String: String] = [:]
        variables[HistoryRotation.sizeVariable] = topology.historyLimit?.bytes.map { "\($0)" }
        variables[HistoryRotation.timeVariable] = topology.historyLimit?.seconds.map { "\($0)" }
        return variables
    }

    /// The environment that every child of the mesh gets.
    static func environment(
        of name: String, incarnation: UInt32, context: RunContext, place: MeshPlace,
        control: String
    ) -> [String: String] {
        let own = ProcessInfo.processInfo.environment
        let inherited = own.filter { ["HOME", "LANG", "TMPDIR", "TZ"].contains($0.key) }
        let given = [
            "PATH": own["PATH"] ?? "/usr/bin:/bin",
            "SYNMESH_RUN": context.run,
            "SYNMESH_NAME": name,
            "SYNMESH_INCARNATION": String(incarnation),
            "SYNMESH_CONTROL": control,
            "SYNMESH_CLOCK_OFFSET": String(context.clock.offset),
            "SYNMESH_SEED": String(context.seed),
            "SYNMESH_HISTORY": place.directory.historyPath(
                process: name, incarnation: incarnation),
        ]
        return inherited.merging(given) { $1 }
    }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    var wholeMilliseconds: Int {
        Int(components.seconds) * 1_000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }
}
