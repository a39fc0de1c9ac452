internal import Foundation
public import JSON
public import Operating
internal import Recording
public import Supervision
internal import Threads
public import Topologies
internal import YAML

/// A topology that is simply up: spawned, supervised and taken down, with no scenario.
public actor MeshSession {
    let context: RunContext
    let mesh: Mesh
    let guardian: Guardian
    let state = SessionState()
    /// Where people ask, once it is open.
    var server: OperatorServer?

    /// The folder of the logs and histories.
    public nonisolated var directory: String { context.directory.path }

    /// Prepares the mesh's directory, sockets' folder and supervisor.
    ///
    /// - Parameters:
    ///   - topology: What is to be up.
    ///   - name: What it is called, and its folder of logs; nil: as the topology is.
    ///   - guardian: What outlives this process.
    ///   - options: What the user chose.
    /// - Throws: `EnvironmentError` when the machine lacks something.
    public init(
        _ topology: Topology, named name: String? = nil, guardian: Guardian, options: RunOptions
    ) throws {
        context = try RunContext(
            name: name ?? topology.name, seed: options.seed ?? 1, guardian: guardian,
            options: options)
        try context.write(topology)
        mesh = try Mesh(topology, at: MeshPlace(of: context), context: context)
        self.guardian = guardian
    }

    /// Starts everything and returns when all of it is ready.
    ///
    /// - Parameter withAgents: Without, only servers and proxies are started: the agents are somebody
    ///   else's, who finds them by `endpoint`.
    /// - Throws: `EnvironmentError` when a part cannot be started; nothing is left running then.
    public func start(withAgents: Bool = true) async throws {
        do {
            try await mesh.start(withAgents: withAgents)
            state.move(to: .up)
        } catch {
            state.move(to: .broken, because: "\(error)")
            _ = await stop()
            throw error
        }
    }

    /// Where a proxy is bound.
    ///
    /// - Parameters:
    ///   - socket: `router` of a branch, `publish` or `subscribe` of a topic proxy.
    ///   - part: The branch's or the proxy's name.
    /// - Returns: The endpoint.
    /// - Throws: `EnvironmentError` where there is none.
    public func endpoint(_ socket: String, of part: String) throws -> String {
        guard let endpoint = mesh.book.withLock({ $0.endpoints[part]?[socket] }) else {
            throw EnvironmentError("could not find '\(part)'", reason: "it has no '\(socket)'")
        }
        return endpoint
    }

    /// Where a NATS server answers.
    ///
    /// - Throws: `EnvironmentError` where it is not up.
    public func url(of server: String) throws -> String {
        guard let url = mesh.book.withLock({ $0.urls[server] }) else {
            throw EnvironmentError(
                "could not find '\(server)'", reason: "it is no server that is up")
        }
        return url
    }

    /// The process number of a part that runs.
    ///
    /// - Throws: `EnvironmentError` where it does not run.
    public func process(of part: String) async throws -> Int32 {
        let name = mesh.place.process(part)
        let status = await context.supervisor.statuses().first { $0.name == name }
        guard let process = status?.process else {
            throw EnvironmentError("could not find '\(part)'", reason: "it does not run")
        }
        return process
    }

    /// The file of a shared-memory pool.
    public nonisolated func file(ofPool name: String) -> String {
        mesh.place.segmentPath(of: name, run: context.run)
    }

    /// Commands an agent, and waits for its answer.
    ///
    /// - Parameters:
    ///   - name: The command.
    ///   - agent: The agent's name.
    ///   - arguments: What the command needs.
    ///   - timeout: How long its answer may take.
    /// - Returns: The answer.
    /// - Throws: `ControlError` where it refuses or does not answer.
    public func command(
        _ name: String, to agent: String, _ arguments: Value = [:], timeout: Duration = .seconds(5)
    ) async throws -> Value {
        try await mesh.command(name, to: agent, arguments, timeout: timeout)
    }

    /// Returns why, when a part has ended that does not come back.
    public func waitForBreakage() async -> String? {
        await mesh.waitForBreakage()
        let breakage = await mesh.breakage
        if let breakage { state.move(to: .broken, because: breakage) }
        return breakage
    }

    /// Stops everything and says what is left, which should be nothing.
    ///
    /// - Parameter down: Who asked for it, and is told what is left.
    /// - Returns: What is left.
    public func stop(answering down: Exchange? = nil) async -> LeakCertificate {
        state.move(to: .stopping)
        let ports = await mesh.ports
        await mesh.stop()
        _ = await context.supervisor.stopAll(grace: .seconds(2))
        let certificate = await context.supervisor.certificate(
            paths: mesh.topology.removeSockets() + mesh.segmentPaths, ports: ports.sorted())
        down?.finish([
            "left": .string(certificate.description), "clean": .bool(certificate.isClean),
        ])
        state.finishListening()
        if let server {
            // Its thread has a second to get rid of the last words.
            try? await onDedicatedThread(named: "operator-end") { server.close() }
        }
        server = nil
        context.removeRuntimeFolder()
        return await context.supervisor.certificate(
            paths: [context.runtime] + mesh.topology.removeSockets() + mesh.segmentPaths,
            ports: ports.sorted())
    }

    /// Ends every process at once: the second Ctrl-C.
    public func kill() async {
        _ = await context.supervisor.stopAll(grace: .zero)
    }
}
