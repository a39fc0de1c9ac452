internal import Control
internal import Foundation
internal import JSON
internal import Recording
internal import Scenarios
internal import Supervision
internal import Synchronization
internal import Topologies
internal import Wire
internal import YAML

/// A small real mesh with the program under test in it, and the checker at its other end.
final class Bench {
    static let program = "subject"
    static let checker = "checker"
    static let branch = "bench"
    static let topics = "board"
    /// What the program is told to subscribe and to publish to.
    static let inbound = "conformance.in"
    static let outbound = "conformance.out"

    /// The pool of the mesh, and how many slots it has.
    static let pool = "clouds"
    static let slots = 2

    let context: RunContext
    let transport: Transport
    let mesh: Mesh
    let line: any Line
    let timeout: Duration
    private let agent: Agent
    private let kind: String?
    private(set) var incarnation: UInt32 = 0
    /// What the program's incarnations left behind.
    private(set) var escaped: [String] = []
    private let control = ControlListener()
    /// Whether the program's next life is to send at least once.
    private let isKeeping = Flag()

    init(
        _ options: Conformance.Options, transport: Transport, in context: RunContext
    ) async throws {
        self.context = context
        self.transport = transport
        timeout = options.timeout
        kind = options.kind
        let topology = try Self.topology(options, transport)
        guard let agent = topology.agent(named: Self.program) else {
            throw ConformanceError("the topology of the check has no subject")
        }
        self.agent = agent
        mesh = try Mesh(
            topology, at: MeshPlace(twin: transport.rawValue, of: context), context: context)
        control.listen(to: mesh.control)
        try await mesh.start(withAgents: false)
        let (endpoints, urls) = mesh.book.withLock { ($0.endpoints, $0.urls) }
        switch transport {
        case .zmq:
            let places = ZeroMQLine.Places(
                branch: endpoints[Self.branch]?["router"] ?? "",
                publish: endpoints[Self.topics]?["publish"] ?? "",
                subscribe: endpoints[Self.topics]?["subscribe"] ?? "",
                program: Self.program, checker: Self.checker)
            let line = try ZeroMQLine(places, clock: context.clock)
            // The program attaches to the line, which stands before the branch.
            mesh.book.withLock { $0.endpoints[Self.branch]?["router"] = line.endpoint }
            self.line = line
        case .nats:
            line = try NATSLine(
                url: urls["main"] ?? "", program: Self.program, checker: Self.checker,
                clock: context.clock)
        }
    }

    private static func topology(
        _ options: Conformance.Options, _ transport: Transport
    ) throws -> Topology {
        let settings: Value = [
            "to": [.string(checker)], "topics": [.string(outbound)],
            "subscribe": [.string(inbound)],
        ]
        let command = Value.array(options.command.map { .string($0) })
        let text = """
            synmesh: 1
            name: conformance
            nats: { \(transport == .nats ? "main: {}" : "") }
            branches: { \(branch): {} }
            topic_proxies: { \(topics): { prefixes: [conformance] } }
            pools: { \(pool): { size: 1MB, slots: \(slots), checksum: verify } }
            agents:
              \(program):
                command: \(command.canonical)
                contract: full
                history: own
                transport: \(transport.rawValue)
                settings: \(settings.canonical)
              \(checker):
                command: ["true"]
                transport: \(transport.rawValue)
            """
        // Relative words of the command are relative to the caller's folder.
        let outcome = Topology.load(
            Source(name: "conformance", bytes: Array(text.utf8)),
            directory: FileManager.default.currentDirectoryPath)
        guard let topology = outcome.topology else {
            throw ConformanceError("the topology of the check is wrong:\n\(outcome.rendered)")
        }
        return topology
    }

    /// The file of the pool.
    var poolPath: String { mesh.place.segmentPath(of: Self.pool, run: context.run) }

    /// What came on the control socket and could not be understood.
    var malformed: [String] { control.malformed }

    // MARK: The program

    /// The supervisor's name for a process of the program.
    func process(_ name: String = Bench.program) -> String { mesh.place.process(name) }

    /// Starts the next incarnation.
    func start() async throws -> RunningProcess {
        let (make, name) = (specification(), process())
        let running =
            incarnation == 0
            ? try await context.supervisor.spawn(name, make: make)
            : try await context.supervisor.respawn(name)
        incarnation = running.incarnation
        mesh.book.withLock { $0.incarnations[Self.program] = running.incarnation }
        return running
    }

    /// How every incarnation of the program is started.
    private func specification() -> @Sendable (UInt32) -> ProcessSpecification {
        let (agent, topology, book, place) = (agent, mesh.topology, mesh.book, mesh.place)
        let (context, control, kind) = (context, mesh.control.endpoint, kind)
        let isKeeping = isKeeping
        return { incarnation in
            var specification = Mesh.specification(
                of: agent, in: topology, incarnation: incarnation, book: book, place: place,
                context: context, control: control)
            if isKeeping.isSet {
                specification.environment["SYNMESH_DELIVERY"] = DeliveryClass.atLeastOnce.rawValue
                specification.environment["SYNMESH_ACKNOWLEDGING"] =
                    Value.array([.string(Bench.checker)]).canonical
            }
            if let kind { specification.environment["SYNMESH_KIND"] = kind }
            specification.restart = RestartPolicy(.never)
            return specification
        }
    }

    /// Has the program's next lives send at least once.
    func keep() { isKeeping.set() }

    /// Starts the program with another environment, as a process of its own.
    func begin(named name: String, _ change: (inout [String: String]) -> Void) async throws {
        var specification = self.specification()(1)
        change(&specification.environment)
        specification.logPath = mesh.place.directory.processLogPath(name: name)
        let made = specification
        try await context.supervisor.spawn(process(name)) { _ in made }
    }

    /// Waits for the end of such a process.
    ///
    /// - Returns: How it ended, or nil where it did not; and what it wrote.
    func end(of name: String) async throws -> (report: ExitReport?, output: String) {
        let report = try await context.supervisor.waitExit(process(name), timeout: timeout)
        if report == nil { _ = try? await context.supervisor.stop(process(name), grace: .zero) }
        let output = try? String(
            contentsOfFile: mesh.place.directory.processLogPath(name: name), encoding: .utf8)
        return (report, output ?? "")
    }

    /// Waits until the program says that it is ready.
    func ready(within timeout: Duration? = nil) async throws(ControlError) -> Ready {
        try await mesh.control.waitReady(
            role: "agent", name: Self.program, incarnation: incarnation,
            timeout: timeout ?? self.timeout)
    }

    /// Tells the program something, and returns its answer.
    func command(
        _ name: String, _ arguments: Value = [:], timeout: Duration? = nil
    ) async throws(ControlError) -> Value {
        try await mesh.control.command(
            name, to: ChildID(role: "agent", name: Self.program, incarnation: incarnation),
            arguments: arguments, timeout: timeout ?? self.timeout)
    }

    /// Whether no process of the program runs.
    var hasEnded: Bool {
        get async {
            let name = process()
            return await context.supervisor.statuses().first { $0.name == name }?.process == nil
        }
    }

    /// Sends a signal to the program, as an outsider would.
    func signal(_ number: Int32) async throws {
        try await context.supervisor.kill(process(), signal: number, fault: "conformance")
    }

    /// Waits for the program's end.
    func exit(expected: Bool = false) async throws -> ExitReport? {
        if expected { try? await context.supervisor.expectExit(process()) }
        let report = try await context.supervisor.waitExit(process(), timeout: timeout)
        escaped += (report?.escaped ?? []).map { "\($0.name) (process \($0.process))" }
        return report
    }

    /// Gives the next incarnation a state.
    func hand(over state: Value) throws {
        let path = "\(mesh.place.directory.processesPath)/state.json"
        try Data((state.canonical + "\n").utf8).write(to: URL(filePath: path))
        let next = incarnation + 1
        mesh.book.withLock { book in
            book.agents[Self.program]?.statePath = path
            book.agents[Self.program]?.stateIncarnation = next
        }
    }

    /// Has the topic proxy stand still: it accepts connections, and says nothing on them.
    ///
    /// - Returns: What is done when it goes on.
    func pauseTopics(for time: Duration) async throws -> Task<Void, any Error> {
        let (supervisor, name) = (context.supervisor, mesh.place.process(Self.topics))
        try await supervisor.pause(name, fault: "conformance")
        return Task {
            try await Task.sleep(for: time)
            try await supervisor.resume(name)
        }
    }

    /// Has the mesh keep what comes for the program from now on.
    func hold(_ topics: [String]) async throws {
        let arguments: Value = [
            "agent": .string(Self.program), "topics": .array(topics.map { .string($0) }),
            "epoch": Value(incarnation),
        ]
        _ = try await mesh.command("hold", toNode: Self.branch, role: "branch", arguments)
        _ = try await mesh.command("hold", toNode: Self.topics, role: "topics", arguments)
    }

    /// Has the mesh give it to the program.
    func release() async throws {
        let arguments: Value = [
            "agent": .string(Self.program), "transport": .string(transport.rawValue),
            "epoch": Value(incarnation - 1),
        ]
        _ = try await mesh.command("release", toNode: Self.branch, role: "branch", arguments)
        _ = try await mesh.command("release", toNode: Self.topics, role: "topics", arguments)
    }

    /// Ends everything.
    func stop() async {
        _ = try? await context.supervisor.stop(process())
        await mesh.stop()
        line.close()
    }
}

/// Something that is set once, by one thread for others.
private final class Flag: Sendable {
    private let value = Mutex(false)

    var isSet: Bool { value.withLock { $0 } }

    func set() { value.withLock { $0 = true } }
}

/// Keeps what comes on the control socket and is no message of the contract.
private final class ControlListener: Sendable {
    private let reasons = Mutex<[String]>([])

    var malformed: [String] { reasons.withLock { $0 } }

    func listen(to server: ControlServer) {
        let events = server.events
        Task { [self] in
            for await event in events {
                guard case .malformed(let sender, let reason) = event else { continue }
                reasons.withLock { $0.append("from '\(sender)': \(reason)") }
            }
        }
    }
}

/// Why a check could not be made at all.
public struct ConformanceError: Error, Sendable, CustomStringConvertible {
    /// The reason.
    public let description: String

    init(_ description: String) { self.description = description }
}
