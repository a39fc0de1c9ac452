public import Analysis
internal import JSON
public import Recording
public import Supervision
internal import Topologies
internal import Wire
internal import YAML

/// One play of a scenario on a mesh of its own, from the first process to the verdict.
public actor Rehearsal {
    let scenario: Scenario
    let topology: Topology
    let context: RunContext
    /// The run's own mesh; a scenario of twins alone needs none.
    var mesh: Mesh?
    var loads: Loads?
    /// Looks at what the mesh's processes take.
    var sampler: MemorySampler?
    var faults: Faults?
    /// Where agents are when the run begins, as an interrupted run left them.
    private let sides: [String: Transport]
    /// When the load ran that moved agents are judged beside.
    var baselineWindow: ClosedRange<UInt64>?
    /// Whether any moved agent's latency was judged.
    var hasJudgedLatency = false
    /// What was judged about latencies.
    var judgements: [LatencyJudgement] = []
    /// How much ZeroMQ's own latency wanders: its tail in one half of the baseline beside the other.
    var fieldNoise: LatencyJudgement?
    /// Agents on NATS that started on ZeroMQ, in the order of their moves.
    var moved: [String] = []
    var steps: [StepReport] = []
    var moves: [MoveReport] = []
    /// What is to go wrong in the moves of the present step, and has not yet.
    var faultsInMoves: [Scenario.ScheduledFault] = []
    var comparisons: [ComparisonReport] = []
    var latency: Latency?
    var rollbackMilliseconds: Int?
    var notes: [Finding] = []
    /// Delivery on each side of a twin.
    var twins: [DeliveryReport] = []
    /// TCP ports that must be free again at the end.
    var ports: Set<UInt16> = []
    /// Shared memory that must be gone at the end.
    var segments: Set<String> = []
    /// What shared memory showed, of all meshes.
    var pools: [PoolReport] = []
    /// What each agent said of its work at the end of each step.
    var results: [(step: String, agents: [String: Value])] = []
    var hasCutOver = false
    /// Whether any step had traffic on both transports whose latency is known.
    var hasComparedLatencies = false
    var hasRolledBack = false
    private var isAborted = false

    /// The run's directory.
    public nonisolated var directory: RunDirectory { context.directory }

    /// Prepares a run: its directory, its sockets' folder, its supervisor.
    ///
    /// With an interrupted run, the mesh begins as that left it, and all that was moved goes back.
    ///
    /// - Throws: `EnvironmentError` when the machine lacks something.
    public init(
        _ loaded: Scenario.Loaded, guardian: Guardian, options: RunOptions,
        resuming interrupted: InterruptedRun? = nil
    ) throws {
        scenario = interrupted.map { loaded.scenario.rollback(of: $0) } ?? loaded.scenario
        topology = loaded.topology
        sides = interrupted?.sides ?? [:]
        moved = topology.agents.filter {
            $0.transport == .zmq && interrupted?.sides[$0.name] == .nats
        }.map(\.name)
        context = try RunContext(
            name: loaded.scenario.name, seed: options.seed ?? loaded.scenario.seed,
            guardian: guardian, options: options)
        try context.write(
            String(decoding: loaded.source.bytes, as: UTF8.self), to: "scenario.yaml")
        try context.write(topology)
        try context.write("\(context.seed)\n", to: "seed")
    }

    /// Plays all steps and returns the verdict, which is also in the run's directory.
    ///
    /// Cancelling the task aborts the play: what runs is stopped, and the outcome is `aborted`.
    ///
    /// - Throws: `EnvironmentError` when a part cannot be started.
    public func play() async throws -> Verdict {
        do {
            var outcome = Outcome.completed
            for (index, step) in scenario.steps.enumerated() {
                if Task.isCancelled { isAborted = true }
                if isAborted { break }
                context.report(
                    "step \(index + 1) of \(scenario.steps.count): \(step.action.words)")
                let verdict = try await play(step)
                if Task.isCancelled {
                    isAborted = true
                    break
                }
                if let end = try await decide(after: verdict) {
                    outcome = end
                    break
                }
            }
            if outcome == .completed {
                if isAborted {
                    outcome = .aborted
                } else if hasRolledBack {
                    outcome = moved.isEmpty ? .rolledBack : .held
                } else if hasCutOver {
                    outcome = .promoted
                }
            }
            return try await finish(outcome)
        } catch {
            await mesh?.stop()
            _ = await context.supervisor.stopAll(grace: .seconds(2))
            context.removeRuntimeFolder()
            throw error
        }
    }

    /// Ends every process at once: the second Ctrl-C.
    public func kill() async {
        _ = await context.supervisor.stopAll(grace: .zero)
    }

    /// What a step's verdict means for the rest; `nil` goes on.
    private func decide(after verdict: StepVerdict) async throws -> Outcome? {
        let policy: Scenario.InconclusivePolicy
        switch verdict.verdict {
        case .pass: return nil
        case .fail: policy = .rollback
        case .inconclusive: policy = scenario.inconclusive
        }
        switch policy {
        case .continue: return nil
        case .hold: return .held
        case .rollback:
            if !moved.isEmpty {
                context.report("rolling back: \(verdict.reason)")
                do {
                    try await rollBack()
                } catch let failure as MoveFailure {
                    notes.append(Finding(.error, .evidence, reason: failure.reason))
                }
            }
            guard moved.isEmpty else { return .held }
            return hasRolledBack ? .rolledBack : .aborted
        }
    }

    /// The mesh of the run, started when a step needs it.
    func runningMesh() async throws -> (mesh: Mesh, loads: Loads, faults: Faults) {
        if let mesh, let loads, let faults { return (mesh, loads, faults) }
        let mesh = try Mesh(
            topology, at: MeshPlace(of: context), living: sides, context: context)
        let loads = Loads(of: mesh, timeout: scenario.loadTimeout)
        sampler = sampler(of: mesh)
        let faults = Faults(in: mesh)
        self.mesh = mesh
        self.loads = loads
        self.faults = faults
        try await mesh.start()
        return (mesh, loads, faults)
    }
}

extension Scenario.Action {
    /// The step as a person says it.
    var words: String {
        switch self {
        case .baseline: "baseline"
        case .dual: "parallel run, dual"
        case .twin: "parallel run, twin"
        case .canary(let agent): "canary of \(agent)"
        case .rollout(let rollout):
            "rollout of "
                + (rollout.order.isEmpty ? "the rest" : rollout.order.joined(separator: ", "))
                + (rollout.wave > 1 ? ", \(rollout.wave) at a time" : "")
        case .cutover: "cutover"
        case .rollback: "rollback"
        case .load: "load"
        case .hold(let time): "hold for \(time.wholeMilliseconds) ms"
        case .ask(let question): "a person is asked: \(question.text)"
        case .fault(let fault): "\(fault.kind.rawValue) \(fault.target)"
        case .heal: "heal what was broken"
        case .move(let relocation):
            "move of \(relocation.agents.isEmpty ? "all" : relocation.agents.joined(separator: ", "))"
                + (relocation.roundTrips > 0 ? ", \(relocation.roundTrips) there and back" : "")
                + (relocation.target.map { " to \($0.rawValue)" } ?? "")
        case .check(let check): "check by \(check.checkers.joined(separator: ", "))"
        }
    }
}
