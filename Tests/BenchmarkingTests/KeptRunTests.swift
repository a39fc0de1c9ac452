import Foundation
import JSON
import Testing

@testable import Benchmarking

@Suite("Kept runs")
struct KeptRunTests {
    static func run(_ value: Double = 1) -> KeptRun {
        KeptRun(
            [
                Row(
                    "rate", unit: "1/s", ours: [value, value * 1.1], reference: [1, 1],
                    target: .ratioAtLeast(0.9)),
                Row("lost", unit: "messages", ours: [0], target: .atMost(0)),
                Row("seen", unit: "MB", ours: [12_345.5]),
            ], version: "0.1.0", isQuick: true)
    }

    private func withFolder(_ body: (ResultsFolder, String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.path + "/bench-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(ResultsFolder(path), path)
    }

    @Test("what is kept is read back as it was")
    func roundTrip() throws {
        let run = Self.run()
        let value = try Value(parsing: Array(run.json.canonical.utf8))
        let read = try KeptRun(value, number: 3, path: "x.json")
        #expect(read.json == run.json)
        #expect(read.number == 3)
        #expect(read.host == run.host)
        #expect(read.rows.map(\.target) == run.rows.map(\.target))
    }

    @Test("runs are numbered, and found by number, by last and by path")
    func names() throws {
        try withFolder { folder, path in
            var files: [String] = []
            for value in [1.0, 2, 3] { files.append(try folder.keep(Self.run(value))) }
            #expect(folder.runs().runs.map(\.number) == [1, 2, 3])
            #expect(folder.runs().problems.isEmpty)
            func first(_ name: String) throws -> [Double] {
                try folder.runs(named: name).map { $0.rows[0].ours[0] }
            }
            #expect(try first("last") == [3])
            #expect(try first("last-2") == [1])
            #expect(try first("2") == [2])
            #expect(try first("1,last") == [1, 3])
            #expect(try first(files[1]) == [2])
            for name in ["4", "0", "last-3", "last-x", "", ",", "\(path)/none.json"] {
                #expect(throws: Bench.Failure.self, "\(name)") { try folder.runs(named: name) }
            }
        }
    }

    @Test("a number that is taken is not given twice, and nothing but runs is left")
    func numbers() throws {
        try withFolder { folder, path in
            _ = try folder.keep(Self.run())
            try FileManager.default.moveItem(
                atPath: try #require(
                    FileManager.default.contentsOfDirectory(atPath: path).first.map {
                        "\(path)/\($0)"
                    }),
                toPath: "\(path)/0007-renamed.json")
            _ = try folder.keep(Self.run())
            #expect(folder.runs().runs.map(\.number) == [7, 8])
            #expect(try FileManager.default.contentsOfDirectory(atPath: path).count == 2)
        }
    }

    @Test(
        "a file that is no kept run is named, and the others are read",
        arguments: [
            ("{", "not JSON"), ("[]", "no kept run"), (#"{"synmesh_bench":2}"#, "format is 2"),
            (#"{"synmesh_bench":1,"rows":[]}"#, "date"),
            (#"{"synmesh_bench":1,"date":"2026-11-24T15:02:11Z"}"#, "rows"),
            (
                #"{"synmesh_bench":1,"date":"2026-11-24T15:02:11Z","rows":[{"metric":"a"}]}"#,
                "row 1"
            ),
        ])
    func broken(_ text: String, _ reason: String) throws {
        try withFolder { folder, path in
            _ = try folder.keep(Self.run())
            try text.write(toFile: "\(path)/0002-x.json", atomically: true, encoding: .utf8)
            let (runs, problems) = folder.runs()
            #expect(runs.count == 1)
            #expect(problems.count == 1)
            #expect(problems.first?.contains(reason) == true, "\(problems)")
        }
    }

    @Test(
        "a target is read as it is written",
        arguments: [
            Row.Target.ratioAtLeast(0.9), .ratioAtMost(1.15), .atLeast(20_000), .atMost(0), .none,
        ])
    func targets(_ target: Row.Target) {
        #expect(Row.Target(text: target.description) == target)
    }

    @Test("nonsense is no target", arguments: ["fast", "> 3", ">= x", "<= "])
    func nonsense(_ text: String) { #expect(Row.Target(text: text) == nil) }
}
