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
        // Histories of several files are one to everybody who reads them.
        let (ending, verdict) = try Program.play(
            "scenarios/twin.yaml", in: folder, "--set", "history={max_size: 64KiB}")
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let run = "\(folder.path)/twin/\(try #require(verdict["run"]?.string))"
        let mesh = "\(run)/twin-zmq"
        let files = try FileManager.default.contentsOfDirectory(atPath: "\(mesh)/histories")
        #expect(files.contains { $0.hasSuffix(".1.3.mcap") }, "\(files)")

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
        let page = "\(folder.path)/diff.html"
        let apart = try Program.run("diff", merged, parts, "--json", "--html", page, in: folder)
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.contains("envelopes match.") && html.hasSuffix("</html>\n"))
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

    @Test(
        "A run is played again on the other transport and back, alone and as a load, and judged",
        .timeLimit(.minutes(5)))
    func replay() throws {
        let folder = try TemporaryFolder()
        let (_, verdict) = try Program.play("scenarios/twin.yaml", in: folder)
        let twin = "\(folder.path)/twin/\(try #require(verdict["run"]?.string))"
        let mesh = "\(twin)/twin-zmq"
        func play(_ arguments: String...) throws -> Value {
            let ending = try Program(
                ["replay", "--json", "--logs", folder.path] + arguments, in: folder
            ).wait()
            #expect(ending.exitCode == 0, "\(ending.errors)")
            return try Value(parsing: ending.output)
        }
        let there = try play(mesh, "--on", "nats")
        #expect(there["comparison"]?["counts"]?["match"]?.integer ?? 0 > 8_000)
        #expect(there["verdict"]?["latency"]?["nats"] != nil)
        let run = try #require(there["directory"]?.string)
        let kept = try String(contentsOfFile: "\(run)/replay.json", encoding: .utf8)
        #expect(try Value(parsing: kept) == there["comparison"])
        let back = try play(run, "--on", "zmq", "--speed", "max")
        #expect(back["comparison"]?["same"] == true)
        #expect(back["verdict"]?["latency"]?["zmq"] != nil)
        let alone = try play(
            mesh, "--alone", "echo", "--topology", "topologies/twin-mesh.yaml", "--speed", "4")
        #expect(alone["comparison"]?["counts"]?["match"] == 2_000)

        // Message by message, as far as somebody wants.
        let script = try folder.write(
            """
            printf '\\n3\\nq\\n' | '\(Program.folder)/synmesh' replay '\(mesh)' --step --logs '\(folder.path)'
            """, to: "step.sh")
        let stepped = try Program.shell(script)
        #expect(stepped.contains("1/8010"), "\(stepped)")
        #expect(stepped.components(separatedBy: "delivered to").count >= 5, "\(stepped)")
        #expect(stepped.contains("5/8010") && !stepped.contains("6/8010"))

        // An agent that answers otherwise than then is found out.
        let topology = try folder.write(
            try String(
                contentsOfFile: "\(Program.repository)/topologies/twin-mesh.yaml", encoding: .utf8
            ).replacing("  mesh:\n    kind: mesh", with: "  mesh:\n    kind: probe"),
            to: "other.yaml")
        let other = try Program.run(
            "replay", mesh, "--json", "--logs", folder.path, "--alone", "mesh", "--topology",
            topology, in: folder)
        #expect(other.exitCode == 1)
        #expect(try Value(parsing: other.output)["comparison"]?["counts"]?["missing"] == 5)

        // As the load of a scenario of one's own.
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: \(Program.repository)/topologies/twin-mesh.yaml
            steps:
              - baseline:
                  load: { pinger: { recording: \(mesh), speed: 2, until: 300ms } }
            """, to: "recorded.yaml")
        let (_, recorded) = try Program.play(scenario, in: folder)
        #expect(recorded["verdict"] == "pass")
        let sent = try #require(recorded.count("delivery", "sent"))
        #expect(sent > 1_000 && sent < 8_000)
        let wrong = try folder.write(
            """
            synmesh: 1
            topology: \(Program.repository)/topologies/twin-mesh.yaml
            steps: [ { baseline: { load: { pinger: { recording: nowhere } } } } ]
            """, to: "wrong.yaml")
        let refused = try Program.run("check", wrong, in: folder)
        #expect(refused.exitCode == 2)
        #expect(refused.output.contains("wrong.yaml:3:"), "\(refused.output)")

        let judged = try Program.run(
            "judge", mesh, "--json", "--check", "delivery", "--check", "order", "--check", "causal",
            "--check", "once:ping->echo", "--check", "clouds", "--check", "latency:p99=60s",
            "--check",
            #"command:grep -c recorded >&2 && echo '{"verdict":"pass","reason":"counted"}'"#,
            "--check", "command:exit 3", "--check", "command:kill -9 $$", in: folder)
        #expect(judged.exitCode == 1)
        let verdicts = (try Value(parsing: judged.output).array ?? []).compactMap {
            $0["verdict"]?.string
        }
        #expect(
            verdicts == Array(repeating: "pass", count: 7) + ["inconclusive", "inconclusive"],
            "\(judged.output)")

        let runs = try Program.run("runs", "--logs", folder.path, "--json", in: folder)
        let listed = try Value(parsing: runs.output).array ?? []
        #expect(listed.count == 7)
        #expect(listed.count { $0["name"] == "replay" } == 5)
        let compared = try Program.run(
            "runs", "compare", "--logs", folder.path, "--name", "replay", in: folder)
        #expect(compared.output.contains("delivered"))
        let pruned = try Program.run(
            "runs", "prune", "--logs", folder.path, "--within", "1B", "--keep", "1", in: folder)
        #expect(pruned.exitCode == 0)
        let left = try Program.run("runs", "--logs", folder.path, "--json", in: folder)
        #expect(try Value(parsing: left.output).array?.count == 3)
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

    @Test(
        "A recorded load is sent again before and after a move, and checkers judge all of it",
        .timeLimit(.minutes(2)))
    func recordedLoad() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/recorded-load.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        // Sixty messages to four receivers, then what was sent in the first second again.
        let sent = try #require(verdict.count("delivery", "delivered"))
        #expect(sent > 480 && sent < 960, "\(sent)")
        let checks = try #require(verdict["steps"]?.array).filter { $0["kind"] == "check" }
        #expect(checks.count == 6)
        #expect(checks.allSatisfy { $0["verdict"] == "pass" }, "\(checks)")

        let base = try String(
            contentsOfFile: "\(Program.repository)/scenarios/recorded-load.yaml", encoding: .utf8
        ).replacing("../topologies", with: "\(Program.repository)/topologies")
            .replacing("data/pings", with: "\(Program.repository)/scenarios/data/pings")
        // Who says no fails the run, and what was moved goes back.
        let refusing = try folder.write(
            base.replacing(
                "command:python3 checkers/answered.py",
                with: #"'command:echo "{\"verdict\":\"fail\",\"reason\":\"no\"}"'"#),
            to: "refusing.yaml")
        let (refused, failed) = try Program.play(refusing, in: folder)
        #expect(refused.exitCode == 1)
        #expect(failed["verdict"] == "fail" && failed["outcome"] == "rolled_back")
        #expect(failed["reason"]?.string?.contains("no.") == true, "\(failed.canonical)")
        // Who cannot decide is no pass.
        let crashing = try folder.write(
            base.replacing("command:python3 checkers/answered.py", with: "command:kill -9 $$"),
            to: "crashing.yaml")
        #expect(try Program.play(crashing, in: folder).verdict["verdict"] == "inconclusive")

        let wrong = try folder.write(
            base.replacing("- causal", with: "- causality"), to: "wrong.yaml")
        let diagnosed = try Program.run("check", wrong, in: folder)
        #expect(diagnosed.exitCode == 2)
        #expect(diagnosed.output.contains("'causality' is no checker"), "\(diagnosed.output)")
        let empty = try folder.write(
            "synmesh: 1\ntopology: \(Program.repository)/topologies/first-mesh.yaml\n"
                + "steps: [ { check: { checkers: [] } } ]\n", to: "empty.yaml")
        #expect(try Program.run("check", empty, in: folder).output.contains("needs a checker"))
    }

    @Test("A multiset counts repetitions, in files that another library wrote")
    func multiset() throws {
        let folder = try TemporaryFolder()
        func history(_ name: String, _ tags: String) throws -> String {
            let path = "\(folder.path)/\(name).mcap"
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.currentDirectoryURL = URL(filePath: Program.repository)
            process.arguments = [
                "python3", "Tests/EndToEndTests/alter_history.py", "scenarios/data/pings.mcap",
                path, "echo", "{\"tags\":\(tags)}",
            ]
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
            return path
        }
        let left = try history("left", #"["a","b","b"]"#)
        for (right, rule, exitCode, kind) in [
            (#"["b","a","b"]"#, "--as-multiset", 0 as Int32, "tolerated"),
            (#"["b","a"]"#, "--as-multiset", 1, "payload"),
            (#"["b","a"]"#, "--as-set", 0, "tolerated"),
        ] {
            let ending = try Program.run(
                "diff", left, history("right", right), rule, "$.tags", "--json", in: folder)
            #expect(ending.exitCode == exitCode, "\(right) \(rule): \(ending.output)")
            #expect(try Value(parsing: ending.output).count("counts", kind) == 240)
        }
    }
}
