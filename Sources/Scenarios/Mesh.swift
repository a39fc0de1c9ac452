internal import Analysis
package import Control
internal import JSON
internal import Recording
internal import SharedMemory
internal import Supervision
internal import Synchronization
package import Topologies
package import Wire

/// A mesh that runs: its processes, what they are told, and which of them are up.
///
/// Processes start in the order servers, proxies, agents by their dependencies; each must be ready
/// in its own protocol before the next floor starts.
package actor Mesh {
    /// What the mesh is made from.
    package nonisolated let topology: Topology
    /// Where its histories and logs are.
    package nonisolated let place: MeshPlace
    /// The run that it is part of.
    package nonisolated let context: RunContext
    /// What its processes are told by.
    package nonisolated let control: ControlServer
    /// What is known of its parts.
    package nonisolated let book = MeshBook()
    /// How far its agents and helper processes have come in their start.
    nonisolated let board = StartBoard()
    /// Its histories as far as they were read.
    nonisolated let followed = FollowedHistories()
    var servers: [String: NATSServerProcess] = [:]
    /// TCP ports that the mesh listened on, for the certificate that they are free again.
    package private(set) var ports: Set<UInt16> = []
    /// The shared memory that the mesh made, by the pools' names.
    var segments: [(pool: String, segment: PoolSegment)] = []
    /// What the pools showed at the end.
    var poolReports: [PoolReport] = []
    /// Why that is not known of all of them.
    var poolProblems: [String] = []
    private var watcher: Task<Void, Never>?
    private var listener: Task<Void, Never>?
    /// Why the mesh cannot carry what it should any more: a part ended and does not come back.
    private(set) var breakage: String?
    /// Ends that nobody asked for and no fault explains.
    private(set) var crashes: [ExitReport] = []
    /// What proxies could not record, by their names and incarnations.
    var unrecorded: [String: String] = [:]
    private var breakageWaiters: [CheckedContinuation<Void, Never>] = []
    /// What puts the evidence in doubt: about agents that keep no history, and of moves.
    var doubts: [String] = []
    /// How often programs without a history were seen to close a connection, when asked last.
    var disconnects: [String: (incarnation: UInt32, count: Int64)] = [:]
    /// Programs that were stopped by a signal to be moved, since `doubts` were asked for last.
    var stoppedPrograms: Set<String> = []

    /// A mesh that is not started yet.
    ///
    /// All agents are on `transport`, or where that is `nil`, each where its entry says; those in `sides`
    /// where that says.
    package init(
        _ topology: Topology, at place: MeshPlace, transport: Transport? = nil,
        living sides: [String: Transport] = [:], context: RunContext
    ) throws {
        self.topology = topology
        self.place = place
        self.context = context
        try place.directory.create()
        for path in topology.socketPaths { try context.manifest.append(path) }
        let name = place.label.isEmpty ? "control" : place.label
        control = try ControlServer(endpoint: "ipc://\(context.runtime)/\(name)")
        book.withLock { book in
            for agent in topology.agents {
                let transport = sides[agent.name] ?? transport ?? agent.transport
                book.agents[agent.name] = MeshBook.AgentEntry(transport: transport)
                if transport == .nats { book.everOnNATS.insert(agent.name) }
            }
        }
    }

    /// Starts everything, or all but the agents, and returns when it is ready.
    package func start(withAgents: Bool = true) async throws {
        let events = context.supervisor.events()
        let (said, context) = (control.events, context)
        listener = Task {
            for await event in said {
                guard case .event(let child, let name, let fields) = event else { continue }
                context.note(name, fields.merging(["process": .string(child.name)]) { $1 })
                let words = [fields["peer"]?.string, fields["what"]?.string].compactMap(\.self)
                context.report("  \(child.name): " + words.joined(separator: " "))
            }
        }
        watcher = Task { [weak self] in
            for await event in events { await self?.heed(event) }
        }
        try await makePools()
        for server in topology.servers {
            let process = NATSServerProcess(
                server, isMonitored: topology.isTapped, mesh: place, context: context)
            servers[server.name] = process
            try await process.start()
            let url = process.url
            book.withLock { $0.urls[server.name] = url }
            if let port = process.url.flatMap(Self.port(of:)) { ports.insert(port) }
            if let port = process.monitoringPort { ports.insert(port) }
            context.report("  \(place.process(server.name)) ready at \(process.url ?? "")")
        }
        for branch in topology.branches { try await start(branch) }
        for proxy in topology.topicProxies { try await start(proxy) }
        try await linkBranches()
        guard withAgents else { return }
        try await startParts()
    }

    /// Has every part end by itself in order: agents, then proxies, so that all histories close.
    package func stop() async {
        await quiesce()
        await waitForAcknowledgements()
        watcher?.cancel()
        listener?.cancel()
        // What ended already has its report; what survives is in the certificate.
        let reports = await context.supervisor.stop(
            inOrder: levelsOfStop, grace: graceOfStop)
        for report in reports { heed(endOf: report) }
        removePools()
        control.close()
        for waiter in breakageWaiters { waiter.resume() }
        breakageWaiters = []
    }

    /// Returns when the mesh is broken or stopped.
    func waitForBreakage() async {
        if breakage != nil { return }
        await withCheckedContinuation { breakageWaiters.append($0) }
    }

    func remember(port: UInt16) { ports.insert(port) }

    private func heed(_ event: ProcessEvent) {
        switch event {
        case .started(let running):
            guard let part = place.part(running.name) else { return }
            context.note(
                "started",
                [
                    "process": .string(running.name), "pid": Value(running.process),
                    "incarnation": Value(running.incarnation),
                ])
            // Words about an older incarnation may come late.
            book.withLock { book in
                book.incarnations[part] = max(
                    book.incarnations[part] ?? 0, running.incarnation)
            }
            board.reach(.started, part)
            if running.incarnation > 1 { restore(part, incarnation: running.incarnation) }
        case .exited(let report):
            guard let part = place.part(report.name) else { return }
            context.note(
                "exited",
                ["process": .string(report.name), "reason": .string(report.description)])
            forget(part, incarnation: report.incarnation)
            if report.attribution != .us { heed(unasked: report, of: part) }
        case .givenUp(let name, let reason):
            guard let part = place.part(name) else { return }
            board.end(part, successfully: false, because: "\(name) is given up: \(reason)")
            context.report("  \(name) is given up: \(reason)")
            if helper(named: part)?.isEssential == false { return }
            declareBroken(because: "\(name) is given up: \(reason)")
        case .restarting(let name, _, _), .paused(let name, _), .resumed(let name),
            .ready(let name, _), .unready(let name, _, _):
            guard place.part(name) != nil else { return }
            context.note("process", ["process": .string(name), "what": .string("\(event)")])
        }
    }

    /// An end that we did not bring about.
    private func heed(unasked report: ExitReport, of part: String) {
        let isTolerated = isTolerated(report, of: part)
        if !isTolerated || report.isFailure { context.report("  \(report.description)") }
        if case .fault = report.attribution {
        } else if !isTolerated {
            crashes.append(report)
            doubtReading(of: part, because: report.description)
        }
        let policy = restartPolicy(of: part)
        let isFinal = policy == .never || policy == .onFailure && !report.isFailure
        guard isFinal else { return }
        board.end(part, successfully: !report.isFailure, because: report.description)
        if !isTolerated { declareBroken(because: report.description) }
    }

    private func declareBroken(because reason: String) {
        if breakage == nil { breakage = reason }
        for waiter in breakageWaiters { waiter.resume() }
        breakageWaiters = []
    }

    private func forget(_ part: String, incarnation: UInt32) {
        for role in ["agent", "branch", "topics"] {
            control.forget(ChildID(role: role, name: part, incarnation: incarnation))
        }
        book.withLock { book in
            if book.ready[part] == incarnation { book.ready[part] = nil }
        }
    }

    private func restartPolicy(of part: String) -> Topologies.RestartPolicy.Condition {
        if let agent = topology.agent(named: part) { return agent.restart.condition }
        if let server = topology.server(named: part) { return server.restart.condition }
        if let process = helper(named: part) { return process.restart.condition }
        if let branch = topology.branch(named: part) { return branch.restart.condition }
        if let proxy = topology.topicProxies.first(where: { $0.name == part }) {
            return proxy.restart.condition
        }
        return .onFailure
    }

    static func port(of endpoint: String) -> UInt16? {
        guard endpoint.contains("://"), let colon = endpoint.lastIndex(of: ":") else { return nil }
        return UInt16(endpoint[endpoint.index(after: colon)...])
    }
}

/// What is known of the parts; shared with the closures that the supervisor calls for a restart.
package final class MeshBook: Sendable {
    /// What is known of an agent.
    package struct AgentEntry {
        /// Where it is, or will be started.
        package var transport: Transport
        /// The handover state for the next incarnation, as a file's path.
        package var statePath: String?
        /// Which incarnation that is: a later one, after a crash, must not believe old marks.
        package var stateIncarnation: UInt32 = 0
    }

    /// What is known.
    package struct State {
        /// The agents, by name.
        package var agents: [String: AgentEntry] = [:]
        /// The latest start of each part.
        package var incarnations: [String: UInt32] = [:]
        /// The incarnation of each part that has said it is ready.
        var ready: [String: UInt32] = [:]
        /// Where each proxy is bound: by its name, then by the socket's.
        package var endpoints: [String: [String: String]] = [:]
        /// Agents that were on NATS at any time.
        var everOnNATS: Set<String> = []
        /// Raised with every decision about where an agent lives, so that late words of an earlier one are
        /// known as such.
        var routeEpoch: UInt64 = 0
        /// Agents that are being moved: down on purpose.
        var moving: Set<String> = []
        /// Helper processes that came by scaling, by name.
        var helpers: [String: HelperProcess] = [:]
        /// Helper processes that there are too many of, since scaling.
        var retired: Set<String> = []
        /// Where each NATS server answers.
        package var urls: [String: String] = [:]
    }

    private let state = Mutex(State())

    /// Reads or changes what is known.
    package func withLock<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        state.withLock { body(&$0) }
    }

    /// A server's URL as a configuration has it: `null` where there is no server.
    func url(of server: String?) -> Value {
        server.flatMap { name in withLock { $0.urls[name] } }.map(Value.string) ?? .null
    }

    /// What a reference of a topology stands for; `nil` before the part is up.
    func value(of reference: RunReference) -> String? {
        withLock { book in
            switch reference {
            case .port(let server):
                book.urls[server]?.split(separator: ":").last.map(String.init)
            case .url(let server): book.urls[server]
            case .branch(let branch): book.endpoints[branch]?["router"]
            case .topicProxy(let proxy, let socket): book.endpoints[proxy]?[socket]
            }
        }
    }

    func transport(of agent: String) -> Transport {
        withLock { $0.agents[agent]?.transport } ?? .zmq
    }

    func incarnation(of part: String) -> UInt32 { withLock { $0.incarnations[part] } ?? 1 }

    func isReady(_ part: String) -> Bool {
        withLock { $0.ready[part] != nil && $0.ready[part] == $0.incarnations[part] }
    }
}
