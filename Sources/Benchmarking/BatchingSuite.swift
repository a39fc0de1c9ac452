internal import Foundation
internal import JSON
internal import Scenarios

/// Batches against our own envelopes that go one by one, agent to agent, recorded as by default.
struct BatchingSuite: Suite {
    let name = "batching"

    let metrics = [
        Metric(
            "batching: 50 a batch, 256 B",
            "two clients of the SDK through a branch proxy, both recording; the reference is the same "
                + "without batches"),
        Metric("batching: lost", "of all of these; each must arrive"),
        Metric(
            "batching: one way at 2,000/s, at most 5 ms, p99",
            "how long an envelope takes that waits for others, from the time at which it was due; the "
                + "reference is the same without batches, and shows what the machine adds"),
    ]

    private static let latency = 5

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Bed.waitingPair) { session in
            let endpoint = try await session.endpoint("router", of: "core")
            let folder =
                FileManager.default.temporaryDirectory.path + "/synmesh-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let common = [
                "transport": "zmq", "endpoint": endpoint, "size": "256", "history": folder,
            ]
            let batched = ["batch": "50", "batch-latency-ms": "\(Self.latency)"]
            let count = ["count": "\(bed.scaled(400_000))"]
            let samples = try await bed.alternate([batched, [:]]) { words in
                try Self.empty(folder)
                return try await bed.probe(
                    "throughput", common.merging(words) { $1 }.merging(count) { $1 })
            }
            let paced = ["count": "\(bed.scaled(10_000))", "rate": "2000"]
            let waits = try await bed.alternate([batched, [:]]) { words in
                try Self.empty(folder)
                return try await bed.probe(
                    "latency", common.merging(words) { $1 }.merging(paced) { $1 })
            }
            return [
                Row(
                    "batching: 50 a batch, 256 B", unit: "1/s",
                    ours: try samples[0].map { try $0.figure("per_second") },
                    reference: try samples[1].map { try $0.figure("per_second") },
                    target: .ratioAtLeast(3)),
                Row(
                    "batching: lost", unit: "messages",
                    ours: [
                        try (samples + waits).joined().reduce(0) { try $0 + $1.figure("lost") }
                    ],
                    target: .atMost(0)),
                Row(
                    "batching: one way at 2,000/s, at most 5 ms, p99", unit: "us",
                    ours: try waits[0].map { try $0.figure("p99_us") },
                    reference: try waits[1].map { try $0.figure("p99_us") },
                    target: .atMost(Double((Self.latency + 1) * 1_000))),
            ]
        }
    }

    /// Histories of former runs would only fill the disk.
    private static func empty(_ folder: String) throws {
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
}
