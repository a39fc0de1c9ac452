import CLinux
import Control
import Foundation
import JSON
import TestSupport
import Wire

/// A branch proxy and agents, all of them the real programs, and the orchestrator's end of control.
actor LiveMesh {
    private let control: ControlServer
    let folder: URL
    let clock = RunClock.starting()
    private let nats: String?
    private var branchEndpoint = ""
    private var processes: [String: Int32] = [:]
    private var exits: [String: Int32] = [:]

    init(nats: String? = nil) throws {
        self.nats = nats
        control = try ControlServer(endpoint: "tcp://127.0.0.1:*")
        folder = FileManager.default.temporaryDirectory
            .appending(path: "agents-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
        for (key, process) in processes where exits[key] == nil {
            kill(process, SIGKILL)
            var status: Int32 = 0
            waitpid(process, &status, 0)
        }
        control.close()
        try? FileManager.default.removeItem(at: folder)
    }

    /// Starts the branch proxy of the given agents.
    func startBranch(_ agents: [String]) async throws {
        let configuration: Value = [
            "name": "core", "endpoint": "tcp://127.0.0.1:*", "nats": nats.map(Value.string) ?? nil,
            "agents": .array(
                agents.map { ["name": .string($0), "transport": "zmq", "wire": "frames"] }),
        ]
        let file = folder.appending(path: "core.json")
        try Data(configuration.canonical.utf8).write(to: file)
        try start("core", "synmesh-node", ["branch", file.path], ["SYNMESH_NAME": "core"])
        let ready = try await control.waitReady(
            role: "branch", name: "core", incarnation: 1, timeout: .seconds(10))
        branchEndpoint = ready.endpoints["router"] ?? ""
    }

    /// Starts an agent and waits until it is ready.
    func startAgent(
        _ name: String, kind: String = "probe", _ settings: Value, incarnation: UInt32 = 1,
        transport: Transport = .zmq, state: Value? = nil
    ) async throws {
        try launch(
            name, kind: kind, settings, incarnation: incarnation, transport: transport,
            state: state)
        _ = try await control.waitReady(
            role: "agent", name: name, incarnation: incarnation, timeout: .seconds(10))
    }

    /// Starts an agent.
    func launch(
        _ name: String, kind: String, _ settings: Value, incarnation: UInt32 = 1,
        transport: Transport = .zmq, state: Value? = nil
    ) throws {
        let stateFile = folder.appending(path: "\(name).\(incarnation).state")
        if let state { try Data(state.canonical.utf8).write(to: stateFile) }
        try start(
            "\(name).\(incarnation)",
            kind == "probe" ? "synmesh-probe" : "synmesh-photogrammetry", [],
            [
                "SYNMESH_NAME": name, "SYNMESH_KIND": kind,
                "SYNMESH_INCARNATION": String(incarnation),
                "SYNMESH_TRANSPORT": transport.rawValue,
                "SYNMESH_BRANCH_ENDPOINT": branchEndpoint, "SYNMESH_NATS_URL": nats ?? "",
                "SYNMESH_SETTINGS": settings.canonical, "SYNMESH_STATE": stateFile.path,
            ])
    }

    private func start(
        _ key: String, _ program: String, _ arguments: [String], _ variables: [String: String]
    ) throws {
        let common = [
            "SYNMESH_RUN": "test", "SYNMESH_INCARNATION": "1", "SYNMESH_SEED": "42",
            "SYNMESH_CONTROL": control.endpoint, "SYNMESH_CLOCK_OFFSET": String(clock.offset),
            "SYNMESH_HISTORY": folder.appending(path: "\(key).mcap").path,
        ]
        let environment = common.merging(variables) { $1 }.map { "\($0.key)=\($0.value)" }
        let log = folder.appending(path: "\(key).log").path
        let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw TestFailure("no \(log)") }
        defer { close(output) }
        processes[key] = try spawn(
            [try builtProgram(program)] + arguments, environment: environment, output: output)
    }

    func command(
        _ name: String, to agent: String, incarnation: UInt32 = 1, _ arguments: Value = [:]
    ) async throws -> Value {
        try await control.command(
            name, to: ChildID(role: "agent", name: agent, incarnation: incarnation),
            arguments: arguments, timeout: .seconds(30))
    }

    func branch(_ name: String, _ arguments: Value) async throws -> Value {
        try await control.command(
            name, to: ChildID(role: "branch", name: "core", incarnation: 1), arguments: arguments,
            timeout: .seconds(10))
    }

    /// Asks until the agent's answer is as wished; the last answer where it never is.
    func ask(
        _ name: String, _ agent: String, incarnation: UInt32 = 1,
        until isWished: @Sendable (Value) -> Bool
    ) async throws -> Value {
        let end = ContinuousClock.now + .seconds(20)
        while true {
            let value = try await command(name, to: agent, incarnation: incarnation)
            if isWished(value) || ContinuousClock.now >= end { return value }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// The exit code of a process that is to end by itself; of a signal its negative number.
    func exitCode(of key: String) async throws -> Int32 {
        guard let process = processes[key] else { throw TestFailure("no \(key)") }
        let end = ContinuousClock.now + .seconds(20)
        while exits[key] == nil {
            var result = synmesh_exit()
            if synmesh_reap(process, &result) == process {
                exits[key] = result.signalled ? -result.status : result.status
                break
            }
            guard ContinuousClock.now < end else {
                throw TestFailure("\(key) does not end")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
        return exits[key] ?? -1
    }

    func signal(_ key: String, _ number: Int32) {
        guard let process = processes[key], exits[key] == nil else { return }
        kill(process, number)
    }

    func log(of key: String) -> String {
        let file = folder.appending(path: "\(key).log")
        return (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    }
}
