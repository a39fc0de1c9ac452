internal import Foundation
internal import Glibc
internal import Histories
internal import JSON
internal import Recording
internal import Threads

/// Recordings that are long: appended, sealed, looked at and compared.
struct HistoriesSuite: Suite {
    let name = "histories"

    /// Deliveries of each side, in millions.
    private static let sizes = [1, 5, 10]
    /// Planted differences of each class.
    private static let planted = 100

    private static func diffName(_ millions: Int) -> String {
        "histories: diff of \(millions) million and \(millions) million"
    }

    let metrics =
        [
            Metric(
                "histories: append, 300 B",
                "one history of 300 B records as fast as it takes them, each safe from a kill when the "
                    + "call returns; the reference appends as many bytes through a buffer of 64 KiB in C, "
                    + "where a kill loses what is in the buffer"),
            Metric(
                "histories: append, against SQLite",
                "the same beside rows of 300 B in SQLite from C, write-ahead log, 1,000 a transaction"
            ),
            Metric(
                "histories: seal",
                "sealing a history of ten million records, with its summary, read back and forced to the "
                    + "disk; the reference reads every record of the file, as 'history verify' does"
            ),
        ]
        + sizes.map {
            Metric(
                diffName($0),
                "two recordings that differ in \(planted) places of each of nine classes, a twentieth "
                    + "of the size with --quick")
        } + [
            Metric(
                "histories: differences told wrong",
                "of all planted ones those that were not found in their class, and any others"),
            Metric("histories: diff, resident at most", "of the largest of them"),
            Metric("histories: info, sealed", "of ten million records in four sealed files"),
            Metric(
                "histories: info, not sealed",
                "of the same files before they were sealed, from the disk; the reference reads their bytes "
                    + "in C, from the disk too"),
        ]

    func measure(_ bed: Bed) async throws -> [Row] {
        let folder = bed.options.logs + "/bench-histories-\(getpid())"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var rows: [Row] = []
        if bed.wants(metrics[0].name) || bed.wants(metrics[1].name) {
            rows += try await append(bed, folder)
        }
        rows += try await compare(bed, folder)
        return rows
    }

    private func append(_ bed: Bed, _ folder: String) async throws -> [Row] {
        let count = "\(bed.scaled(1_000_000))"
        // What a message of 260 bytes takes in the file, its header and fields included, is 296.
        let samples = try await bed.alternate(["records", "append", "sqlite"], quickly: 1) { role in
            let path = "\(folder)/\(role)"
            defer {
                for end in ["", "-wal", "-shm"] {
                    try? FileManager.default.removeItem(atPath: path + end)
                }
            }
            guard role == "records" else {
                return try await bed.reference(
                    role, ["path": path, "count": count, "size": "304"]
                ).figure("per_second")
            }
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
            return try await bed.probe(
                role, ["history": path, "count": count, "size": "268"]
            ).figure("per_second")
        }
        return [
            Row(
                metrics[0].name, unit: "1/s", ours: samples[0], reference: samples[1],
                target: .ratioAtLeast(0.4)),
            Row(
                metrics[1].name, unit: "1/s", ours: samples[0], reference: samples[2],
                target: .ratioAtLeast(3)),
        ]
    }

    private func compare(_ bed: Bed, _ folder: String) async throws -> [Row] {
        var (diffs, resident, wrong): ([Int: Double], Double, Double) = ([:], 0, 0)
        var rows: [Row] = []
        for millions in Self.sizes {
            let count = millions * (bed.options.isQuick ? 50_000 : 1_000_000)
            let recordings = PlantedRecordings(
                count: count, planted: bed.options.isQuick ? 10 : Self.planted)
            let sides = ["\(folder)/left", "\(folder)/right"]
            try await onDedicatedThread(named: "plant") {
                try recordings.write(to: sides[0], isRight: false)
                try recordings.write(to: sides[1], isRight: true)
                // What the disk still writes would be measured with the rest.
                sync()
            }
            let outcome = try await Self.run(
                ["diff", "--json"] + PlantedRecordings.ruleArguments + sides)
            diffs[millions] = outcome.seconds
            resident = max(resident, outcome.residentMegabytes)
            wrong += Self.wrong(recordings, outcome.output)
            rows.append(
                Row(
                    Self.diffName(millions), unit: "s", ours: [outcome.seconds],
                    target: millions == 10 ? .atMost(20) : .none))
            if millions == Self.sizes.last { rows += try await look(bed, sides[0]) }
            for side in sides { try FileManager.default.removeItem(atPath: side) }
        }
        rows.append(
            Row(
                "histories: differences told wrong", unit: "", ours: [wrong], target: .atMost(0)))
        rows.append(
            Row(
                "histories: diff, resident at most", unit: "MB", ours: [resident],
                target: .atMost(300)))
        return rows
    }

    /// Info and sealing of one side.
    private func look(_ bed: Bed, _ side: String) async throws -> [Row] {
        let paths = try HistoryFiles(side).paths
        var reading = 0.0
        for path in paths {
            reading += try await bed.reference("read", ["path": path]).figure("seconds")
        }
        let live = try await Self.run(["history", "info", side])
        let verify = try await Self.run(["history", "verify", side])
        let seal = try await Self.run(["history", "seal", side])
        let sealed = try await Self.run(["history", "info", side])
        return [
            Row(
                "histories: seal", unit: "1/s", ours: [1 / seal.seconds],
                reference: [1 / verify.seconds], target: .ratioAtLeast(0.3)),
            Row(
                "histories: info, sealed", unit: "s", ours: [sealed.seconds],
                target: .atMost(0.5)),
            Row(
                "histories: info, not sealed", unit: "s", ours: [live.seconds],
                reference: [reading], target: .ratioAtMost(1.5)),
        ]
    }

    /// How many planted differences are missing in their class, and how many others there are.
    private static func wrong(_ recordings: PlantedRecordings, _ output: Value?) -> Double {
        guard let counts = output?["counts"] else { return .infinity }
        return PlantedRecordings.Kind.allCases.reduce(0) { wrong, kind in
            let found = Int(counts[kind.rawValue]?.integer ?? 0)
            return wrong + Double(abs(found - (recordings.expected[kind] ?? 0)))
        }
    }

    private struct Outcome: Sendable {
        let seconds: Double
        let residentMegabytes: Double
        let output: Value?
    }

    /// Runs this program again, and says how long it took and how large it was.
    private static func run(_ arguments: [String]) async throws -> Outcome {
        try await onDedicatedThread(named: "run") {
            let output = try FileManager.default.url(
                for: .itemReplacementDirectory, in: .userDomainMask,
                appropriateFor: URL(filePath: "/tmp"), create: true)
            defer { try? FileManager.default.removeItem(at: output) }
            let path = output.path + "/output"
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT, 0o600)
            let program = try Bed.program("synmesh")
            var words = ([program] + arguments).map { strdup($0) } + [nil]
            defer { for word in words { free(word) } }
            var process: pid_t = 0
            let began = ContinuousClock.now
            let code = posix_spawn(&process, program, &actions, nil, &words, environ)
            guard code == 0 else { throw Bench.Failure("synmesh \(arguments[0]) did not start") }
            var (status, usage) = (Int32(0), rusage())
            while wait4(process, &status, 0, &usage) < 0, errno == EINTR {}
            let duration = ContinuousClock.now - began
            // Differences are what is to be found: 1 is as good as 0.
            guard status == 0 || status == 256 else {
                throw Bench.Failure("'synmesh \(arguments.joined(separator: " "))' failed")
            }
            let seconds =
                Double(duration.components.seconds)
                + Double(duration.components.attoseconds) / 1e18
            return Outcome(
                seconds: seconds, residentMegabytes: Double(usage.ru_maxrss) / 1_000,
                output: (try? Data(contentsOf: URL(filePath: path))).flatMap {
                    try? Value(parsing: Array($0))
                })
        }
    }
}
