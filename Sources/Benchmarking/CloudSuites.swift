internal import JSON
internal import Scenarios

/// A point cloud of 100 MB handed to another process through our pools, beside what memory can do.
struct CloudSuite: Suite {
    let name = "clouds"

    let metrics = [
        Metric(
            "clouds: 100 MB lent, against 1 MB",
            "a slot lent, published, announced over a socket, read in place by another process and "
                + "answered; the reference is the same with 1 MB in the same pool"),
        Metric(
            "clouds: 100 MB lent, against C",
            "the same; the reference passes a descriptor of one mapped segment and knows of no "
                + "locks, readers or generations"),
        Metric(
            "clouds: 100 MB copied in",
            "the same with a copy into the slot; the reference is one copy between warm memory, in the "
                + "same process a moment before"),
        Metric(
            "clouds: 100 MB copied in and out",
            "the same with another copy by the reader; the reference is one copy"),
        Metric(
            "clouds: 100 MB copied in, digest written",
            "copied in through a pool that computes the digest of what is published; the reference "
                + "is one that computes none. Not with --quick"),
        Metric(
            "clouds: 100 MB copied in, digest verified",
            "the same where each reading compares the digest, too. Not with --quick"),
    ]

    private static let bytes = 100_000_000
    private static let topology = """
        synmesh: 1
        name: bench
        pools:
          plain: { size: 100MB, slots: 1, checksum: none }
          written: { size: 100MB, slots: 1, checksum: write }
          verified: { size: 100MB, slots: 1, checksum: verify }
        """

    private enum Side: Sendable { case pool(String, loans: Int), reference }

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Self.topology) { session in
            var sides: [Side] = [.pool(session.file(ofPool: "plain"), loans: 101), .reference]
            // Three processes a round, each with hundreds of megabytes: too much where it is to be quick.
            let digests = ["written", "verified"].filter {
                bed.wants("clouds: 100 MB copied in, digest \($0)") && !bed.options.isQuick
            }
            let count = bed.options.isQuick ? "1" : "3"
            sides += digests.map { .pool(session.file(ofPool: $0), loans: 0) }
            let samples = try await bed.alternate(sides) { side in
                switch side {
                case .pool(let file, let loans):
                    try await bed.probe(
                        "pool",
                        [
                            "pool": file, "size": "\(Self.bytes)", "count": count,
                            "loans": "\(loans)",
                        ])
                case .reference:
                    try await bed.reference(
                        "memory", ["bytes": "\(Self.bytes)", "runs": "1", "loans": "101"])
                }
            }
            var rows = try Self.rows(plain: samples[0], reference: samples[1])
            for (digest, sample) in zip(digests, samples[2...]) {
                rows.append(
                    Row(
                        "clouds: 100 MB copied in, digest \(digest)", unit: "us",
                        ours: try sample.map { try $0.middle("copy_in_us") },
                        reference: try samples[0].map { try $0.middle("copy_in_us") }))
            }
            return rows
        }
    }

    private static func rows(plain: [Value], reference: [Value]) throws -> [Row] {
        let loans = try plain.map { try $0.middle("loan_us") }
        // A copy of the same size in the same process, a moment before: nothing else is as near.
        let copies = try plain.flatMap { try $0.series("copy_us") }
        return [
            Row(
                "clouds: 100 MB lent, against 1 MB", unit: "us", ours: loans,
                reference: try plain.map { try $0.middle("small_loan_us") },
                target: .ratioAtMost(1.5)),
            Row(
                "clouds: 100 MB lent, against C", unit: "us", ours: loans,
                reference: try reference.map { try $0.middle("loan_us") },
                target: .ratioAtMost(2)),
            Row(
                "clouds: 100 MB copied in", unit: "us",
                ours: try plain.flatMap { try $0.series("copy_in_us") }, reference: copies,
                target: .ratioAtMost(1.25)),
            Row(
                "clouds: 100 MB copied in and out", unit: "us",
                ours: try plain.flatMap { try $0.series("copy_in_and_out_us") },
                reference: copies, target: .ratioAtMost(2.3)),
        ]
    }
}

/// Point clouds between two clients of the SDK: through shared memory, beside raw binary frames.
struct SharedMemorySuite: Suite {
    let name = "shared-memory"

    var metrics: [Metric] {
        Self.sizes.map { size, _, _ in
            Metric(
                Self.metric(size),
                "a cloud copied into a pool, announced through our branch proxy and read in place, "
                    + "between clients of the SDK; the reference is a C client that sends the bytes "
                    + "as a frame through a C proxy")
        } + [
            Metric(Self.absolute, "the time of the same clouds of 100 MB; no reference"),
            Metric(
                "shared memory: where it begins to pay",
                "the least size, of those that double, from which on clouds between clients of the "
                    + "SDK are quicker through a pool than inside of the message"),
        ]
    }

    /// In MB, with what the ratio must be, and how many are sent a run.
    private static let sizes = [(1, 2.0, 20), (10, 5.0, 8), (100, 10.0, 3)]
    private static let absolute = "shared memory: 100 MB through a pool"
    private static let crossover = "shared memory: where it begins to pay"
    private static let topology = """
        synmesh: 1
        name: bench
        branches:
          core: { queue: { messages: 1000, bytes: 1GiB } }
        pools:
          clouds: { size: 100MB, slots: 2, checksum: none }
        agents:
          s0: { kind: probe }
          r0: { kind: probe }
        """

    private static func metric(_ size: Int) -> String {
        "shared memory: \(size) MB against raw frames"
    }

    func measure(_ bed: Bed) async throws -> [Row] {
        try await bed.withMesh(Self.topology) { session in
            let endpoint = try await session.endpoint("router", of: "core")
            let file = session.file(ofPool: "clouds")
            var rows: [Row] = []
            try await bed.withReferenceServer("branch-proxy") { said, _ in
                for (size, ratio, count) in Self.sizes
                where bed.wants(Self.metric(size)) || size == 100 {
                    rows.append(
                        try await against(
                            said["endpoint"]?.string ?? "", bed, size, count,
                            ["endpoint": endpoint, "pool": file], target: ratio))
                }
                guard let last = rows.last else { return }
                rows.append(
                    Row(Self.absolute, unit: "us", ours: last.ours.map { 1e6 / $0 }))
            }
            if bed.wants(Self.crossover) {
                rows.append(try await crossover(bed, endpoint, file))
            }
            return rows
        }
    }

    private func against(
        _ reference: String, _ bed: Bed, _ size: Int, _ count: Int, _ words: [String: String],
        target: Double
    ) async throws -> Row {
        let bytes = "\(size * 1_000_000)"
        let samples = try await bed.alternate([true, false]) { isOurs in
            if isOurs {
                try await bed.probe(
                    "clouds", words.merging(["size": bytes, "count": "\(count)"]) { $1 }
                ).middle("cloud_us")
            } else {
                try await bed.reference(
                    "frames", ["proxy": reference, "bytes": bytes, "runs": "\(count)"]
                ).middle("frame_us")
            }
        }
        // The ratio is that of speeds, so that more is better, as the target has it.
        return Row(
            Self.metric(size), unit: "clouds/s", ours: samples[0].map { 1e6 / $0 },
            reference: samples[1].map { 1e6 / $0 }, target: .ratioAtLeast(target))
    }

    private func crossover(_ bed: Bed, _ endpoint: String, _ file: String) async throws -> Row {
        let sizes = (0..<10).map { 8_192 << $0 }
        let plain = ["endpoint": endpoint]
        let sides = [plain, plain.merging(["pool": file]) { $1 }]
        let rounds = bed.options.isQuick ? 1 : bed.rounds
        var found: [Double] = []
        for _ in 0..<rounds {
            var least = Double(sizes[sizes.count - 1] * 2)
            // From above: as long as the pool is the quicker one.
            for size in sizes.reversed() {
                try Task.checkCancellation()
                var times: [Double] = []
                for side in sides {
                    times.append(
                        try await bed.probe(
                            "clouds", side.merging(["size": "\(size)", "count": "30"]) { $1 }
                        ).middle("cloud_us"))
                }
                guard times[1] < times[0] else { break }
                least = Double(size)
            }
            found.append(least / 1_024)
        }
        return Row(Self.crossover, unit: "KiB", ours: found)
    }
}

extension Value {
    /// The numbers of a member.
    func series(_ name: String) throws -> [Double] {
        guard let numbers = self[name]?.array?.compactMap(\.double), !numbers.isEmpty else {
            throw Bench.Failure("a program did not say its '\(name)'")
        }
        return numbers
    }

    /// The median of the numbers of a member.
    func middle(_ name: String) throws -> Double { Statistics.median(try series(name)) }
}
