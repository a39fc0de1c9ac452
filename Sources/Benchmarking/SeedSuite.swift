internal import JSON
internal import Scenarios

/// The table of targets that the project began with, and its definition of success: absolute figures,
/// of agents in the SDK through a branch proxy.
struct SeedSuite: Suite {
    let name = "seed"

    let metrics = [
        Metric(
            "seed: one way, P50",
            "two clients of the SDK through a branch proxy, 1,000 a second, 256 B, from the time at "
                + "which a message was due; the target is the seed's"),
        Metric("seed: one way, P99", "of the same messages; the seed's target"),
        Metric("success: one way, P99", "of the same messages; the seed's definition of success"),
        Metric(
            "seed: throughput",
            "the same clients as fast as there is room, 256 B; the seed's target"),
        Metric("success: throughput", "the same; the seed's definition of success"),
        Metric(
            "seed: memory overhead",
            "greatest resident size of the branch proxy after all of these; the seed's target"),
    ]

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Bed.onePair) { session in
            let options = [
                "transport": "zmq", "endpoint": try await session.endpoint("router", of: "core"),
                "size": "256",
            ]
            let process = try await session.process(of: "core")
            var rows: [Row] = []
            if bed.wants("seed: one way, P50") || bed.wants("seed: one way, P99")
                || bed.wants("success: one way, P99")
            {
                rows += try await latency(bed, options)
            }
            if bed.wants("seed: throughput") || bed.wants("success: throughput")
                || bed.wants("seed: memory overhead")
            {
                rows += try await throughput(bed, options)
            }
            return rows + [
                Row(
                    "seed: memory overhead", unit: "MB", ours: [Bed.residentPeak(of: process)],
                    target: .atMost(50))
            ]
        }
    }

    private func latency(_ bed: Bed, _ options: [String: String]) async throws -> [Row] {
        let samples = try await bed.alternate([options]) { options in
            try await bed.probe(
                "latency",
                options.merging(["rate": "1000", "count": "\(bed.scaled(3_000))"]) { $1 })
        }
        let half = try samples[0].map { try $0.figure("p50_us") / 1_000 }
        let most = try samples[0].map { try $0.figure("p99_us") / 1_000 }
        return [
            Row("seed: one way, P50", unit: "ms", ours: half, target: .atMost(1)),
            Row("seed: one way, P99", unit: "ms", ours: most, target: .atMost(5)),
            Row("success: one way, P99", unit: "ms", ours: most, target: .atMost(2)),
        ]
    }

    private func throughput(_ bed: Bed, _ options: [String: String]) async throws -> [Row] {
        let samples = try await bed.alternate([options]) { options in
            try await bed.probe(
                "throughput", options.merging(["count": "\(bed.scaled(100_000))"]) { $1 })
        }
        let rates = try samples[0].map { try $0.figure("per_second") }
        return [
            Row("seed: throughput", unit: "1/s", ours: rates, target: .atLeast(10_000)),
            Row("success: throughput", unit: "1/s", ours: rates, target: .atLeast(20_000)),
        ]
    }
}

/// Rows of the seed's table that other suites measure: the same figures against the seed's targets.
struct SeedTargets {
    /// A row of the seed's table, after a row that is measured in any case.
    struct Derived: Sendable {
        let metric: Metric
        /// The metric whose runs of ours these are.
        let source: String
        let unit: String
        /// Turns the source's unit into this one.
        let factor: Double
        let target: Row.Target
    }

    private static let clouds = "shared memory: 100 MB through a pool"

    static let all: [Derived] = [
        Derived(
            metric: Metric(
                "seed: point cloud, 100 MB",
                "copied into a pool and read in place, between clients of the SDK through a branch "
                    + "proxy; the target is the seed's"),
            source: clouds, unit: "ms", factor: 0.001, target: .atMost(100)),
        Derived(
            metric: Metric(
                "success: point cloud, 100 MB", "the same; the seed's definition of success"),
            source: clouds, unit: "ms", factor: 0.001, target: .atMost(50)),
        Derived(
            metric: Metric(
                "seed: reconnect",
                "the longest time until an agent hears a branch proxy again that was restarted; the "
                    + "target is the seed's"),
            source: "reconnect: branch proxy, worst", unit: "ms", factor: 1, target: .atMost(100)),
    ]

    /// Adds the derived rows behind the seed's own, or at the front where there are none.
    static func added(to rows: [Row], wants: (String) -> Bool) -> [Row] {
        let derived = all.compactMap { derived -> Row? in
            guard wants(derived.metric.name),
                let source = rows.first(where: { $0.metric == derived.source })
            else { return nil }
            return Row(
                derived.metric.name, unit: derived.unit,
                ours: source.ours.map { $0 * derived.factor }, target: derived.target)
        }
        let own = Set(SeedSuite().metrics.map(\.name))
        let place = rows.lastIndex { own.contains($0.metric) }.map { $0 + 1 } ?? 0
        return Array(rows[..<place]) + derived + rows[place...]
    }
}
