internal import Foundation
internal import JSON
internal import Scenarios

/// Contents that are not copied on their way through agents, against the same ones copied.
struct ZeroCopySuite: Suite {
    let name = "zero-copy"
    var metrics: [Metric] {
        Self.sizes.flatMap { size in
            [
                Metric(
                    Self.rate(size.name),
                    "contents a second from being filled to having been read, by two agents "
                        + "through a branch proxy; the reference is the same with copies"),
                Metric(Self.time(size.name), "of one at a time, p50; as above"),
            ]
        }
    }

    private static let sizes: [(name: String, bytes: Int, count: Int)] = [
        ("4 KB", 4_096, 20_000), ("16 KB", 16_384, 12_000),
        ("64 KB", 65_536, 6_000), ("256 KB", 262_144, 2_000), ("1 MB", 1_000_000, 600),
        ("10 MB", 10_000_000, 60),
    ]

    private static func rate(_ size: String) -> String { "zero copy: rate, \(size)" }
    private static func time(_ size: String) -> String { "zero copy: one way, \(size)" }

    func measure(_ bed: Bed) async throws -> [Row] {
        let topology = """
            synmesh: 1
            name: bench
            branches:
              core: { queue: { messages: 200000, bytes: 1GiB } }
            agents:
              s0: { kind: probe }
              r0: { kind: probe }
            """
        return try await bed.withMesh(topology) { session in
            let endpoint = try await session.endpoint("router", of: "core")
            var rows: [Row] = []
            for size in Self.sizes
            where bed.wants(Self.rate(size.name)) || bed.wants(Self.time(size.name)) {
                // Nothing is copied, or everything is.
                let samples = try await bed.alternate(["0", "1000000000000"]) { keepFrom in
                    try await bed.probe(
                        "contents",
                        [
                            "transport": "zmq", "endpoint": endpoint, "keep-from": keepFrom,
                            "size": "\(size.bytes)", "count": "\(max(20, bed.scaled(size.count)))",
                        ])
                }
                rows += [
                    Row(
                        Self.rate(size.name), unit: "1/s",
                        ours: try samples[0].map { try $0.figure("per_second") },
                        reference: try samples[1].map { try $0.figure("per_second") }),
                    Row(
                        Self.time(size.name), unit: "us",
                        ours: try samples[0].map { try $0.figure("p50_us") },
                        reference: try samples[1].map { try $0.figure("p50_us") }),
                ]
            }
            return rows
        }
    }
}

/// How soon messages pass again after a proxy was killed and started again.
struct ReconnectSuite: Suite {
    let name = "reconnect"
    var metrics: [Metric] {
        ["branch", "topic"].flatMap { proxy in
            [
                Metric(
                    "reconnect: \(proxy) proxy, median",
                    "from the moment that a killed \(proxy) proxy can be connected to again until a "
                        + "message of one agent has been handed out by another"),
                Metric("reconnect: \(proxy) proxy, worst", "the longest of these"),
            ]
        }
    }

    /// As many as may be killed again and again: who ends often is not started again.
    private static let proxies = 4

    private static var topology: String {
        let branches = (0..<proxies).map { "  core\($0): {}\n" }.joined()
        let topics = (0..<proxies).map { "  topics\($0): { prefixes: [bench\($0)] }\n" }.joined()
        let agents = (0..<proxies).map { number in
            ["s", "r"].map { "  \($0)\(number): { kind: probe, branch: core\(number) }\n" }.joined()
        }.joined()
        return
            "synmesh: 1\nname: bench\nbranches:\n\(branches)topic_proxies:\n\(topics)agents:\n"
            + agents
    }

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Self.topology) { session in
            var rows: [Row] = []
            for proxy in ["branch", "topic"] {
                var times: [Double] = []
                for round in 0..<min(Self.proxies * 4, bed.rounds * 3) where !bed.isLate {
                    try Task.checkCancellation()
                    times.append(try await Self.time(proxy, round % Self.proxies, bed, session))
                }
                guard !times.isEmpty else { continue }
                rows += [
                    Row(
                        "reconnect: \(proxy) proxy, median", unit: "ms", ours: times,
                        target: .atMost(10)),
                    Row(
                        "reconnect: \(proxy) proxy, worst", unit: "ms", ours: [times.max() ?? .nan],
                        target: .atMost(25)),
                ]
            }
            return rows
        }
    }

    private static func time(
        _ proxy: String, _ number: Int, _ bed: Bed, _ session: MeshSession
    ) async throws -> Double {
        let part = proxy == "branch" ? "core\(number)" : "topics\(number)"
        var words = [
            "endpoint": try await session.endpoint("router", of: "core\(number)"),
            "kill": "\(try await session.process(of: part))", "pair": "\(number)",
        ]
        if proxy == "topic" {
            words["publish"] = try await session.endpoint("publish", of: part)
            words["subscribe"] = try await session.endpoint("subscribe", of: part)
        }
        return try await bed.probe("reconnect", words).figure("ms")
    }
}

/// What connections that are kept are worth to whoever sends one message and is gone.
struct PoolSuite: Suite {
    let name = "pool"
    let metrics = [
        Metric(
            "pool: one message of a short-lived sender",
            "from the sender's making until its message was handed out, p50; the reference makes a "
                + "connection of its own"),
        Metric("pool: connections made", "for all the messages of the last round"),
    ]

    func measure(_ bed: Bed) async throws -> [Row] {
        let topology =
            "synmesh: 1\nname: bench\nbranches:\n  core: {}\nagents:\n  r0: { kind: probe }\n"
        return try await bed.withMesh(topology) { session in
            let endpoint = try await session.endpoint("router", of: "core")
            let samples = try await bed.alternate(["1", "0"]) { shared in
                try await bed.probe(
                    "senders",
                    ["endpoint": endpoint, "count": "\(bed.scaled(1_000))", "shared": shared])
            }
            return [
                Row(
                    "pool: one message of a short-lived sender", unit: "us",
                    ours: try samples[0].map { try $0.figure("p50_us") },
                    reference: try samples[1].map { try $0.figure("p50_us") },
                    target: .ratioAtMost(0.5)),
                Row(
                    "pool: connections made", unit: "", ours: [try samples[0][0].figure("opened")],
                    target: .atMost(1)),
            ]
        }
    }
}

/// What an agent that does nothing takes up.
struct IdleAgentSuite: Suite {
    let name = "idle-agent"
    let metrics = [
        Metric(
            "idle agent: resident on zmq",
            "memory of an attached probe with a subscription that has nothing to do"),
        Metric("idle agent: resident on nats", "the same on NATS"),
    ]

    private static let topology = """
        synmesh: 1
        name: bench
        nats:
          main: {}
        branches:
          core: {}
        topic_proxies:
          topics: { prefixes: [bench] }
        agents:
          zmq: { kind: probe, settings: { subscribe: [bench] } }
          nats: { kind: probe, transport: nats, settings: { subscribe: [bench] } }
        """

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Self.topology, withAgents: true) { session in
            var rows: [Row] = []
            for transport in ["zmq", "nats"] {
                let process = try await session.process(of: transport)
                rows.append(
                    Row(
                        "idle agent: resident on \(transport)", unit: "MB",
                        ours: [Bed.resident(of: process)], target: .atMost(10)))
            }
            return rows
        }
    }
}
