/// Everything that one start of a process needs, with nothing taken from the surroundings.
public struct ProcessSpecification: Hashable, Sendable {
    /// The program: a path, relative to the working directory, or a name to look up in PATH.
    public var executable: String
    /// Its arguments, without the program's own name.
    public var arguments: [String]
    /// Its whole environment; the supervisor adds only SYNMESH_TOKEN and
    /// SYNMESH_PROCESS, by which it finds what escaped.
    public var environment: [String: String]
    /// Where it runs; nil: where the orchestrator does.
    public var workingDirectory: String?
    /// The file that its output is appended to, byte by byte.
    public var logPath: String
    /// Whether its lines are shown on the console too.
    public var showsOnConsole: Bool
    /// Whether it is started again when it ends.
    public var restart: RestartPolicy
    /// How long it may take to end after SIGTERM before it is killed.
    public var grace: Duration

    /// A specification from its parts.
    public init(
        executable: String, arguments: [String] = [], environment: [String: String] = [:],
        workingDirectory: String? = nil, logPath: String, showsOnConsole: Bool = false,
        restart: RestartPolicy = .never, grace: Duration = .seconds(5)
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.logPath = logPath
        self.showsOnConsole = showsOnConsole
        self.restart = restart
        self.grace = grace
    }
}

/// Whether and how fast a process that ended by itself is started again, and when to give up.
public struct RestartPolicy: Hashable, Sendable {
    /// Which ends are followed by a restart.
    public enum Condition: String, CaseIterable, Hashable, Sendable {
        /// None.
        case never
        /// All but exit code 0.
        case onFailure = "on_failure"
        /// All.
        case always
    }

    /// Which ends are followed by a restart.
    public var condition: Condition
    /// The wait before the first restart; it doubles with each further one within `period`.
    public var backoff: Duration
    /// The longest wait before a restart.
    public var backoffMax: Duration
    /// How many restarts within `period` are tolerated; the next end is final.
    public var maxRestarts: Int
    /// How far back restarts count.
    public var period: Duration

    /// A policy from its parts.
    public init(
        _ condition: Condition, backoff: Duration = .milliseconds(100),
        backoffMax: Duration = .seconds(5), maxRestarts: Int = 5, period: Duration = .seconds(30)
    ) {
        self.condition = condition
        self.backoff = backoff
        self.backoffMax = backoffMax
        self.maxRestarts = maxRestarts
        self.period = period
    }

    /// An end is an end.
    public static let never = RestartPolicy(.never)

    /// What follows an end.
    enum Decision: Hashable {
        case none
        case restart(after: Duration)
        case giveUp
    }

    /// What follows `cause`, when `recent` restarts lie within the period.
    func decision(after cause: ExitCause, recent: Int) -> Decision {
        switch condition {
        case .never: return .none
        case .onFailure where cause == .exited(code: 0): return .none
        case .onFailure, .always: break
        }
        guard recent < maxRestarts else { return .giveUp }
        // Beyond 2^20 the cap has long taken over.
        return .restart(after: min(backoff * (1 << min(recent, 20)), backoffMax))
    }
}
