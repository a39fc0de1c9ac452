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
