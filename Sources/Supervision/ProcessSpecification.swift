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
    /// Whether it is noted down beside the log, in a file of its name and `.times`, what was written
    /// when: lines of nanoseconds since 1970 and bytes.
    public var notesTimes = false
    /// How large the log may become before a new one is begun; nil: as large as it likes.
    public var logLimit: LogLimit?
    /// Whether its lines are shown on the console too.
    public var showsOnConsole: Bool
    /// Whether it is started again when it ends.
    public var restart: RestartPolicy
    /// How long it may take to end after SIGTERM before it is killed.
    public var grace: Duration
    /// What it may use.
    public var limits: ResourceLimits
    /// What says whether it has started, is ready, and still answers.
    public var probes: [ProbeRule]

    /// A specification from its parts.
    public init(
        executable: String, arguments: [String] = [], environment: [String: String] = [:],
        workingDirectory: String? = nil, logPath: String, showsOnConsole: Bool = false,
        restart: RestartPolicy = .never, grace: Duration = .seconds(5),
        limits: ResourceLimits = ResourceLimits(),
        probes: [ProbeRule] = []
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.logPath = logPath
        self.showsOnConsole = showsOnConsole
        self.restart = restart
        self.grace = grace
        self.limits = limits
        self.probes = probes
    }
}

/// What a process, and each that it starts, may use; nil: as much as the orchestrator may.
public struct ResourceLimits: Hashable, Sendable {
    /// Bytes of memory that it may map.
    public var addressSpace: Int?
    /// Descriptors that it may have open.
    public var files: Int?
    /// Bytes that a file which it writes may have; SIGXFSZ ends it.
    public var fileSize: Int?
    /// Seconds of processor time; SIGXCPU or SIGKILL ends it.
    public var processorSeconds: Int?
    /// How much nicer than the orchestrator it is, from 0 to 19.
    public var nice: Int

    /// Limits from their parts.
    public init(
        addressSpace: Int? = nil, files: Int? = nil, fileSize: Int? = nil,
        processorSeconds: Int? = nil, nice: Int = 0
    ) {
        self.addressSpace = addressSpace
        self.files = files
        self.fileSize = fileSize
        self.processorSeconds = processorSeconds
        self.nice = nice
    }
}
