import Foundation
import JSON
import Testing

/// The suites of `synmesh bench` that run programs of their own, at the smallest size.
///
/// No figure is judged: this is a debug build.
@Suite("synmesh bench: memory, recording and the seed's Python", .serialized)
struct BenchSuiteRuns {
    @Test(
        "what the programs print becomes rows, ours beside the reference", .timeLimit(.minutes(2)))
    func rows() throws {
        let folder = try TemporaryFolder()
        let metrics = [
            "clouds: 100 MB lent, against C", "shared memory: 1 MB against raw frames",
            "recording: processor time at 20,000/s", "recording: throughput at saturation",
            "recording: records a second", "seed's Python: throughput, 256 B",
            "seed's Python: one way, p50", "seed's Python: 1 MB cloud",
        ]
        let program = try Program(
            ["bench", "--quick", "--runs", "1", "--json", "--no-keep", "--logs", folder.path]
                + metrics.flatMap { ["--only", $0] },
            in: folder)
        let ending = try program.wait(atMost: .seconds(100))
        // Whether a target is met says nothing here.
        #expect([0, 1].contains(ending.exitCode), "\(ending.errors)")
        let rows = try #require(try Value(parsing: ending.output).array)
        #expect(rows.compactMap { $0["metric"]?.string } == metrics)
        for row in rows where row["metric"] != "recording: processor time at 20,000/s" {
            #expect((row["ours"]?.double ?? 0) > 0, "\(row)")
            #expect((row["reference"]?.double ?? 0) > 0, "\(row)")
            #expect((row["ratio"]?.double ?? 0) > 0, "\(row)")
        }
        // Histories of millions of records are not left behind.
        let left = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        #expect(!left.contains { $0.contains("bench/s0.") || $0.contains("records.") })
    }

    @Test(
        "a measuring client that cannot measure says why, and prints no figure",
        arguments: [
            (["pool"], 64, "usage"),
            (["pool", "--pool", "/dev/shm/synmesh-is-not-there"], 70, "synmesh-is-not-there"),
            (["pool", "--pool", "/dev/null"], 70, "no pool"),
            (["clouds", "--count", "3"], 64, "usage"),
            (["records"], 70, "--history"),
            (["throughput", "--endpoint", "tcp://127.0.0.1:1", "--rate", "0"], 64, "usage"),
        ])
    func refused(words: [String], code: Int32, reason: String) throws {
        let process = Process()
        process.executableURL = URL(filePath: Program.folder + "/synmesh-probe")
        process.arguments = words
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let said = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == code)
        #expect(said.contains(reason), "\(said)")
        #expect(!said.contains("_us"))
    }
}
