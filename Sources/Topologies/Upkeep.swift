public import YAML

/// How a program of the user's is kept: what it is probed with, how it ends, what it may use.
public struct Upkeep: Sendable, Hashable {
    /// How long it may take to end after SIGTERM before it is killed.
    public let grace: Duration
    /// What says whether it has started, is ready, and still answers.
    public let probes: [Probe]
    /// Where it runs; `nil`: in the topology's folder.
    public let workingDirectory: String?
    /// What it may use.
    public let limits: Limits
    /// How large its log may become before a new one is begun, and how many older ones are kept.
    public let log: LogLimit?

    /// How large a log may become.
    public struct LogLimit: Sendable, Hashable {
        /// Bytes of one.
        public let size: Int
        /// How many older ones are kept.
        public let kept: Int
    }

    /// What a program of the user's may use; `nil`: as much as the run may.
    public struct Limits: Sendable, Hashable {
        /// Bytes of memory that it may map.
        public let memory: Int?
        /// Descriptors that it may have open.
        public let files: Int?
        /// Bytes that a file which it writes may have.
        public let fileSize: Int?
        /// Processor time.
        public let processorTime: Duration?
        /// How much nicer than the run it is.
        public let nice: Int
    }

    /// No limits.
    static let unlimited = Limits(
        memory: nil, files: nil, fileSize: nil, processorTime: nil, nice: 0)

    /// What everything gets that says nothing of it.
    static let standard = Upkeep(
        grace: .seconds(5), probes: [], workingDirectory: nil, limits: unlimited,
        log: nil)
}

/// Something that is asked of a process, or waited for from it.
public struct Probe: Sendable, Hashable {
    /// What follows from it.
    public enum Role: String, Sendable, CaseIterable {
        /// Until it has passed, nothing else is asked; when it fails, the process is ended.
        case startup
        /// While it fails, the process is not ready.
        case readiness
        /// When it fails, the process is ended.
        case liveness
    }

    /// What is done.
    public enum Test: Sendable, Hashable {
        /// A program is run, and passes with exit code 0.
        case command([String])
        /// A page is asked for, and passes with a status of 200 to 399.
        case http(host: String, port: UInt16, path: String)
        /// A connection is opened.
        case tcp(host: String, port: UInt16)
        /// A line of its output is waited for: an extended regular expression.
        case line(String)
        /// A line break is waited for that it writes to this descriptor.
        case descriptor(Int)
    }

    /// Its name within the process.
    public let name: String
    /// What follows from it.
    public let role: Role
    /// What is done.
    public let test: Test
    /// How long after the start the first one is.
    public let delay: Duration
    /// How long after one begins the next one does.
    public let period: Duration
    /// How long one may take.
    public let timeout: Duration
    /// How many must pass, one after the other, for it to pass.
    public let successes: Int
    /// How many must fail, one after the other, for it to fail.
    public let failures: Int
}

/// Something that must be so before a part starts.
public struct Dependency: Sendable, Hashable {
    /// What must be so of another part.
    public enum Condition: String, Sendable, CaseIterable {
        /// It runs, or has run.
        case started
        /// It is ready.
        case ready
        /// It has ended for good, however.
        case completed
        /// It has ended for good, with exit code 0.
        case completedSuccessfully = "completed_successfully"
    }

    /// The other part.
    public let name: String
    /// What must be so of it.
    public let condition: Condition
}

/// A program beside the mesh: it takes no part in the messages.
public struct HelperProcess: Sendable {
    /// What it is called: `database`, or `database-2` where there are replicas.
    public let name: String
    /// What the file calls it.
    public let group: String
    /// The program and its arguments.
    public let command: [String]
    /// What the topology adds to its environment.
    public let environment: [String: String]
    /// What must be so before it starts.
    public let dependencies: [Dependency]
    /// What happens when it ends by itself.
    public let restart: RestartPolicy
    /// How it is kept.
    public let upkeep: Upkeep
    /// Whether the mesh is broken when it has failed and does not come back.
    public let isEssential: Bool
    /// Where the file declares it.
    public let location: Location
}

extension HelperProcess {
    /// The same with another number; `nil` where the file says no `replicas`.
    public func replica(_ number: Int) -> HelperProcess? {
        guard name != group else { return nil }
        return HelperProcess(
            name: "\(group)-\(number)", group: group, command: command, environment: environment,
            dependencies: dependencies, restart: restart, upkeep: upkeep,
            isEssential: isEssential, location: location)
    }
}

/// Processes that live and die together.
public struct ProcessGroup: Sendable, Hashable {
    /// What else is started again when one of them is.
    public enum Strategy: String, Sendable, CaseIterable {
        /// Nothing.
        case oneForOne = "one_for_one"
        /// All of them.
        case oneForAll = "one_for_all"
        /// Those that come after it.
        case restForOne = "rest_for_one"
    }

    /// What it is called.
    public let name: String
    /// What else is started again when one of them is.
    public let strategy: Strategy
    /// The processes in the order in which they start.
    public let members: [String]
    /// How many restarts within `period` are tolerated in the whole group.
    public let maximumRestarts: Int
    /// How far back restarts count.
    public let period: Duration
}

extension Topology {
    /// What each agent and helper process waits for.
    public var dependencies: [String: [Dependency]] {
        var dependencies: [String: [Dependency]] = [:]
        for agent in agents { dependencies[agent.name] = agent.dependencies }
        for process in processes { dependencies[process.name] = process.dependencies }
        return dependencies
    }

    /// The helper process of that name.
    public func process(named name: String) -> HelperProcess? {
        processes.first { $0.name == name }
    }

    /// Agents and helper processes by name: each level waits for parts of earlier ones only.
    public var startLevels: [[String]] {
        Self.levels(of: processes.map(\.name) + agents.map(\.name), dependencies)
    }

    static func levels(
        of names: [String], _ dependencies: [String: [Dependency]]
    ) -> [[String]] {
        var open: [String: Int] = [:]
        var dependents: [String: [String]] = [:]
        for name in names {
            let others = Set(dependencies[name, default: []].map(\.name))
            open[name] = others.count
            for other in others { dependents[other, default: []].append(name) }
        }
        let position = Dictionary(
            names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var levels: [[String]] = []
        var level = names.filter { open[$0] == 0 }
        while !level.isEmpty {
            levels.append(level)
            var next: [String] = []
            for name in level.flatMap({ dependents[$0] ?? [] }) {
                open[name, default: 0] -= 1
                if open[name] == 0 { next.append(name) }
            }
            level = next.sorted { (position[$0] ?? 0) < (position[$1] ?? 0) }
        }
        // A loaded topology has no circle; what is in one is not forgotten.
        let rest = names.filter { open[$0, default: 0] > 0 }
        return rest.isEmpty ? levels : levels + [rest]
    }
}
