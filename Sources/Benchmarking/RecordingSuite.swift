internal import Foundation
internal import JSON
internal import Scenarios

/// What it costs that both agents record every envelope, beside the same agents that record none.
struct RecordingSuite: Suite {
    let name = "recording"

    let metrics = [
        Metric(
            "recording: processor time at 20,000/s",
            "processor time of a sender and a receiver with histories less that of the same without, "
                + "20,000 messages of 256 B a second, in percent of one core and of the time"),
        Metric(
            "recording: throughput at saturation",
            "the same two clients as fast as there is room, through our branch proxy; the reference "
                + "is without histories"),
        Metric(
            "recording: records a second",
            "one history of 256 B contents as fast as it takes them; the reference appends as many "
                + "bytes through a buffer of 64 KiB, in C"),
    ]

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Bed.waitingPair) { session in
            let folder = session.directory + "/bench"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let words = [
                "transport": "zmq", "endpoint": try await session.endpoint("router", of: "core"),
                "size": "256",
            ]
            var rows: [Row] = []
            if bed.wants(metrics[0].name) {
                rows.append(try await processorTime(bed, words, folder))
            }
            if bed.wants(metrics[1].name) {
                rows.append(try await saturation(bed, words, folder))
            }
            if bed.wants(metrics[2].name) { rows.append(try await records(bed, folder)) }
            return rows
        }
    }

    private func processorTime(
        _ bed: Bed, _ words: [String: String], _ folder: String
    ) async throws -> Row {
        let samples = try await alternate(
            bed, words, folder, ["rate": "20000", "count": "\(bed.scaled(100_000))"])
        let shares = try zip(samples[0], samples[1]).map { on, off in
            let difference = try on.figure("processor_seconds") - off.figure("processor_seconds")
            return try difference / on.figure("seconds") * 100
        }
        return Row(metrics[0].name, unit: "%", ours: shares, target: .atMost(5))
    }

    private func saturation(
        _ bed: Bed, _ words: [String: String], _ folder: String
    ) async throws -> Row {
        let samples = try await alternate(
            bed, words, folder, ["count": "\(bed.scaled(300_000))"])
        return Row(
            metrics[1].name, unit: "1/s", ours: try samples[0].map { try $0.figure("per_second") },
            reference: try samples[1].map { try $0.figure("per_second") },
            target: .ratioAtLeast(0.75))
    }

    private func alternate(
        _ bed: Bed, _ words: [String: String], _ folder: String, _ more: [String: String]
    ) async throws -> [[Value]] {
        try await bed.alternate([folder, "none"]) { history in
            let value = try await bed.probe(
                "throughput",
                words.merging(more) { $1 }.merging(["history": history]) { $1 })
            // They are of no use afterwards, and large.
            for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
                try FileManager.default.removeItem(atPath: folder + "/" + file)
            }
            guard try value.figure("lost") == 0 else { throw Bench.Failure("messages were lost") }
            return value
        }
    }

    private func records(_ bed: Bed, _ folder: String) async throws -> Row {
        let count = bed.scaled(1_000_000)
        let samples = try await bed.alternate([true, false]) { isOurs in
            if isOurs {
                let value = try await bed.probe(
                    "records", ["history": folder, "count": "\(count)", "size": "256"])
                for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
                    try FileManager.default.removeItem(atPath: folder + "/" + file)
                }
                return try value.figure("per_second")
            }
            return try await bed.reference(
                "append",
                ["path": folder + "/append", "count": "\(count)", "size": "296"]
            ).figure("per_second")
        }
        return Row(metrics[2].name, unit: "1/s", ours: samples[0], reference: samples[1])
    }
}

/// Whether a proxy that passed ten million messages is as large as after the first of them.
struct MemoryFlatSuite: Suite {
    let name = "memory-flat"

    let metrics = [
        Metric(
            "branch proxy: resident at most, 10 million",
            "greatest resident size of our proxy while ten million messages of 256 B pass as fast as "
                + "there is room, with what waits for a receiver that is slow for a moment (a tenth "
                + "of them with --quick)"),
        Metric(
            "branch proxy: growth over 10 million messages",
            "of the resident size when nothing passes and what waited was given back: the greatest "
                + "after the second million and those that follow, less that after the first"),
    ]

    /// Longer than the proxy waits before it gives memory back.
    private static let rest = Duration.milliseconds(1_500)

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Bed.onePair) { session in
            let endpoint = try await session.endpoint("router", of: "core")
            let process = try await session.process(of: "core")
            var sizes: [Double] = []
            let (count, parts) =
                bed.options.isQuick ? (1_000_000, 2) : (10_000_000, 10)
            for _ in 0..<parts {
                try Task.checkCancellation()
                let value = try await bed.reference(
                    "flood",
                    [
                        "proxy": endpoint, "count": "\(count / parts)",
                        "size": "256",
                    ])
                guard try value.figure("lost") == 0 else {
                    throw Bench.Failure("messages were lost")
                }
                try await Task.sleep(for: Self.rest)
                sizes.append(Bed.resident(of: process))
            }
            return [
                Row(
                    metrics[0].name, unit: "MB", ours: [Bed.residentPeak(of: process)],
                    target: .atMost(25)),
                Row(
                    metrics[1].name, unit: "MB",
                    ours: [(sizes.dropFirst().max() ?? 0) - (sizes.first ?? 0)],
                    target: .atMost(1)),
            ]
        }
    }
}
