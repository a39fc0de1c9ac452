internal import JSON
internal import Scenarios

/// NATS by the SDK against the C library's own, with the same headers, in the same mode; and against
/// our own ZeroMQ.
struct NATSSuite: Suite {
    let name = "nats"

    let metrics = [
        Metric(
            "nats: throughput, at once",
            "two clients of the SDK, 256 B; the reference is a C program that sets and reads the same "
                + "eleven headers in the same mode"),
        Metric("nats: throughput, buffered", "the same with what is sent up to 1 ms later"),
        Metric(
            "nats: one way, p50",
            "two clients of the SDK, 2,000 a second, 256 B; the reference is the same clients on "
                + "ZeroMQ, through a branch proxy"),
        Metric(
            "nats: 100 MB in chunks",
            "from one client of the SDK to another, put together and verified; the reference is a C "
                + "program that publishes chunks of 8 MB and copies them together"),
    ]

    private static let topology = """
        synmesh: 1
        name: bench
        nats:
          main: { max_payload: 8500KB }
        """

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Self.topology) { session in
            let url = try await session.url(of: "main")
            var rows: [Row] = []
            for (mode, send) in [("asap", "at_once"), ("buffered", "buffered")] {
                let metric = "nats: throughput, " + (mode == "asap" ? "at once" : mode)
                guard bed.wants(metric) else { continue }
                rows.append(try await throughput(bed, url, metric, mode: mode, send: send))
            }
            if bed.wants("nats: one way, p50") {
                // In a mesh of its own: a branch beside the server would take up what is published
                // for its agents.
                rows.append(
                    try await bed.withMesh(Bed.onePair) { other in
                        try await latency(bed, url, try await other.endpoint("router", of: "core"))
                    })
            }
            if bed.wants("nats: 100 MB in chunks") { rows.append(try await chunks(bed, url)) }
            return rows
        }
    }

    private func throughput(
        _ bed: Bed, _ url: String, _ metric: String, mode: String, send: String
    ) async throws -> Row {
        let count = "\(bed.scaled(200_000))"
        let samples = try await bed.alternate([true, false]) { isOurs in
            isOurs
                ? try await bed.probe(
                    "throughput",
                    ["transport": "nats", "endpoint": url, "count": count, "send": send])
                : try await bed.reference(
                    "nats-throughput", ["url": url, "count": count, "mode": mode, "headers": "1"])
        }
        return Row(
            metric, unit: "1/s", ours: try samples[0].map { try $0.figure("per_second") },
            reference: try samples[1].map { try $0.figure("per_second") },
            target: .ratioAtLeast(0.85))
    }

    private func latency(_ bed: Bed, _ url: String, _ router: String) async throws -> Row {
        let count = "\(bed.scaled(4_000))"
        let samples = try await bed.alternate([("nats", url), ("zmq", router)]) { side in
            try await bed.probe(
                "latency",
                ["transport": side.0, "endpoint": side.1, "rate": "2000", "count": count])
        }
        return Row(
            "nats: one way, p50", unit: "us", ours: try samples[0].map { try $0.figure("p50_us") },
            reference: try samples[1].map { try $0.figure("p50_us") }, target: .ratioAtMost(1.2))
    }

    private func chunks(_ bed: Bed, _ url: String) async throws -> Row {
        let count = bed.options.isQuick ? "2" : "5"
        let samples = try await bed.alternate([true, false]) { isOurs in
            if isOurs {
                // Slow enough that none waits for the one before it.
                let said = try await bed.probe(
                    "latency",
                    [
                        "transport": "nats", "endpoint": url, "size": "100000000", "rate": "2",
                        "count": count,
                    ])
                return try said.figure("p50_us") / 1_000
            }
            let said = try await bed.reference("nats-chunks", ["url": url, "runs": count])
            return Statistics.median((said["milliseconds"]?.array ?? []).compactMap(\.double))
        }
        return Row(
            "nats: 100 MB in chunks", unit: "ms", ours: samples[0], reference: samples[1],
            target: .ratioAtMost(1.2))
    }
}
