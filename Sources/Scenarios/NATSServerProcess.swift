internal import Foundation
internal import JSON
internal import NATS
internal import Recording
internal import Supervision
internal import Synchronization
internal import Threads
internal import Topologies

/// A NATS server that this run spawned: its configuration, its process, its proof of identity.
final class NATSServerProcess: Sendable {
    let server: NATSServer
    /// The name that only the server that we spawned answers with.
    let identity: String
    let process: String
    private let context: RunContext
    private let directory: RunDirectory
    /// The port that the system chose at the first start; a restarted server takes it again.
    private let port = Mutex<Int?>(nil)
    /// Whether it tells who is subscribed to what, and how much it handed to whom.
    private let isMonitored: Bool
    private let monitoring = Mutex<UInt16?>(nil)

    init(_ server: NATSServer, isMonitored: Bool, mesh: MeshPlace, context: RunContext) {
        self.server = server
        self.isMonitored = isMonitored
        self.context = context
        directory = mesh.directory
        process = mesh.process(server.name)
        identity = "synmesh-\(context.run)-\(process)"
    }

    /// Where it tells what it does.
    var monitoringPort: UInt16? { monitoring.withLock { $0 } }

    var url: String? { port.withLock { $0.map { "nats://127.0.0.1:\($0)" } } }

    /// Starts the server and waits until it has answered PONG under the name that we gave it.
    func start() async throws {
        do throws(SupervisionError) {
            try await context.supervisor.spawn(process) { incarnation in
                self.specification(incarnation: incarnation)
            }
        } catch {
            throw EnvironmentError(
                "could not start the NATS server '\(server.name)' (\(server.executable))",
                reason: error.reason, remedy: error.remedy)
        }
        try await waitUntilReady()
    }

    private func specification(incarnation: UInt32) -> ProcessSpecification {
        let configuration = """
            server_name: "\(identity)"
            listen: "127.0.0.1:\(port.withLock { $0 ?? -1 })"
            max_payload: \(server.maximumPayload)
            max_pending: \(max(server.maximumPayload * 2, 256 << 20))
            ports_file_dir: "\(context.runtime)"
            \(isMonitored ? #"http: "127.0.0.1:-1""# : "")
            """
        let path = "\(directory.processesPath)/\(server.name).conf"
        // A server without its file ends with an error that is in its log.
        try? Data(configuration.utf8).write(to: URL(filePath: path))
        return ProcessSpecification(
            executable: server.executable, arguments: ["-c", path],
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"],
            logPath: directory.processLogPath(name: server.name),
            showsOnConsole: context.options.showsOutput, restart: server.restart.supervision)
    }

    /// Waits until the process that runs now has answered under our name.
    func waitUntilReady() async throws {
        let deadline = ContinuousClock.now + .seconds(15)
        var reason = "it wrote no ports file"
        while ContinuousClock.now < deadline {
            if let exit = try await context.supervisor.waitExit(process, timeout: .milliseconds(20))
            {
                throw EnvironmentError(
                    "could not start the NATS server '\(server.name)'",
                    reason: exit.description,
                    remedy: "See \(directory.processLogPath(name: server.name)).")
            }
            guard let found = try await readPort() else { continue }
            do {
                let identity = identity
                let name = try await onDedicatedThread(named: "nats-probe") {
                    let connection = try Connection(
                        to: "nats://127.0.0.1:\(found)",
                        options: ConnectionOptions(name: "synmesh-probe"))
                    defer { connection.close() }
                    try connection.flush(timeout: .seconds(2))
                    return connection.serverName ?? ""
                }
                guard name == identity else {
                    throw EnvironmentError(
                        "could not start the NATS server '\(server.name)'",
                        reason: "port \(found) is answered by '\(name)', which is not ours")
                }
                port.withLock { $0 = found }
                return
            } catch let error as NATSError {
                reason = error.description
            }
        }
        throw EnvironmentError(
            "could not start the NATS server '\(server.name)'",
            reason: "it was not ready within 15 s: \(reason)",
            remedy: "See \(directory.processLogPath(name: server.name)).")
    }

    /// The port that the running server says it listens on.
    private func readPort() async throws -> Int? {
        let status = await context.supervisor.statuses().first { $0.name == process }
        guard let running = status?.process else { return nil }
        let program = server.executable.split(separator: "/").last.map(String.init) ?? ""
        let path = "\(context.runtime)/\(program)_\(running).ports"
        guard let data = FileManager.default.contents(atPath: path),
            let ports = try? Value(parsing: Array(data)),
            let text = ports["nats"]?.array?.first?.string, let colon = text.lastIndex(of: ":")
        else { return nil }
        let http = ports["monitoring"]?.array?.first?.string
        monitoring.withLock { $0 = http.flatMap { Mesh.port(of: $0) } }
        return Int(text[text.index(after: colon)...])
    }
}

extension Topologies.RestartPolicy {
    /// The same policy in the supervisor's words.
    var supervision: Supervision.RestartPolicy {
        Supervision.RestartPolicy(
            Supervision.RestartPolicy.Condition(rawValue: condition.rawValue) ?? .never,
            backoff: backoff, backoffMax: backoffMax, jitter: jitter, stable: stable,
            maxRestarts: maximumRestarts, period: period)
    }
}
