internal import Foundation
internal import JSON
internal import Scenarios

/// What it costs to keep each envelope until it is acknowledged, beside the same without.
struct DeliverySuite: Suite {
    let name = "delivery"

    let metrics = [
        Metric(
            "at least once: 256 B",
            "two clients of the SDK through a branch proxy, both recording, everything kept until it is "
                + "acknowledged; the reference is the same with 'at_most_once'"),
        Metric("at least once: 50 a batch, 256 B", "the same in batches, and so is the reference"),
        Metric("at least once: lost", "of all of these; each must arrive"),
    ]

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Bed.waitingPair) { session in
            let folder = session.directory + "/bench"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let words = [
                "transport": "zmq", "endpoint": try await session.endpoint("router", of: "core"),
                "size": "256", "history": folder,
            ]
            var rows: [Row] = []
            var lost = 0.0
            for (index, batch) in [[:], ["batch": "50", "batch-latency-ms": "5"]].enumerated()
            where bed.wants(metrics[index].name) || bed.wants(metrics[2].name) {
                let count = ["count": "\(bed.scaled(index == 0 ? 150_000 : 300_000))"]
                let samples = try await bed.alternate(["at_least_once", "at_most_once"]) {
                    delivery in
                    let value = try await bed.probe(
                        "throughput",
                        words.merging(batch) { $1 }.merging(count) { $1 }
                            .merging(["delivery": delivery]) { $1 })
                    // They are of no use afterwards, and large.
                    for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
                        try FileManager.default.removeItem(atPath: folder + "/" + file)
                    }
                    return value
                }
                lost += try samples.joined().reduce(0) { try $0 + $1.figure("lost") }
                rows.append(
                    Row(
                        metrics[index].name, unit: "1/s",
                        ours: try samples[0].map { try $0.figure("per_second") },
                        reference: try samples[1].map { try $0.figure("per_second") }))
            }
            return rows + [
                Row(metrics[2].name, unit: "messages", ours: [lost], target: .atMost(0))
            ]
        }
    }
}
