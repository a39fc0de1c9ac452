internal import Foundation
internal import Recording
public import Supervision
public import Topologies
internal import YAML

/// A topology that is simply up: spawned, supervised and taken down, with no scenario.
public actor MeshSession {
    private let context: RunContext
    private let mesh: Mesh

    /// The folder of the logs and histories.
    public nonisolated var directory: String { context.directory.path }

    /// Prepares the mesh's directory, sockets' folder and supervisor.
    ///
    /// - Throws: `EnvironmentError` when the machine lacks something.
    public init(_ topology: Topology, guardian: Guardian, options: RunOptions) throws {
        context = try RunContext(
            name: topology.name, seed: options.seed ?? 1, guardian: guardian, options: options)
        try context.write(
            String(decoding: topology.source.bytes, as: UTF8.self), to: "topology.yaml")
        mesh = try Mesh(topology, at: MeshPlace(of: context), context: context)
    }

    /// Starts everything and returns when all of it is ready.
    ///
    /// - Throws: `EnvironmentError` when a part cannot be started; nothing is left running then.
    public func start() async throws {
        do {
            try await mesh.start()
        } catch {
            _ = await stop()
            throw error
        }
    }

    /// Returns why, when a part has ended that does not come back.
    public func waitForBreakage() async -> String? {
        await mesh.waitForBreakage()
        return await mesh.breakage
    }

    /// Stops everything and says what is left, which should be nothing.
    public func stop() async -> LeakCertificate {
        let ports = await mesh.ports
        await mesh.stop()
        _ = await context.supervisor.stopAll(grace: .seconds(2))
        context.removeRuntimeFolder()
        return await context.supervisor.certificate(
            paths: [context.runtime] + mesh.topology.removeSockets(), ports: ports.sorted())
    }

    /// Ends every process at once: the second Ctrl-C.
    public func kill() async {
        _ = await context.supervisor.stopAll(grace: .zero)
    }
}
