internal import Foundation
internal import JSON
internal import Scenarios

/// The mesh that was before, in Python, beside ours.
struct SeedPythonSuite: Suite {
    let name = "seed-python"

    private static let throughput = "seed's Python: throughput, 256 B"
    private static let half = "seed's Python: one way, p50"
    private static let most = "seed's Python: one way, p99"
    private static let reconnect = "seed's Python: reconnect"
    private static func cloud(_ size: Int) -> String { "seed's Python: \(size) MB cloud" }

    let metrics = [
        Metric(
            throughput,
            "one pair of C clients as fast as there is room through our proxy; the reference is the "
                + "seed's proxy in Python with the same clients, whose messages are one frame of "
                + "JSON with a text of 256 B, since it knows no other"),
        Metric(
            half,
            "between two clients of the SDK, 1,000 a second; the reference is the seed's clients and "
                + "proxy, one message at a time"),
        Metric(most, "of the same messages"),
        Metric(
            cloud(1),
            "a point cloud between clients of the SDK through a pool; the reference sends it as "
                + "hexadecimal text in JSON"),
        Metric(cloud(10), "the same"),
        Metric(cloud(100), "the same; not with --quick"),
        Metric(
            reconnect,
            "from the bind of a proxy that was away for 200 ms to the first message through it, of "
                + "the seed's clients; the target is the seed's own, for comparison only"),
    ]

    private static let topology = """
        synmesh: 1
        name: bench
        branches:
          core: {}
        pools:
          clouds: { size: 100MB, slots: 2, checksum: none }
        agents:
          s0: { kind: probe, branch: core }
          r0: { kind: probe, branch: core }
        """
    func measure(_ bed: Bed) async throws -> [Row] {
        let script = try Self.script()
        return try await bed.withServer("/usr/bin/env", ["python3", script, "branch-proxy"]) {
            said, _ in
            let theirs = said["endpoint"]?.string ?? ""
            return try await bed.withMesh(Self.topology) { session in
                try await measure(
                    bed, script, theirs, try await session.endpoint("router", of: "core"),
                    session.file(ofPool: "clouds"))
            }
        }
    }

    private func measure(
        _ bed: Bed, _ script: String, _ theirs: String, _ ours: String, _ pool: String
    ) async throws -> [Row] {
        var rows: [Row] = []
        if bed.wants(Self.throughput) {
            rows.append(try await flood(bed, ours, theirs))
        }
        if bed.wants(Self.half) || bed.wants(Self.most) {
            rows += try await latency(bed, script, theirs, ours)
        }
        for size in [1, 10, 100] where bed.wants(Self.cloud(size)) {
            guard size < 100 || !bed.options.isQuick else { continue }
            rows.append(try await cloud(bed, script, theirs, ours, pool, size))
        }
        if bed.wants(Self.reconnect) {
            let value = try await bed.run(
                "/usr/bin/env",
                ["python3", script, "reconnect", "\(bed.options.isQuick ? 3 : 10)"])
            rows.append(
                Row(Self.reconnect, unit: "ms", ours: try value.series("reconnect_ms")))
        }
        return rows
    }

    private func flood(
        _ bed: Bed, _ ours: String, _ theirs: String
    ) async throws -> Row {
        let samples = try await bed.alternate([true, false]) { isOurs in
            // The seed's proxy drops without a word; that it lost some is no reason to wait.
            try await bed.reference(
                "flood",
                [
                    "proxy": isOurs ? ours : theirs, "wire": isOurs ? "frames" : "json",
                    "count": "\(bed.scaled(isOurs ? 400_000 : 50_000))", "size": "256",
                    "idle-ms": "1000",
                ])
        }
        return Row(
            Self.throughput, unit: "1/s",
            ours: try samples[0].map { try $0.figure("per_second") },
            reference: try samples[1].map { try $0.figure("per_second") },
            target: .ratioAtLeast(10))
    }

    private func latency(
        _ bed: Bed, _ script: String, _ theirs: String, _ ours: String
    ) async throws -> [Row] {
        let samples = try await bed.alternate([true, false]) { isOurs in
            if isOurs {
                try await bed.probe(
                    "latency",
                    [
                        "transport": "zmq", "endpoint": ours, "rate": "1000",
                        "count": "\(bed.scaled(2_500))", "size": "256",
                    ])
            } else {
                try await bed.run(
                    "/usr/bin/env",
                    ["python3", script, "latency", theirs, "\(bed.scaled(2_500))"])
            }
        }
        return try [(Self.half, "p50_us"), (Self.most, "p99_us")].map { metric, figure in
            Row(
                metric, unit: "us", ours: try samples[0].map { try $0.figure(figure) },
                reference: try samples[1].map { try $0.figure(figure) })
        }
    }

    private func cloud(
        _ bed: Bed, _ script: String, _ theirs: String, _ ours: String, _ pool: String,
        _ size: Int
    ) async throws -> Row {
        let bytes = "\(size * 1_000_000)"
        let samples = try await bed.alternate([true, false]) { isOurs in
            let value =
                if isOurs {
                    try await bed.probe(
                        "clouds",
                        ["endpoint": ours, "pool": pool, "size": bytes, "count": "3"])
                } else {
                    try await bed.run(
                        "/usr/bin/env", ["python3", script, "cloud", theirs, bytes, "1"])
                }
            return try value.middle("cloud_us")
        }
        return Row(Self.cloud(size), unit: "us", ours: samples[0], reference: samples[1])
    }

    /// The rebuilt seed, which is in the repository and nowhere else.
    private static func script() throws -> String {
        var folder = Machine.programsFolder
        while true {
            let path = folder + "/Benchmarks/seed/seed.py"
            if FileManager.default.fileExists(atPath: path) { return path }
            guard let slash = folder.lastIndex(of: "/") else { break }
            folder = String(folder[..<slash])
        }
        throw Bench.Failure(
            "Benchmarks/seed/seed.py is not above \(Machine.programsFolder): run the bench from the "
                + "repository's build")
    }
}
