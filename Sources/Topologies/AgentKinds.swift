/// A built-in agent: which program it is, and which settings it has.
///
/// Settings that are not declared here are errors in a topology, and those that are reach the
/// agent checked and complete: a size in bytes, a group as the names of its replicas, a path that
/// does not depend on the working folder.
public struct AgentKind: Sendable {
    /// The name that `kind:` gives.
    public let name: String
    /// The program of this package that it is.
    public let executable: String
    /// Its settings.
    let settings: [Setting]
    /// Settings that cannot be given together.
    let exclusive: [[String]]

    /// A key under `settings:`.
    struct Setting: Sendable, Hashable {
        let name: String
        let shape: Shape
        let isRequired: Bool
        /// A value that would be right, for the help where a required one is missing.
        let example: String?

        init(_ name: String, _ shape: Shape, isRequired: Bool = false, example: String? = nil) {
            self.name = name
            self.shape = shape
            self.isRequired = isRequired
            self.example = example
        }
    }

    /// What a setting holds.
    indirect enum Shape: Sendable, Hashable {
        /// Names of agents or groups; the agent gets the names of agents.
        case agents
        /// Names of senders that are no agents: the agent speaks for them.
        case senders
        /// Topics that the agent publishes to.
        case publishedTopics
        /// A shared-memory pool of the topology.
        case pool
        /// Topics that the agent subscribes to.
        case subscribedTopics
        /// A size; the agent gets bytes.
        case byteSize(ClosedRange<Int>)
        case integer(ClosedRange<Int>)
        case number(ClosedRange<Double>)
        /// A time; the agent gets seconds.
        case duration
        case flag
        case text
        /// Texts, or one.
        case texts
        /// A file, by its path from the topology's folder.
        case file
        case choice([String])
        case object([Setting])
    }
}

extension AgentKind {
    /// Every built-in kind; a new one is one more element.
    static let all: [AgentKind] = [
        AgentKind(
            "probe", executable: "synmesh-probe",
            settings: [
                Setting("to", .agents),
                Setting("topics", .publishedTopics),
                Setting("subscribe", .subscribedTopics),
                Setting("size", .byteSize(0...256_000_000)),
                Setting("seed", .integer(0 ... .max)),
                Setting("latency", .flag),
                Setting("as", .senders),
            ]),
        // Stands in for an agent of a recording.
        AgentKind(
            "double", executable: "synmesh-probe",
            settings: [Setting("subscribe", .subscribedTopics)]),
        AgentKind(
            "camera", executable: "synmesh-photogrammetry",
            settings: [
                Setting("to", .agents),
                Setting("cloud", .file),
                Setting("seed", .integer(0 ... .max)),
                Setting(
                    "scene",
                    .object([
                        Setting(
                            "points", .integer(1...50_000_000), isRequired: true,
                            example: "100000"),
                        Setting("shape", .choice(["sphere", "torus", "terrain"])),
                        Setting("cycle", .integer(1...1_000_000)),
                    ])),
                Setting("view", .integer(0...31)),
                Setting("views", .integer(1...32)),
                Setting(
                    "pose",
                    .object(
                        ["x", "y", "z"].map { Setting($0, .number(-1e12...1e12)) }
                            + ["yaw", "pitch", "roll"].map { Setting($0, .number(-360...360)) })),
            ] + clouds, exclusive: [["cloud", "scene"], ["pose", "scene"]]),
        AgentKind(
            "features", executable: "synmesh-photogrammetry",
            settings: [
                Setting("to", .agents),
                Setting("topics", .publishedTopics),
                Setting("forward", .agents),
                Setting("voxel", voxel),
                Setting("keypoints", .integer(1...10_000)),
            ] + clouds),
        AgentKind(
            "dense", executable: "synmesh-photogrammetry",
            settings: [
                Setting("to", .agents),
                Setting("views", .integer(1...32)),
                Setting("voxel", voxel, isRequired: true, example: "0.05"),
                Setting("sets", .integer(1...1_000)),
            ] + clouds),
        AgentKind(
            "mesh", executable: "synmesh-photogrammetry",
            settings: [
                Setting("to", .agents),
                Setting("topics", .publishedTopics),
                Setting("voxel", voxel),
            ]),
        coordinator, proposer, evaluator, observer,
    ]

    /// The edge of a voxel, in the unit of the clouds.
    private static let voxel = Shape.number(1e-9...1e9)

    /// The setting `threshold` where it is not given.
    static let threshold = 10_000_000

    /// What every kind has that sends clouds: the pool for those of `threshold` bytes and more.
    private static let clouds = [
        Setting("pool", .pool),
        Setting("threshold", .byteSize(0...(1 << 40))),
    ]

    /// Faults planted into the SDK of any built-in agent, so that checkers can be checked.
    private static let defects = Setting(
        "defects",
        .object([
            Setting("lose", .integer(1 ... .max)),
            Setting("repeat", .integer(1 ... .max)),
            Setting("swap", .integer(1 ... .max)),
            Setting("alter", .integer(1 ... .max)),
            Setting("alter_memory", .integer(1 ... .max)),
            Setting("lose_copies", .integer(1 ... .max)),
            Setting("swallow", .integer(1 ... .max)),
            Setting("forget", .integer(1 ... .max)),
            Setting("lose_chunk", .integer(1 ... .max)),
            Setting("alter_chunk", .integer(1 ... .max)),
            Setting("delay_us", .integer(1...10_000_000)),
            Setting("on", .choice(["zmq", "nats", "any"])),
            Setting("lane", .choice(["primary", "shadow"])),
        ]))

    init(
        _ name: String, executable: String, settings: [Setting], exclusive: [[String]] = []
    ) {
        self.name = name
        self.executable = executable
        self.settings = settings + [Self.defects]
        self.exclusive = exclusive
    }
}
