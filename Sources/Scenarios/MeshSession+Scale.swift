internal import JSON
internal import Operating
internal import Supervision
internal import Topologies

/// More or fewer of the helper processes that are alike.
extension Mesh {
    /// The helper process of that name, whether the file has it or it came by scaling.
    nonisolated func helper(named name: String) -> HelperProcess? {
        topology.process(named: name) ?? book.withLock { $0.helpers[name] }
    }

    /// All helper processes.
    nonisolated var helpers: [HelperProcess] {
        topology.processes + book.withLock { Array($0.helpers.values) }
    }

    /// Starts a helper process that the file does not have.
    func startMore(_ process: HelperProcess) async throws {
        book.withLock { $0.helpers[process.name] = process }
        try await start(process)
    }
}

extension MeshSession {
    /// Starts or ends replicas until there are as many as asked for; the highest numbers go first.
    func scale(_ request: Request) async throws -> Value {
        let group = request.arguments["name"]?.string ?? ""
        let count = request.arguments["count"]?.integer ?? -1
        guard (0...1_000).contains(count) else {
            throw OperatingError(.badArguments, "there may be 0 to 1000 of '\(group)'")
        }
        guard let model = mesh.topology.processes.first(where: { $0.group == group }) else {
            let isAgent = mesh.topology.agents.contains { $0.group == group }
            throw OperatingError(
                .badArguments,
                isAgent
                    ? "'\(group)' are agents: their branch knows them from its start"
                    : "there are no processes '\(group)'",
                remedy: isAgent
                    ? "Start the mesh with '--set agents.\(group).replicas=\(count)'." : nil)
        }
        guard model.replica(1) != nil else {
            throw OperatingError(
                .badArguments, "'\(group)' is one process, without 'replicas'",
                remedy: "Declare it with 'replicas: 1'.")
        }
        let alive = Set(
            await context.supervisor.statuses().filter { $0.phase != .ended }
                .compactMap { mesh.place.part($0.name) })
        let known = mesh.helpers.filter { $0.group == group }.map(\.name)
        let wanted = (1...max(Int(count), 1)).prefix(Int(count)).map { "\(group)-\($0)" }
        mesh.book.withLock { book in
            book.retired.formUnion(known)
            book.retired.subtract(wanted)
        }
        for name in Set(known).intersection(alive).subtracting(wanted) {
            _ = try await context.supervisor.stop(mesh.place.process(name))
        }
        for (index, name) in wanted.enumerated() where !alive.contains(name) {
            if known.contains(name) {
                let running = try await context.supervisor.respawn(mesh.place.process(name))
                try await mesh.waitForReturn(of: name, incarnation: running.incarnation)
            } else if let process = model.replica(index + 1) {
                try await mesh.startMore(process)
            }
        }
        return ["parts": .array(wanted.map(Value.string))]
    }
}
