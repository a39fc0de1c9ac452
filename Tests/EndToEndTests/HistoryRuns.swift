import Foundation
import JSON
import Testing

/// What people do with the histories of a run, by the built program.
@Suite(.serialized) struct HistoryRuns {
    /// Counts what a command prints, a line for each.
    private func lines(_ text: String) throws -> [Value] {
        try text.split(separator: "\n").map { try Value(parsing: String($0)) }
    }

    @Test(
        "A run is looked at, taken apart, put together, exported and compared with itself",
        .timeLimit(.minutes(5)))
    func tour() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/twin.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let run = "\(folder.path)/twin/\(try #require(verdict["run"]?.string))"
        let mesh = "\(run)/twin-zmq"

        let info = try Program.run("history", "info", mesh, "--json", in: folder)
        #expect(info.exitCode == 0, "\(info.errors)")
        let flows = try #require(try Value(parsing: info.output)["flows"]?.array)
        #expect(!flows.isEmpty)
        let sent = flows.reduce(0) { $0 + ($1["sent"]?.integer ?? 0) }
        let lost = flows.reduce(0) { $0 + ($1["lost"]?.integer ?? 0) }
        #expect(sent > 1_000 && lost == 0)
        let text = try Program.run("history", "info", mesh, in: folder)
        #expect(text.output.contains("delivered") && text.output.contains("p99"))

        let routes = try Program.run("history", "routes", mesh, "--json", in: folder)
        let report = try Value(parsing: routes.output)
        #expect(report["messages"]?.integer == sent)
        #expect(report["advice"]?.array?.isEmpty == false)

        let all = try Program.run("history", "cat", mesh, "--json", in: folder)
        let records = try lines(all.output)
        #expect(
            records.count == (try Value(parsing: info.output))["records"]?.integer.map(Int.init))
        let first = try #require(records.first { $0["direction"] == "sent" })
        let some = try Program.run(
            "history", "cat", mesh, "--json", "--source", first["source"]?.string ?? "",
            "--direction", "sent", "--sequence", "1-5", in: folder)
        #expect(
            try lines(some.output).allSatisfy {
                $0["source"] == first["source"] && (1...5).contains($0["sequence"]?.integer ?? 0)
            })
        #expect(try !lines(some.output).isEmpty)

        let verify = try Program.run("history", "verify", run, in: folder)
        #expect(verify.exitCode == 0, "\(verify.output)")
        #expect(verify.output.contains("sealed"))

        let merged = "\(folder.path)/merged.mcap"
        #expect(try Program.run("history", "merge", mesh, "-o", merged, in: folder).exitCode == 0)
        let parts = "\(folder.path)/parts"
        let split = try Program.run(
            "history", "split", merged, "-o", parts, "--by", "agent", in: folder)
        #expect(split.exitCode == 0, "\(split.errors)")
        let same = try Program.run("diff", mesh, merged, in: folder)
        #expect(same.exitCode == 0, "\(same.output)")
        let apart = try Program.run("diff", merged, parts, "--json", in: folder)
        #expect(apart.exitCode == 0, "\(apart.output.prefix(2_000))")

        let export = try Program.run(
            "history", "export", mesh, "-o", "\(folder.path)/export", "--validation", "0.2",
            in: folder)
        #expect(export.exitCode == 0, "\(export.errors)")
        let turns = try ["train", "validation"].map {
            try lines(
                String(contentsOfFile: "\(folder.path)/export/\($0).jsonl", encoding: .utf8)
            ).count
        }
        #expect(turns.reduce(0, +) == Int(sent))
        #expect(turns.allSatisfy { $0 > 0 })
    }

    @Test("A damaged history is said to be that, recovered, and never taken for whole")
    func damage() throws {
        let folder = try TemporaryFolder()
        let (_, verdict) = try Program.play("scenarios/twin.yaml", in: folder)
        let run = "\(folder.path)/twin/\(try #require(verdict["run"]?.string))"
        let histories = "\(run)/twin-zmq/histories"
        func size(_ name: String) -> Int {
            let attributes = try? FileManager.default.attributesOfItem(
                atPath: "\(histories)/\(name)")
            return attributes?[.size] as? Int ?? 0
        }
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: histories)
                .filter { $0.hasSuffix(".mcap") }.max { size($0) < size($1) })
        let path = "\(histories)/\(name)"
        let size = size(name)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.truncate(atOffset: UInt64(size * 2 / 3))
        try handle.close()

        let verify = try Program.run("history", "verify", path, in: folder)
        #expect(verify.exitCode == 1)
        #expect(verify.output.contains("damaged"))
        #expect(try Program.run("history", "seal", path, in: folder).exitCode == 1)
        #expect(try Program.run("history", "info", path, in: folder).exitCode == 1)
        let recovered = "\(folder.path)/recovered.mcap"
        let recover = try Program.run("history", "recover", path, recovered, in: folder)
        #expect(recover.exitCode == 0, "\(recover.errors)")
        #expect(!recover.errors.isEmpty)
        #expect(try Program.run("history", "verify", recovered, in: folder).exitCode == 0)
        // The same on both sides, and yet nobody can say so.
        let same = try Program.run(
            "diff", "\(run)/twin-zmq", "\(run)/twin-zmq", in: folder)
        #expect(same.exitCode == 1)
        #expect(same.errors.contains("left: "), "\(same.errors)")
    }

    @Test("What is no history, or not there, has its error and exit code")
    func wrong() throws {
        let folder = try TemporaryFolder()
        let text = try folder.write("not a history", to: "text.mcap")
        for place in [text, "\(folder.path)/nowhere", "/dev/null/x"] {
            for command in [["info"], ["cat"], ["routes"], ["verify"]] {
                let ending = try Program(
                    ["history"] + command + [place], in: folder
                ).wait()
                #expect(ending.exitCode == 2, "\(command) \(place): \(ending.errors)")
                #expect(!ending.errors.isEmpty)
            }
        }
        let empty = "\(folder.path)/empty"
        try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
        #expect(try Program.run("history", "info", empty, in: folder).exitCode == 2)
        #expect(
            try Program.run("history", "cat", empty, "--sequence", "9-1", in: folder).exitCode == 64
        )
        #expect(
            try Program.run("diff", empty, empty, "--ignore", "nothing", in: folder).exitCode == 64)
    }
}
