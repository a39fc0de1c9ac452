internal import Analysis
internal import Foundation
internal import JSON
public import Operating
internal import Supervision
internal import Synchronization
internal import Topologies
internal import Wire
internal import YAML

/// How far a mesh that is up has come, for those who ask.
final class SessionState: Sendable {
    enum Phase: String {
        case starting
        case up
        case broken
        case stopping
    }

    private struct State {
        var phase = Phase.starting
        var reason: String?
        var waiting: [Exchange] = []
        var listening: [Exchange] = []
    }

    private let state = Mutex(State())

    var phase: Phase { state.withLock { $0.phase } }

    var json: Value {
        state.withLock { state in
            [
                "phase": .string(state.phase.rawValue),
                "reason": state.reason.map(Value.string) ?? .null,
            ]
        }
    }

    func move(to phase: Phase, because reason: String? = nil) {
        let waiting = state.withLock { state in
            // What broke stays broken while it is stopped.
            if state.phase != .broken || phase != .stopping { state.reason = reason }
            state.phase = phase
            defer { state.waiting = [] }
            return state.waiting
        }
        for exchange in waiting { exchange.finish(json) }
    }

    /// Somebody hears events until the end.
    func listen(_ exchange: Exchange) { state.withLock { $0.listening.append(exchange) } }

    /// There will be no more events.
    func finishListening() {
        let listening = state.withLock { state in
            defer { state.listening = [] }
            return state.listening
        }
        for exchange in listening { exchange.finish() }
    }

    /// Answers when the start is over.
    func answer(_ exchange: Exchange) {
        let isOver = state.withLock { state in
            if state.phase == .starting { state.waiting.append(exchange) }
            return state.phase != .starting
        }
        if isOver { exchange.finish(json) }
    }
}

/// What people ask of a mesh that is up.
extension MeshSession {
    /// Opens the socket that people ask by, and notes the mesh down for those who look for it.
    ///
    /// - Parameter onDown: Told when somebody wants the mesh to end; the exchange is answered by
    ///   whoever ends it.
    /// - Returns: Where it is.
    /// - Throws: `OperatingError` or `EnvironmentError` when the socket cannot be made.
    public func serve(
        onDown: @escaping @Sendable (Exchange) -> Void
    ) throws -> MeshRecord {
        let record = try MeshRecord(
            of: context, topology: mesh.topology.source.name, guardian: guardian.process)
        server = try OperatorServer(path: record.socket) { [weak self] exchange in
            if exchange.request.name == "down" { return onDown(exchange) }
            guard let self else {
                return exchange.fail(OperatingError(.failed, "the mesh has ended"))
            }
            await self.answer(exchange)
        }
        try record.write(to: context.runtime)
        return record
    }

    private func answer(_ exchange: Exchange) async {
        do {
            let request = exchange.request
            switch request.name {
            case "status":
                var members = state.json.object ?? [:]
                members["name"] = .string(context.name)
                members["run"] = .string(context.run)
                members["directory"] = .string(directory)
                exchange.finish(.object(members))
            case "wait": state.answer(exchange)
            case "ps": exchange.finish(["processes": .array(await processes().map(\.json))])
            case "explain":
                exchange.finish(["lines": .array(try await explain(request).map(Value.string))])
            case "restart": exchange.finish(try await restart(request))
            case "stop": exchange.finish(try await stopParts(request))
            case "start": exchange.finish(try await startParts(request))
            case "move": exchange.finish(try await move(request))
            case "scale": exchange.finish(try await scale(request))
            case "events": await tellEvents(exchange)
            default:
                exchange.fail(
                    OperatingError(
                        .unknownRequest, "there is no request '\(request.name)'",
                        remedy: "Use the same synmesh that started the mesh."))
            }
        } catch let error as OperatingError {
            exchange.fail(error)
        } catch {
            exchange.fail(OperatingError(.failed, "\(error)"))
        }
    }

    // MARK: Looking

    /// What all processes are doing.
    func processes() async -> [ProcessReport] {
        let statuses = await context.supervisor.statuses()
        return statuses.compactMap { status in
            guard let part = mesh.place.part(status.name) else { return nil }
            return ProcessReport(
                status, kind: kind(of: part),
                isReady: status.isReady && mesh.book.isReady(part))
        }
    }

    private func kind(of part: String) -> String {
        let topology = mesh.topology
        if topology.agent(named: part) != nil { return "agent" }
        if mesh.helper(named: part) != nil { return "process" }
        if topology.server(named: part) != nil { return "server" }
        if topology.branch(named: part) != nil { return "branch" }
        if topology.topicProxies.contains(where: { $0.name == part }) { return "topics" }
        return "bridge"
    }

    private func tellEvents(_ exchange: Exchange) async {
        let events = context.supervisor.events()
        state.listen(exchange)
        for await event in events {
            guard exchange.send(ProcessReport.json(of: event, clock: context.clock.now)) else {
                return
            }
        }
    }

    // MARK: Doing

    /// The parts that a request names, groups of replicas expanded.
    private func parts(_ request: Request) async throws -> [String] {
        let names = (request.arguments["names"]?.array ?? []).compactMap(\.string)
        guard !names.isEmpty else {
            throw OperatingError(.badArguments, "no part was named", remedy: "Name one or more.")
        }
        let known = await context.supervisor.statuses().compactMap { mesh.place.part($0.name) }
        let topology = mesh.topology
        // What was scaled away is meant only by its own name, which is among the known ones.
        let retired = mesh.book.withLock { $0.retired }
        var parts: [String] = []
        for name in names {
            let meant =
                topology.agents(referredToAs: name).map(\.name)
                + mesh.helpers.filter { $0.group == name && !retired.contains($0.name) }
                .map(\.name)
                + known.filter { $0 == name }
            guard !meant.isEmpty else {
                throw OperatingError(
                    .badArguments, "there is no part '\(name)'",
                    remedy: "There is \(known.prefix(20).joined(separator: ", ")).")
            }
            for part in meant where !parts.contains(part) { parts.append(part) }
        }
        return parts
    }

    private func restart(_ request: Request) async throws -> Value {
        let parts = try await parts(request)
        let grace = grace(request)
        return try await each(parts) { part in
            let running = try await self.context.supervisor.restart(
                self.mesh.place.process(part), grace: grace)
            try await self.mesh.waitForReturn(of: part, incarnation: running.incarnation)
        }
    }

    private func startParts(_ request: Request) async throws -> Value {
        let parts = try await parts(request)
        return try await each(parts) { part in
            let name = self.mesh.place.process(part)
            do {
                let running = try await self.context.supervisor.respawn(name)
                try await self.mesh.waitForReturn(of: part, incarnation: running.incarnation)
            } catch let error as SupervisionError where error.code == .alreadyRunning {
                // What is wanted is so.
            }
        }
    }

    private func stopParts(_ request: Request) async throws -> Value {
        let parts = Set(try await parts(request))
        let levels = await mesh.levelsOfStop.map { level in
            level.filter { self.mesh.place.part($0).map(parts.contains) ?? false }
        }
        var limit = await mesh.graceOfStop
        if let asked = grace(request) { limit = asked }
        let reports = await context.supervisor.stop(
            inOrder: levels.filter { !$0.isEmpty }, grace: limit)
        return ["ends": .array(reports.map { .string($0.description) })]
    }

    private func move(_ request: Request) async throws -> Value {
        guard let target = request.arguments["to"]?.string.flatMap(Transport.init(rawValue:)) else {
            throw OperatingError(.badArguments, "where to is not said", remedy: "Say zmq or nats.")
        }
        let strategy =
            request.arguments["strategy"]?.string.flatMap(MoveReport.Strategy.init(rawValue:))
            ?? .live
        var moves: [MoveReport] = []
        for part in try await parts(request) {
            guard let agent = mesh.topology.agent(named: part) else {
                throw OperatingError(
                    .badArguments, "'\(part)' is no agent", remedy: "Agents are what is moved.")
            }
            guard agent.launch(on: target) != nil else {
                throw OperatingError(
                    .badArguments, "'\(part)' cannot run on \(target.rawValue)",
                    remedy:
                        "Say how in its entry: 'transports: { \(target.rawValue): { command: ... } }'."
                )
            }
            let move = await mesh.move(part, to: target, by: strategy)
            moves.append(move.report)
            guard move.isDone else {
                throw OperatingError(.failed, "\(move.report)")
            }
        }
        return [
            "moves": .array(moves.map(\.json)),
            "lines": .array(moves.map { .string("\($0)") }),
        ]
    }

    private func grace(_ request: Request) -> Duration? {
        request.arguments["grace_ms"]?.integer.map { .milliseconds(max(0, min($0, 3_600_000))) }
    }

    private func each(
        _ parts: [String], _ body: @escaping @Sendable (String) async throws -> Void
    ) async throws -> Value {
        var failures: [String] = []
        await withTaskGroup(of: String?.self) { group in
            for part in parts {
                group.addTask {
                    do {
                        try await body(part)
                        return nil
                    } catch {
                        return "\(error)"
                    }
                }
            }
            for await failure in group { if let failure { failures.append(failure) } }
        }
        guard failures.isEmpty else {
            throw OperatingError(.failed, failures.sorted().joined(separator: "; "))
        }
        return ["parts": .array(parts.map(Value.string))]
    }
}
