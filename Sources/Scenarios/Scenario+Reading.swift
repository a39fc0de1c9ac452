internal import Analysis
internal import Checkers
public import Topologies
internal import Wire
public import YAML

extension Scenario {
    /// A scenario with the topology that it is about.
    public struct Loaded: Sendable {
        /// The scenario.
        public let scenario: Scenario
        /// Its topology.
        public let topology: Topology
        /// The scenario's text, which the run's directory keeps.
        let source: Source
    }

    /// Reads a scenario and its topology, or reports everything that is wrong with either.
    ///
    /// - Parameters:
    ///   - path: the scenario's file; the topology's path in it is relative to it
    ///   - machine: what the topology is checked against
    ///   - adjustments: what both files get from outside; overrides are of the topology
    ///   - diagnostics: where reports go
    /// - Returns: both, or `nil` where anything was wrong
    public static func load(
        path: String, machine: MachineFacts, adjusting adjustments: Adjustments = Adjustments(),
        reportingTo diagnostics: Diagnostics
    ) -> Loaded? {
        let unnamed = path.split(separator: "/").last?.split(separator: ".").first ?? ""
        guard let source = Source.read(path, reportingTo: diagnostics),
            let file = file(name: String(unnamed)).read(
                source, adjusting: Adjustments(variables: adjustments.variables),
                reportingTo: diagnostics)
        else { return nil }
        var scenario = file.scenario
        if let slash = path.lastIndex(of: "/") {
            scenario.place(in: String(path[...slash]))
        }
        let outcome = Topology.load(
            path: scenario.topologyPath, facts: machine, adjusting: adjustments)
        for diagnostic in outcome.diagnostics { diagnostics.report(diagnostic) }
        guard let topology = outcome.topology else { return nil }
        for reference in file.references {
            check(reference, in: topology, reportingTo: diagnostics)
        }
        scenario.resolveRecordings(
            for: topology, in: path.lastIndex(of: "/").map { String(path[...$0]) } ?? "",
            references: file.references, reportingTo: diagnostics)
        return diagnostics.hasErrors
            ? nil : Loaded(scenario: scenario, topology: topology, source: source)
    }

    /// Takes paths as relative to the scenario's own folder, which ends with a slash.
    private mutating func place(in folder: String) {
        if !topologyPath.hasPrefix("/") { topologyPath = folder + topologyPath }
        for index in steps.indices {
            guard case .check(var check) = steps[index].action else { continue }
            check.directory = folder
            steps[index].action = .check(check)
        }
    }

    /// A scenario as it stands in its file, before its names are looked up in the topology.
    struct File {
        var scenario: Scenario
        var references: [Reference]
    }

    /// A name that must exist in the topology.
    struct Reference {
        enum Target {
            case agent
            /// An agent that is to be moved from ZeroMQ to NATS.
            case movable
            /// An agent that is to be moved, wherever it is.
            case relocatable
            /// All agents are to be moved.
            case cutover
            case twin
            /// Everything is done twice.
            case doubled
            case process
            case server
        }
        var target: Target
        var name: String
        var location: Location
    }

    private static func check(
        _ reference: Reference, in topology: Topology, reportingTo diagnostics: Diagnostics
    ) {
        let agents = topology.agents.map(\.name) + topology.agents.map(\.group)
        let known: [String]
        switch reference.target {
        case .agent: known = agents
        case .movable:
            known = agents
            checkMovable(
                topology.agents(referredToAs: reference.name), in: topology,
                at: reference.location, reportingTo: diagnostics)
        case .relocatable:
            known = agents
            checkMovable(
                topology.agents(referredToAs: reference.name).filter { $0.transport == .zmq },
                in: topology, at: reference.location, reportingTo: diagnostics)
        case .cutover:
            checkMovable(
                topology.agents.filter { $0.transport == .zmq }, in: topology,
                at: reference.location, reportingTo: diagnostics)
            return
        case .doubled:
            for agent in topology.agents where agent.sideEffects == .refuse {
                diagnostics.error(
                    "'\(agent.name)' has side effects, and a parallel run does everything twice",
                    at: reference.location,
                    help: "leave the step out, or put a double in its place: 'kind: double'")
            }
            return
        case .twin:
            checkTwin(topology, at: reference.location, reportingTo: diagnostics)
            return
        case .process:
            known =
                topology.agents.map(\.name)
                + topology.branches.filter { $0.provider != .running }.map(\.name)
                + topology.topicProxies.filter { $0.provider != .running }.map(\.name)
                + topology.servers.map(\.name)
        case .server:
            if topology.servers.isEmpty {
                diagnostics.error(
                    "the step '\(reference.name)' needs a NATS server, and the topology has none",
                    at: reference.location,
                    help: "add 'nats: { main: {} }' to the topology")
            }
            return
        }
        guard !known.contains(reference.name) else { return }
        let what = reference.target == .process ? "process" : "agent"
        diagnostics.unknown(
            what, reference.name, at: reference.location,
            among: Array(Set(known)).sorted())
    }

    private static func checkMovable(
        _ agents: [Agent], in topology: Topology, at location: Location,
        reportingTo diagnostics: Diagnostics
    ) {
        for agent in agents {
            if agent.transport == .nats {
                diagnostics.error(
                    "'\(agent.name)' is on NATS from the start, so there is nothing to move",
                    at: location, help: "start it with 'transport: zmq'")
            } else if agent.launch(on: .nats) == nil {
                diagnostics.error(
                    "'\(agent.name)' cannot run on NATS", at: location,
                    help: "say how: 'transports: { nats: { command: ... } }' in its entry")
            } else if !agent.speaks, topology.homeBranch(of: agent)?.provider.isForeign ?? false {
                diagnostics.error(
                    "'\(agent.name)' keeps no control contract, and the proxy of its branch keeps "
                        + "nothing for it, so it cannot be moved", at: location,
                    help: "put it on a branch of synmesh's own")
            } else if !agent.speaks {
                diagnostics.warning(
                    "'\(agent.name)' keeps no control contract: it is moved by a signal, and what its "
                        + "socket holds then is lost without being seen",
                    at: location,
                    help: agent.answers.isEmpty
                        ? "say what it answers, so that the loss shows: 'answers: { ping: echo }'"
                        : "what it is handed and never answers is counted as lost")
            }
        }
    }

    /// Two meshes of one topology side by side: nothing may be bound twice.
    private static func checkTwin(
        _ topology: Topology, at location: Location, reportingTo diagnostics: Diagnostics
    ) {
        let hasFixed =
            topology.branches.contains { $0.endpoint != nil }
            || topology.topicProxies.contains { $0.publish != nil || $0.subscribe != nil }
        guard hasFixed else { return }
        diagnostics.error(
            "a twin run starts the topology twice, and its endpoints are fixed", at: location,
            help: "leave the endpoints to the system")
    }

    private static func file(name: String) -> Reading<File> {
        .mapping { reader in
            var references: [Reference] = []
            _ = reader.required("synmesh", .integer(in: 1...1), example: "1")
            let name = reader.optional("name", .string, default: name)
            let topology = reader.required(
                "topology", .string, example: "../topologies/NAME.yaml")
            let seed = reader.optional("seed", .integer(in: 0...Int.max), default: 1)
            let expectation = reader.optional("expect", .expectation)
            let limits = reader.optional("limits", .limits, default: .zero)
            let memory = reader.optional("memory", .memory)
            let strategy = reader.optional(
                "strategy", .enumeration("strategy", of: MoveReport.Strategy.self),
                default: .live)
            let judge = reader.optional("judge", .latencyRule)
            let policy = reader.optional(
                "inconclusive", .enumeration("policy", of: InconclusivePolicy.self),
                default: .rollback)
            let bounds = Duration.milliseconds(100)...Duration.seconds(3_600)
            let loadTimeout = reader.optional(
                "load_timeout", .duration(in: bounds), default: .seconds(120))
            // A receiver waits 2 s for what is missing before it goes on: less would call held lost.
            let drainTimeout = reader.optional(
                "drain_timeout", .duration(in: .milliseconds(2_500) ... .seconds(3_600)),
                default: .seconds(5))
            let steps = reader.required(
                "steps", .list(of: .step), example: "[baseline: { load: {} }]")
            guard let topology, let steps else { return nil }
            for step in steps { references += step.references }
            if !Names.isLegal(name) {
                reader.diagnostics.error(
                    "'\(name)' cannot name a run's directory",
                    at: reader.location(of: "name") ?? reader.heading,
                    help: "use letters, digits, '_' and '-'")
            }
            if let again = steps.filter({ $0.step.action == .twin }).dropFirst().first {
                reader.diagnostics.error(
                    "a scenario takes one twin run", at: again.heading,
                    help: "put the other in a scenario of its own")
            }
            if steps.isEmpty {
                reader.diagnostics.error(
                    "a scenario needs a step", at: reader.location(of: "steps") ?? reader.heading)
            }
            return File(
                scenario: Scenario(
                    name: name, topologyPath: topology, seed: UInt64(seed),
                    expectation: expectation, limits: limits, memory: memory,
                    strategy: strategy, judge: judge, inconclusive: policy,
                    loadTimeout: loadTimeout, drainTimeout: drainTimeout,
                    steps: steps.map(\.step)),
                references: references)
        }
    }
}

extension Reading where Value == Expectation {
    /// A verdict, an outcome, or a list of one each.
    fileprivate static var expectation: Reading {
        let words = Expectation.words
        let word = Reading<String>.string.checkedWord(among: words)
        return Reading<[String]>.listOrOne(of: word).checked { words in
            Expectation(words.joined(separator: ", ")) == nil
                ? Complaint(
                    "expected a verdict, an outcome, or one of each",
                    help: "write 'expect: [fail, rolled_back]'")
                : nil
        }.map { words in Expectation(words.joined(separator: ", ")) ?? .verdict(.pass) }
    }
}

extension Reading where Value == String {
    /// The name of a checker, as `synmesh judge` takes it.
    static var checker: Reading {
        Reading<String>.string.checked { text in
            do throws(CheckerNameError) {
                _ = try Checkers.named(text)
                return nil
            } catch {
                return Complaint(error.description)
            }
        }
    }

    fileprivate func checkedWord(among words: [String]) -> Reading<String> {
        Reading<String>("one of " + words.joined(separator: ", "), example: words.first) {
            node, diagnostics in
            guard let text = read(node, reportingTo: diagnostics) else { return nil }
            guard words.contains(text) else {
                diagnostics.unknown(
                    "verdict or outcome", text, at: node.location, among: words)
                return nil
            }
            return text
        }
    }
}

extension Reading where Value == Limits {
    /// The largest number of each class that is still good; what is not named stays 0.
    static var limits: Reading {
        .mapping { reader in
            let count = Reading<Int>.integer(in: 0...Int.max)
            var limits = Limits.zero
            for deviation in Limits.classes {
                limits[deviation] = reader.optional(deviation.rawValue, count, default: 0)
            }
            limits.latencyP50Ratio = reader.optional(
                "latency_p50_ratio", .number(in: 0.01...1_000))
            limits.latencyP99Ratio = reader.optional(
                "latency_p99_ratio", .number(in: 0.01...1_000))
            return limits
        }
    }
}

extension Scenario {
    /// Whether a file looks like a scenario rather than a topology: by its keys, however wrong.
    public static func isScenario(path: String) -> Bool {
        let unheard = Diagnostics()
        guard let source = Source.read(path, reportingTo: unheard),
            let node = Node.parse(source, reportingTo: unheard)
        else { return false }
        guard case .mapping(let entries) = node.content else { return false }
        let keys = Set(entries.map(\.key))
        return !keys.isDisjoint(with: ["steps", "topology", "expect"])
    }
}

extension Reading where Value == LatencyRule {
    /// `{ ratio: 2, confidence: 99%, minimum: 100 }`.
    fileprivate static var latencyRule: Reading {
        .mapping { reader in
            let standard = LatencyRule()
            let confidence = reader.optional(
                "confidence", .percentage(in: 50...99.99), default: (1 - standard.alpha) * 100)
            return LatencyRule(
                ratioMax: reader.optional(
                    "ratio", .number(in: 0.01...1_000), default: standard.ratioMax),
                alpha: 1 - confidence / 100,
                minimum: reader.optional(
                    "minimum", .integer(in: 1...1_000_000_000), default: standard.minimum))
        }
    }
}
