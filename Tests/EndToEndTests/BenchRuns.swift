import Foundation
import Glibc
import JSON
import Testing

/// `synmesh bench` through the built program, at the smallest size.
///
/// No figure is judged: this is a debug build.
@Suite("synmesh bench", .serialized)
struct BenchRuns {
    @Test("a run says what was measured against what, loses nothing, and is kept")
    func measure() throws {
        let folder = try TemporaryFolder()
        let kept = "\(folder.path)/kept"
        let ending = try Program.run(
            "bench", "--quick", "--runs", "1", "--json", "--only", "topic proxy: ",
            "--only", "seed: throughput", "--results", kept, "--logs", folder.path, in: folder)
        // Whether a target is met says nothing here.
        #expect([0, 1].contains(ending.exitCode), "\(ending.errors)")
        #expect(ending.errors.contains("debug build"))
        let rows = try #require(try Value(parsing: ending.output).array)
        #expect(
            rows.compactMap { $0["metric"]?.string } == [
                "seed: throughput", "topic proxy: deliveries, 1 subscriber",
                "topic proxy: lost, 1 subscriber", "topic proxy: deliveries, 8 subscribers",
                "topic proxy: lost, 8 subscribers",
            ])
        for row in rows {
            let names = Set((row.object ?? [:]).keys)
            #expect(
                names == [
                    "metric", "unit", "ours", "reference", "ratio", "target", "met", "runs",
                ])
            guard row["metric"]?.string?.contains("lost") == true else { continue }
            #expect(row["ours"] == 0)
            #expect(row["met"] == true)
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: kept)
        #expect(files.count == 1)
        let file = try #require(files.first)
        #expect(file.hasPrefix("0001-"))
        let run = try Value(parsing: String(contentsOfFile: "\(kept)/\(file)", encoding: .utf8))
        #expect(run["rows"]?.array == rows)
        #expect(run["quick"] == true)
        #expect(run["debug"] == true)
        for name in ["libzmq", "libnats", "nats-server"] {
            #expect(run.at("host", "versions", name)?.string?.contains(".") == true)
        }
    }

    /// Two kept runs of which the second is slower, in a folder.
    private func keptRuns(in folder: TemporaryFolder) throws -> String {
        let kept = "\(folder.path)/kept"
        try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
        for (number, level) in [(1, 1.0), (2, 0.7)] {
            let ours = [0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03].map { "\($0 * level)" }
            let runs = ours.joined(separator: ",")
            _ = try folder.write(
                """
                {"synmesh_bench":1,"date":"2026-11-0\(number)T12:00:00Z","synmesh":"0.1.0","quick":false,\
                "debug":false,"host":{},"rows":[{"metric":"rate","unit":"1/s","target":">= 0.9x",\
                "runs":{"ours":[\(runs)],"reference":[1,1,1,1,1,1,1]}}]}
                """, to: "kept/000\(number)-x.json")
        }
        return kept
    }

    @Test("compare ends with 1 only where something got worse beyond the threshold")
    func compare() throws {
        let folder = try TemporaryFolder()
        let kept = try keptRuns(in: folder)
        let worse = try Program.run("bench", "compare", "1", "last", "--results", kept, in: folder)
        #expect(worse.exitCode == 1, "\(worse.errors)")
        #expect(worse.output.contains("worse"))
        let better = try Program.run(
            "bench", "compare", "last", "last-1", "--json", "--results", kept, in: folder)
        #expect(better.exitCode == 0)
        #expect(try Value(parsing: better.output).array?.first?["verdict"] == "better")
        let lenient = try Program.run(
            "bench", "compare", "1", "2", "--threshold", "60%", "--results", kept, in: folder)
        #expect(lenient.exitCode == 0)
        #expect(lenient.output.contains("no difference"))
        let missing = try Program.run("bench", "compare", "1", "9", "--results", kept, in: folder)
        #expect(missing.exitCode == 2)
        #expect(missing.errors.contains("run 9"))
    }

    @Test("trend prints a table and writes a picture")
    func trend() throws {
        let folder = try TemporaryFolder()
        let kept = try keptRuns(in: folder)
        let picture = "\(folder.path)/trend.svg"
        let ending = try Program.run(
            "bench", "trend", "--svg", picture, "--results", kept, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(ending.output.contains(">= 0.9x"))
        let svg = try String(contentsOfFile: picture, encoding: .utf8)
        #expect(svg.hasPrefix("<svg "))
        let nothing = try Program.run(
            "bench", "trend", "nonsense", "--results", kept, in: folder)
        #expect(nothing.exitCode == 2)
    }

    @Test("what is called wrongly is named, with what there is")
    func names() throws {
        let folder = try TemporaryFolder()
        let unknown = try Program.run("bench", "--only", "nonsense", in: folder)
        #expect(unknown.exitCode == 3)
        #expect(unknown.errors.contains("branch-proxy"))
        let list = try Program.run("bench", "--list", in: folder)
        #expect(list.exitCode == 0)
        #expect(list.output.contains("branch proxy: one way, p99"))
    }

    @Test("Ctrl-C ends a run, leaves no process behind and keeps nothing")
    func interrupted() throws {
        let folder = try TemporaryFolder()
        let kept = "\(folder.path)/kept"
        let program = try Program(
            ["bench", "--only", "branch-proxy", "--results", kept, "--logs", folder.path],
            in: folder)
        // The proxy runs when its log is there.
        try program.poll(atMost: .seconds(60), "the mesh") {
            let logs = (try? FileManager.default.subpathsOfDirectory(atPath: folder.path)) ?? []
            return logs.contains { $0.contains("/processes/core") }
        }
        let run = try CommandRuns.run(in: folder, "bench")
        kill(program.process.processIdentifier, SIGINT)
        let ending = try program.wait(atMost: .seconds(60))
        #expect(ending.exitCode == 130, "\(ending.errors)")
        #expect(survivors(of: run) == [])
        #expect(!FileManager.default.fileExists(atPath: kept))
    }
}
