// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(
    _ name: String, _ dependencies: [Target.Dependency], path: String? = nil
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

func tests(
    _ module: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []
) -> Target {
    .testTarget(
        name: "\(module)Tests",
        dependencies: [.byName(name: module), "TestSupport"] + dependencies,
        exclude: exclude, swiftSettings: settings)
}

let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let histogram: Target.Dependency = .product(
    name: "Histogram", package: "hdrhistogram-swift")
let database: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let mustache: Target.Dependency = .product(name: "Mustache", package: "swift-mustache")
let argumentParser: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")

// Top to bottom as in ARCHITECTURE.md: each module imports only from the floors above it.
let package = Package(
    name: "synmesh",
    products: [
        .executable(name: "synmesh", targets: ["synmesh"]),
        .executable(name: "synmesh-node", targets: ["synmesh-node"]),
        .executable(name: "synmesh-guard", targets: ["synmesh-guard"]),
        .executable(name: "synmesh-probe", targets: ["synmesh-probe"]),
        .executable(name: "synmesh-photogrammetry", targets: ["synmesh-photogrammetry"]),
        .executable(name: "synmesh-thoughts", targets: ["synmesh-thoughts"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    ],
    targets: [
        // C seams
        .systemLibrary(name: "CZMQ"),
        .systemLibrary(name: "CNATS"),
        .systemLibrary(name: "CYAML"),
        .systemLibrary(name: "CXXHash"),
        .target(name: "CLinux"),

        // Bindings
        module("ZeroMQ", ["CZMQ", "CLinux"]),
        module("NATS", ["CNATS"]),
        module("YAML", ["CYAML", "Quantities"]),

        // Vocabulary
        module("Quantities"),
        module("Randomness"),
        module("JSON"),
        module("Wire", ["JSON"]),
        module("Topologies", ["YAML", "Wire", "JSON"]),
        module("Moves", ["JSON", "Wire"]),

        // Mechanisms
        module("Threads", ["CLinux"]),
        module("Recording", ["Wire", "JSON", "CXXHash", "CLinux", collections]),
        module("SharedMemory", ["CLinux", "CXXHash"]),
        module("Chunking", ["CLinux", "CXXHash", "NATS", "Wire"]),
        module("Control", ["Wire", "JSON", "ZeroMQ", "Threads"]),
        module(
            "Messaging",
            [
                "Chunking", "Moves", "Wire", "JSON", "ZeroMQ", "NATS", "Recording", "SharedMemory",
                "Threads", collections,
            ]),
        module(
            "Routing",
            [
                "Chunking", "CLinux", "Control", "Moves", "Wire", "JSON", "ZeroMQ", "NATS",
                "Recording", "Threads", collections,
            ]),
        module("Supervision", ["CLinux", "Threads"]),
        module("Operating", ["CLinux", "JSON", "Threads"]),

        // Judgement
        module("Analysis", ["Wire", "JSON", "Randomness", "Recording", collections]),

        // What people do with recordings
        module("Histories", ["Analysis", "JSON", "Recording", "Threads", "Wire", histogram]),

        module(
            "Checkers",
            [
                "Analysis", "Game24", "Histories", "JSON", "PointClouds", "Quantities", "Recording",
                "Wire",
            ]),
        module(
            "Exporting",
            ["Analysis", "CXXHash", "Histories", "JSON", "Recording", "Wire", database]
        ),

        // Decision
        module(
            "Scenarios",
            [
                "Analysis", "Checkers", "Control", "Histories", "JSON", "NATS", "Operating",
                "Recording", "Reporting", "Routing", "SharedMemory", "Supervision", "Threads",
                "Topologies",
                "Wire", "YAML",
            ]),

        module(
            "Conformance",
            [
                "Control", "JSON", "NATS", "Recording", "Scenarios", "SharedMemory", "Supervision",
                "Threads", "Topologies", "Wire", "YAML", "ZeroMQ",
            ]),

        // Runtime of agent programs
        module(
            "AgentRuntime",
            [
                "Messaging", "Moves", "Control", "Recording", "Threads", "Wire", "JSON", "ZeroMQ",
                "CLinux",
            ]),

        // What others can do: plain C on the plain libraries, to measure against.
        .executableTarget(
            name: "synmesh-reference", path: "Benchmarks/reference",
            linkerSettings: [
                .linkedLibrary("zmq"), .linkedLibrary("nats"), .linkedLibrary("sqlite3"),
            ]),
        module(
            "Benchmarking",
            [
                "Analysis", "Histories", "JSON", "NATS", "Recording", "Scenarios", "Supervision",
                "Threads", "Topologies", "Wire", "ZeroMQ", histogram,
            ]),

        // Faces
        module("Reporting", ["Analysis", "Checkers", "Histories", "JSON", "Wire", mustache]),
        program(
            "synmesh",
            [
                "Analysis", "Benchmarking", "Checkers", "Conformance", "Exporting", "Histories",
                "JSON",
                "Operating",
                "Quantities", "Recording", "Reporting", "Scenarios", "Supervision", "Threads",
                "Topologies", "Wire", "YAML",
                argumentParser,
            ]),

        // Programs
        program(
            "synmesh-node",
            ["Routing", "Control", "Recording", "Wire", "JSON", "ZeroMQ", "CLinux"]),
        program("synmesh-guard", ["CLinux", "Supervision"]),
        module("PointClouds", ["CXXHash", "JSON", "Randomness"]),
        module("Game24", ["JSON"]),
        module("Reconstruction", ["PointClouds", "JSON"]),
        program(
            "synmesh-probe",
            [
                "AgentRuntime", "Messaging", "Recording", "SharedMemory", "Threads", "Wire", "JSON",
                "ZeroMQ", histogram,
            ],
            path: "agents/probe"),
        program(
            "synmesh-photogrammetry",
            ["AgentRuntime", "Messaging", "PointClouds", "Reconstruction", "Wire", "JSON"],
            path: "agents/photogrammetry"),
        program(
            "synmesh-thoughts", ["AgentRuntime", "Game24", "Messaging", "Wire", "JSON"],
            path: "agents/thoughts"),

        // Tests
        .target(
            name: "TestSupport", dependencies: ["CLinux"], path: "Tests/TestSupport",
            swiftSettings: settings),
        tests("ZeroMQ"),
        tests("NATS"),
        tests("Chunking", ["NATS", "Wire"]),
        tests("Quantities"),
        tests("YAML"),
        tests("JSON", exclude: ["canonical.py"]),
        tests("Wire", ["JSON"]),
        // Thirty thousand schedules take a minute where nothing is optimised.
        .testTarget(
            name: "MovesTests", dependencies: ["Moves", "Randomness", "Wire"],
            swiftSettings: settings + [.unsafeFlags(["-O"])]),
        tests("Topologies", ["JSON", "Wire", "YAML"]),
        tests("Recording", ["Wire", "JSON"], exclude: ["read_mcap.py"]),
        tests("Threads"),
        // A writer and a reader for the tests to kill.
        program(
            "shared-memory-subject", ["SharedMemory", "TestSupport"],
            path: "Tests/SharedMemorySubject"),
        tests(
            "SharedMemory", ["CLinux", "shared-memory-subject"],
            exclude: ["pool.py", "pool.hex"]),
        tests("Control", ["JSON", "Threads", "ZeroMQ"]),
        tests(
            "Messaging",
            ["Wire", "JSON", "NATS", "ZeroMQ", "Recording", "Routing", "SharedMemory"]),
        tests(
            "Routing",
            [
                "Chunking", "CLinux", "Control", "Wire", "JSON", "NATS", "ZeroMQ", "Recording",
                "Threads", "synmesh-node", collections,
            ]),
        // A small orchestrator for the tests to kill.
        program(
            "supervision-subject", ["Supervision"], path: "Tests/SupervisionSubject"),
        tests("Supervision", ["CLinux", "synmesh-guard", "supervision-subject"]),
        tests("Operating", ["JSON"]),
        tests(
            "Analysis", ["Wire", "JSON", "Recording"],
            exclude: ["statistics_by_scipy.py", "judge_reference.py", "judge_reference.json"]),
        tests("Checkers", ["Analysis", "JSON", "PointClouds", "Recording", "Wire"]),
        tests(
            "Exporting", ["Analysis", "Histories", "JSON", "Recording", "Wire"],
            exclude: ["read_export.py"]),
        tests("Histories", ["Analysis", "Wire", "JSON", "Recording"]),
        tests("Scenarios", ["Analysis", "JSON", "Topologies", "YAML"]),
        tests(
            "Reporting", ["Analysis", "JSON", "Wire", "Recording"], exclude: ["Snapshots"]),
        tests(
            "AgentRuntime",
            [
                "CLinux", "Control", "JSON", "Messaging", "Recording", "Wire", "synmesh-node",
                "synmesh-probe", "synmesh-photogrammetry",
            ]),
        tests("PointClouds", ["JSON", "Randomness"], exclude: ["plyfile_report.py"]),
        tests("Game24", ["JSON"]),
        tests(
            "Benchmarking", ["Analysis", "Histories", "JSON"]),
        tests("Reconstruction", ["JSON", "PointClouds", "Randomness"]),
        // What must not end any of it.
        .testTarget(
            name: "BadInputTests",
            dependencies: [
                "Chunking", "Control", "JSON", "Messaging", "NATS", "Recording", "Routing",
                "SharedMemory", "TestSupport", "Threads", "Wire", "ZeroMQ",
            ], swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "synmesh", "synmesh-node", "synmesh-guard", "synmesh-probe",
                "synmesh-photogrammetry", "synmesh-thoughts", "Game24", "JSON", "Threads",
            ],
            exclude: ["alter_history.py", "wrong_agent.py"], swiftSettings: settings),
    ]
)
