import Foundation
import JSON
import Testing

/// Every shipped scenario, played through the built program.
@Suite(.serialized) struct ScenarioRuns {
    static let zeroClasses = [
        "lost", "duplicated", "reordered", "late", "corrupted", "unexpected",
    ]

    static func expectClean(_ verdict: Value, sourceLocation: SourceLocation = #_sourceLocation) {
        for name in zeroClasses {
            #expect(verdict.count("delivery", name) == 0, "\(name)", sourceLocation: sourceLocation)
        }
        expectNoLeaks(verdict, sourceLocation: sourceLocation)
    }

    static func expectNoLeaks(
        _ verdict: Value, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for name in ["processes", "ports", "sockets", "segments", "files"] {
            #expect(verdict.count("leaks", name) == 0, "\(name)", sourceLocation: sourceLocation)
        }
    }

    @Test("the first rehearsal is promoted, with every class at zero", .timeLimit(.minutes(5)))
    func firstRehearsal() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/first-rehearsal.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass")
        #expect(verdict["outcome"] == "promoted")
        Self.expectClean(verdict)
        #expect(try #require(verdict.count("delivery", "sent")) > 20_000)
        for name in ["payload", "missing", "extra", "duplicate", "reordered"] {
            #expect(verdict.count("comparison", name) == 0, "\(name)")
        }
        #expect(try #require(verdict.count("comparison", "match")) > 1_000)
        #expect(verdict["steps"]?.array?.count == 10)
        #expect(verdict["moves"]?.array?.count == 7)

        let run = folder.latest("first-rehearsal")
        for file in ["topology.yaml", "scenario.yaml", "seed", "junit.xml", "events.jsonl"] {
            #expect(FileManager.default.fileExists(atPath: "\(run)/\(file)"), "\(file)")
        }
        let report = try Program.run("report", run, in: folder)
        #expect(report.exitCode == 0)
        #expect(report.output.contains("promoted"))
        // The clouds of 20 MB arrived whole, before and after.
        let clouds = try Self.clouds(of: "mesh", in: run)
        #expect(clouds.count > 2)
        #expect(clouds.allSatisfy { $0["points"] == 1_700_000 })
    }

    @Test(
        "a corrupt canary is named, rolled back, and exits as the scenario expects",
        .timeLimit(.minutes(5)), arguments: [true, false])
    func corruptCanary(isExpected: Bool) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "corrupt-canary", replacing: isExpected ? [] : [("expect: [fail, rolled_back]\n", "")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == (isExpected ? 0 : 1), "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        #expect(verdict["outcome"] == "rolled_back")
        let corrupted = try #require(verdict.count("delivery", "corrupted"))
        #expect(corrupted > 0)
        let findings = (verdict["findings"]?.array ?? []).filter { $0["class"] == "corrupted" }
        #expect(findings.count == Int(corrupted))
        for finding in findings {
            #expect(finding["flow"] == "echo -> pinger")
            #expect(finding["sequence"]?.integer != nil)
            #expect(finding["path"]?.string?.hasPrefix("$") == true)
        }
        #expect(verdict.count("delivery", "lost") == 0)
        let moves = verdict["moves"]?.array ?? []
        #expect(moves.map { $0["to"]?.string } == ["nats", "zmq"])
        Self.expectNoLeaks(verdict)
    }

    @Test(
        "a dead broker rolls the canary back, and every envelope it took is accounted for",
        .timeLimit(.minutes(5)))
    func brokerDies() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/broker-dies.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        #expect(verdict["outcome"] == "rolled_back")
        let lost = try #require(verdict.count("delivery", "lost"))
        #expect(verdict.count("delivery", "unexplained", "lost") == 0)
        #expect(verdict.count("delivery", "explained", "lost") == lost)
        let findings = (verdict["findings"]?.array ?? []).filter { $0["class"] == "lost" }
        #expect(findings.count == Int(lost))
        #expect(findings.allSatisfy { $0["fault"] == "kill-1" })
        for name in ["duplicated", "corrupted", "unexpected"] {
            #expect(verdict.count("delivery", name) == 0, "\(name)")
        }
        #expect(verdict["rollback_ms"]?.integer != nil)
        Self.expectNoLeaks(verdict)
    }

    @Test("there and back again, with a frozen agent on the way", .timeLimit(.minutes(5)))
    func thereAndBack() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/there-and-back.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass", "\(verdict["reason"]?.string ?? "")")
        #expect(verdict["outcome"] == "rolled_back")
        Self.expectClean(verdict)
        #expect(verdict["faults"]?.array?.count == 1)
    }

    @Test(
        "what killed processes took is explained by their faults, and nothing else is missing",
        .timeLimit(.minutes(5)))
    func restarts() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/restarts.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass")
        for name in Self.zeroClasses where name != "unexpected" {
            #expect(verdict.count("delivery", "unexplained", name) == 0, "\(name)")
        }
        #expect(verdict.count("delivery", "unexpected") == 0)
        #expect(verdict["faults"]?.array?.count == 3)
        #expect((verdict["faults"]?.array ?? []).allSatisfy { $0["healed_ms"]?.integer != nil })
        Self.expectNoLeaks(verdict)
    }

    @Test("twins with one seed match, with two they do not", .timeLimit(.minutes(5)))
    func twins() throws {
        let folder = try TemporaryFolder()
        var runs: [String] = []
        for seed in ["5", "5", "6"] {
            let (ending, verdict) = try Program.play(
                "scenarios/twin.yaml", in: folder, "--seed", seed)
            #expect(ending.exitCode == 0, "\(ending.errors)")
            let total = try #require(verdict.count("comparison", "match"))
            #expect(total > 4_000)
            for name in ["payload", "missing", "extra", "duplicate", "reordered"] {
                #expect(verdict.count("comparison", name) == 0, "\(name)")
            }
            let run = try #require(verdict["run"]?.string)
            runs.append("\(folder.path)/twin/\(run)")
        }
        let same = try Program.run("diff", runs[0], runs[1], "--json", in: folder)
        #expect(same.exitCode == 0, "\(same.output.prefix(2_000))")
        let other = try Program.run("diff", runs[0], runs[2], "--json", in: folder)
        #expect(other.exitCode == 1)
    }

    @Test(
        "a PLY of the user's comes out at the mesh the same, before and after the canary",
        .timeLimit(.minutes(5)), arguments: ["terrain-binary.ply", "torus-ascii.ply"])
    func pointCloud(file: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "point-cloud", replacing: [], inTopology: [("terrain-binary.ply", file)])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        Self.expectClean(verdict)
        let run = folder.latest("point-cloud")
        let clouds = try Self.clouds(of: "mesh", in: run)
        #expect(clouds.count >= 9)
        #expect(Set(clouds.map { $0["digest"] }).count == 1)
        #expect(Set(clouds.map { $0["points"] }).count == 1)
        let box = try #require(Set(clouds.map { $0["bounding_box"] }).first ?? nil)
        #expect(Set(clouds.map { $0["bounding_box"] }).count == 1)
        // What software that is not ours reads in the same file.
        let read = try Self.readByPlyfile("\(Program.repository)/scenarios/data/\(file)")
        #expect(clouds.first?["points"] == read["points"])
        #expect(box == read["bounding_box"])
    }

    /// Count and bounding box of a PLY file, by Python's `plyfile`.
    private static func readByPlyfile(_ path: String) throws -> Value {
        let script = """
            import json, sys
            from plyfile import PlyData
            v = PlyData.read(sys.argv[1])["vertex"]
            box = lambda end: [float(end(v[axis])) for axis in "xyz"]
            print(json.dumps({"points": v.count, "bounding_box": {
                "minimum": box(min), "maximum": box(max)}}))
            """
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return try #require(
            try? Value(parsing: Array(output)), "python3 cannot use plyfile: run `make deps`")
    }

    @Test(
        "each zero has its control: a planted defect is caught as what it is",
        .timeLimit(.minutes(5)),
        arguments: [
            ("lose", "lost"), ("repeat", "duplicated"), ("swap", "reordered"),
            ("alter", "corrupted"),
        ])
    func controls(defect: String, expected: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "corrupt-canary", replacing: [("expect: [fail, rolled_back]\n", "")],
            inTopology: [("alter: 1000, on: nats", "\(defect): 1000, on: nats")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        if defect == "repeat" || defect == "swap" {
            // The receiver's rule undoes these: they are dropped or put in order, and counted.
            #expect(ending.exitCode == 0, "\(ending.errors)")
            Self.expectClean(verdict)
        } else {
            #expect(ending.exitCode == 1, "\(ending.errors)")
            #expect(try #require(verdict.count("delivery", expected)) > 0)
        }
    }

    @Test("a program that speaks only the seed's wire takes part", .timeLimit(.minutes(5)))
    func seedAgents() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/seed-agents.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        Self.expectClean(verdict)
        #expect(verdict.count("delivery", "delivered") == 2_000)
    }

    @Test("a dual run compares every envelope of its load", .timeLimit(.minutes(5)))
    func dual() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/dual.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        Self.expectClean(verdict)
        #expect(verdict.count("comparison", "match") == 4_000)
    }

    @Test(
        "each zero of a comparison has its control: a defect of the shadow is in its class",
        .timeLimit(.minutes(5)),
        arguments: [
            ("lose", "missing"), ("repeat", "duplicate"), ("swap", "reordered"),
            ("alter", "payload"),
        ])
    func shadowControls(defect: String, expected: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "dual", replacing: [("expect: completed\n", "")],
            inTopology: [("alter: 1000, on: nats", "\(defect): 400, lane: shadow")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        for name in ["missing", "duplicate", "reordered", "payload", "extra", "late"] {
            let count = try #require(verdict.count("comparison", name))
            #expect(count == (name == expected ? 2 : 0), "\(name)")
        }
        // The primary lane, which is acted on, is untouched.
        Self.expectClean(verdict)
    }

    /// Every cloud that an agent reported, over all steps, once each.
    static func clouds(of agent: String, in run: String) throws -> [Value] {
        let text = try String(contentsOfFile: "\(run)/results.json", encoding: .utf8)
        let steps = try Value(parsing: text).array ?? []
        let clouds = steps.flatMap { $0.at("agents", agent, "clouds")?.array ?? [] }
        return Array(Set(clouds))
    }
}
