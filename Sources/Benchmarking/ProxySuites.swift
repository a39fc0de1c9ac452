internal import JSON
internal import Scenarios

/// A branch proxy against a C proxy that does the same: count routes, never wait for one.
struct BranchProxySuite: Suite {
    let name = "branch-proxy"
    let metrics = [
        Metric(
            "branch proxy: throughput, 256 B",
            "one pair of C clients as fast as there is room, through our proxy (statistics and "
                + "default limits on) and through a ROUTER loop in C that waits for slow receivers"),
        Metric("branch proxy: lost", "messages of all rounds of ours that did not arrive"),
        Metric(
            "branch proxy: one way, p50",
            "5,000 a second by one pair, from the time of the schedule to the receiver"),
        Metric("branch proxy: one way, p99", "of the same messages"),
        Metric(
            "branch proxy: seven beside a stalled one",
            "rate of seven pairs while an eighth receiver does not read for 2 s; the reference is "
                + "our own proxy while it does (1 s with --quick)"),
        Metric(
            "branch proxy: lost beside a stalled one",
            "messages of all eight that did not arrive in the end"),
        Metric(
            "branch proxy: resident at saturation",
            "greatest resident size of our proxy after throughput and latency; what waits for a "
                + "stalled receiver comes on top, as far as its queue goes"),
    ]

    private static let pairs = 8
    private static var topology: String {
        let names = (0..<pairs).flatMap { ["s\($0)", "r\($0)"] }
        let agents = names.map { "  \($0): { kind: probe }\n" }.joined()
        return
            "synmesh: 1\nname: bench\nbranches:\n  core: { queue: { messages: 200000, bytes: 1GiB } }\nagents:\n"
            + agents
    }

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Self.topology) { session in
            let ours = try await session.endpoint("router", of: "core")
            let process = try await session.process(of: "core")
            return try await bed.withReferenceServer("branch-proxy") { said, _ in
                let endpoints = [ours, said["endpoint"]?.string ?? ""]
                var rows = try await throughput(bed, endpoints)
                rows += try await latency(bed, endpoints)
                rows.append(
                    Row(
                        "branch proxy: resident at saturation", unit: "MB",
                        ours: [Bed.residentPeak(of: process)], target: .atMost(25)))
                rows += try await stall(bed, endpoints)
                return rows
            }
        }
    }

    private func throughput(_ bed: Bed, _ endpoints: [String]) async throws -> [Row] {
        let samples = try await bed.alternate(endpoints) { endpoint in
            try await bed.reference(
                "flood",
                ["proxy": endpoint, "count": "\(bed.scaled(400_000))", "size": "256"])
        }
        return [
            Row(
                "branch proxy: throughput, 256 B", unit: "1/s",
                ours: try samples[0].map { try $0.figure("per_second") },
                reference: try samples[1].map { try $0.figure("per_second") },
                target: .ratioAtLeast(0.9)),
            Row(
                "branch proxy: lost", unit: "messages",
                ours: [try samples[0].reduce(0) { try $0 + $1.figure("lost") }],
                target: .atMost(0)),
        ]
    }

    private func latency(_ bed: Bed, _ endpoints: [String]) async throws -> [Row] {
        let samples = try await bed.alternate(endpoints) { endpoint in
            try await bed.reference(
                "latency",
                [
                    "proxy": endpoint, "count": "\(bed.scaled(10_000))", "rate": "5000",
                    "size": "256",
                ])
        }
        return try [("p50", 1.15), ("p99", 1.5)].map { quantile, bound in
            Row(
                "branch proxy: one way, \(quantile)", unit: "us",
                ours: try samples[0].map { try $0.figure("\(quantile)_us") },
                reference: try samples[1].map { try $0.figure("\(quantile)_us") },
                target: .ratioAtMost(bound))
        }
    }

    /// One of eight receivers does not read for two seconds: the others must not notice.
    private func stall(_ bed: Bed, _ endpoints: [String]) async throws -> [Row] {
        // Longer than the others take for what they send.
        let stalls = [bed.options.isQuick ? "1000" : "2000", "0"]
        let count = bed.scaled(100_000)
        let samples = try await bed.alternate(stalls) { stall in
            try await bed.reference(
                "flood",
                [
                    "proxy": endpoints[0], "pairs": "\(Self.pairs)", "count": "\(count)",
                    "size": "256", "stall-ms": stall,
                ])
        }
        return [
            Row(
                "branch proxy: seven beside a stalled one", unit: "1/s",
                ours: try samples[0].map { try $0.figure("healthy_per_second") },
                reference: try samples[1].map { try $0.figure("healthy_per_second") },
                target: .ratioAtLeast(0.9)),
            Row(
                "branch proxy: lost beside a stalled one", unit: "messages",
                ours: [try samples[0].reduce(0) { try $0 + $1.figure("lost") }],
                target: .atMost(0)),
        ]
    }
}

/// A topic proxy against libzmq's own, both so that nothing is dropped.
struct TopicProxySuite: Suite {
    let name = "topic-proxy"
    let metrics = [
        Metric(
            "topic proxy: deliveries, 1 subscriber",
            "one C publisher as fast as there is room; the reference is libzmq's own zmq_proxy "
                + "with XPUB_NODROP"),
        Metric(
            "topic proxy: lost, 1 subscriber", "deliveries of all rounds of ours that are missing"),
        Metric("topic proxy: deliveries, 8 subscribers", "the same to eight"),
        Metric("topic proxy: lost, 8 subscribers", "deliveries to all eight that are missing"),
    ]

    private static let topology = """
        synmesh: 1
        name: bench
        topic_proxies:
          topics: { prefixes: [bench] }
        """

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Self.topology) { session in
            let ours = [
                "publish": try await session.endpoint("publish", of: "topics"),
                "subscribe": try await session.endpoint("subscribe", of: "topics"),
            ]
            return try await bed.withReferenceServer("topic-proxy") { said, _ in
                let theirs = [
                    "publish": said["publish"]?.string ?? "",
                    "subscribe": said["subscribe"]?.string ?? "",
                ]
                var rows: [Row] = []
                for (subscribers, count) in [(1, 300_000), (8, 60_000)] {
                    rows += try await fanOut(
                        bed, [ours, theirs], to: subscribers, count: bed.scaled(count))
                }
                return rows
            }
        }
    }

    private func fanOut(
        _ bed: Bed, _ sides: [[String: String]], to subscribers: Int, count: Int
    ) async throws -> [Row] {
        let samples = try await bed.alternate(sides) { side in
            try await bed.reference(
                "fanout",
                side.merging([
                    "subscribers": "\(subscribers)", "count": "\(count)", "size": "256",
                ]) { $1 })
        }
        let plural = subscribers == 1 ? "" : "s"
        return [
            Row(
                "topic proxy: deliveries, \(subscribers) subscriber\(plural)", unit: "1/s",
                ours: try samples[0].map { try $0.figure("per_second") },
                reference: try samples[1].map { try $0.figure("per_second") },
                target: .ratioAtLeast(0.9)),
            Row(
                "topic proxy: lost, \(subscribers) subscriber\(plural)", unit: "messages",
                ours: [try samples[0].reduce(0) { try $0 + $1.figure("lost") }],
                target: .atMost(0)),
        ]
    }
}
