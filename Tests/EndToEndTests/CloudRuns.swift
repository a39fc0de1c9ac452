import Foundation
import Glibc
import JSON
import Testing

/// Point clouds through shared memory, in the built program.
@Suite(.serialized) struct CloudRuns {
    /// The pools of a verdict, by name.
    private static func pools(_ verdict: Value) -> [String: Value] {
        let pools = verdict["pools"]?.array ?? []
        return Dictionary(pools.map { ($0["name"]?.string ?? "", $0) }) { first, _ in first }
    }

    private static func segments(of run: String?) -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/shm")) ?? []
        return files.filter { $0.contains(run ?? "no run") }
    }

    @Test(
        "clouds that NATS would not carry are promoted through shared memory, and twins match",
        .timeLimit(.minutes(5)))
    func promoted() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/cloud-pool.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["outcome"] == "promoted")
        ScenarioRuns.expectClean(verdict)
        for name in ["payload", "missing", "extra", "duplicate", "reordered", "undecidable"] {
            #expect(verdict.count("comparison", name) == 0, "\(name)")
        }
        let pools = Self.pools(verdict)
        #expect(pools.keys.sorted() == ["clouds", "twin-nats.clouds", "twin-zmq.clouds"])
        for (name, pool) in pools {
            let loans = try #require(pool.count("loans"))
            #expect(loans >= 40, "\(name)")
            // Written once, read by both meshes, never copied: no other content was delivered.
            #expect(pool.count("reads") == 2 * loans, "\(name)")
            for nothing in ["expired", "unread", "reclaimed", "corrupted", "refused"] {
                #expect(pool.count(nothing) == 0, "\(name) \(nothing)")
            }
        }
        let clouds = try ScenarioRuns.clouds(of: "mesh-1", in: folder.latest("cloud-pool"))
        #expect(clouds.count == 320)
        #expect(clouds.allSatisfy { $0["points"] == 100_000 })
        #expect(Self.segments(of: verdict["run"]?.string) == [])
    }

    @Test("twins with one seed match, with another one they do not", .timeLimit(.minutes(5)))
    func seeds() throws {
        let folder = try TemporaryFolder()
        let steps = [
            ("  - baseline: { load: { camera: { count: 20, rate: 20 } } }\n", ""),
            ("  - parallel_run: { mode: dual, load: { camera: { count: 20, rate: 20 } } }\n", ""),
            ("  - canary: { agent: mesh, load: { camera: { count: 30, rate: 20 } } }\n", ""),
            ("  - rollout: { load: { camera: { count: 20, rate: 20 } } }\n", ""),
            ("  - cutover: { load: { camera: { count: 20, rate: 20 } } }\n", ""),
            ("expect: promoted", "expect: completed"), ("count: 20", "count: 8"),
        ]
        let scenario = try folder.scenario("cloud-pool", replacing: steps)
        var runs: [String] = []
        for seed in ["5", "5", "6"] {
            let (ending, verdict) = try Program.play(scenario, in: folder, "--seed", seed)
            #expect(ending.exitCode == 0, "\(ending.errors)")
            #expect(verdict.count("comparison", "match") == 128)
            let run = try #require(verdict["run"]?.string)
            runs.append("\(folder.path)/cloud-pool/\(run)")
        }
        // Other slots and other generations, the same clouds.
        let same = try Program.run("diff", runs[0], runs[1], "--json", in: folder)
        #expect(same.exitCode == 0, "\(same.output.prefix(2_000))")
        let other = try Program.run("diff", runs[0], runs[2], "--json", in: folder)
        #expect(other.exitCode == 1)
    }

    @Test(
        "a content altered in shared memory fails where digests are compared, and passes nowhere",
        .timeLimit(.minutes(5)), arguments: ["verify", "write", "none"])
    func altered(checksum: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "corrupt-memory", replacing: [("expect: [fail, aborted]\n", "")],
            inTopology: [("slots: 8, checksum: verify", "slots: 8, checksum: \(checksum)")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        ScenarioRuns.expectNoLeaks(verdict)
        #expect(verdict.count("delivery", "lost") == 0)
        guard checksum == "verify" else {
            #expect(verdict["verdict"] == "inconclusive")
            #expect(verdict["reason"]?.string?.contains("checksum: verify") == true)
            return
        }
        #expect(verdict["verdict"] == "fail")
        #expect(verdict.count("delivery", "corrupted") == 12)
        #expect(verdict.count("delivery", "unexplained", "corrupted") == 12)
        let findings = (verdict["findings"]?.array ?? []).filter { $0["class"] == "corrupted" }
        #expect(
            Set(findings.compactMap { $0["sequence"]?.integer }) == [10, 20, 30, 40, 50, 60])
        #expect(
            Set(findings.compactMap { $0["receiver"]?.string }) == ["mesh-1", "mesh-2"])
        #expect(Self.pools(verdict)["clouds"]?.count("corrupted") == 12)
    }

    /// One step of the shipped scenario, and a pool of another shape.
    private static func baseline(
        _ folder: TemporaryFolder, pool: String, transport: String = "zmq"
    ) throws -> String {
        try folder.scenario(
            "cloud-pool",
            replacing: [
                (
                    "  - parallel_run: { mode: twin, load: { camera: { count: 20, rate: 20 } } }\n",
                    ""
                ),
                (
                    "  - parallel_run: { mode: dual, load: { camera: { count: 20, rate: 20 } } }\n",
                    ""
                ),
                ("  - canary: { agent: mesh, load: { camera: { count: 30, rate: 20 } } }\n", ""),
                ("  - rollout: { load: { camera: { count: 20, rate: 20 } } }\n", ""),
                ("  - cutover: { load: { camera: { count: 20, rate: 20 } } }\n", ""),
                ("expect: promoted\n", ""), ("count: 20, rate: 20", "count: 6"),
            ],
            inTopology: [
                ("size: 2MB, slots: 16, wait: 2s", pool),
                ("  camera:\n", "  camera:\n    transport: \(transport)\n"),
            ])
    }

    @Test(
        "a pool that is too small is no pass, and says so", .timeLimit(.minutes(5)),
        arguments: [
            // The cameras are faster than the meshes read.
            ("size: 2MB, slots: 1, wait: 0s", "zmq", "no slot of the pool 'clouds' was free"),
            // Slots that the clouds of this threshold do not fit.
            ("size: 1MB, slots: 16", "zmq", "a slot has 1000000"),
            // The way round the pool is no way on NATS.
            (
                "size: 1MB, slots: 16, when_full: direct", "nats",
                "of which the server carries at most 65536 (max_payload)"
            ),
        ])
    func tooSmall(pool: String, transport: String, reason: String) throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play(
            try Self.baseline(folder, pool: pool, transport: transport), in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "inconclusive")
        #expect(verdict["reason"]?.string?.contains("could not send") == true)
        #expect(
            verdict["reason"]?.string?.contains(reason) == true,
            "\(verdict["reason"]?.string ?? "")")
        ScenarioRuns.expectClean(verdict)
    }

    @Test(
        "a pool that is too small is gone round where the topology says so",
        .timeLimit(.minutes(5)),
        arguments: [
            "size: 2MB, slots: 1, wait: 0s, when_full: direct",
            "size: 1MB, slots: 16, when_full: direct",
        ])
    func goneRound(pool: String) throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play(
            try Self.baseline(folder, pool: pool), in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass")
        ScenarioRuns.expectClean(verdict)
        // Two cameras, six clouds each, two meshes; and as many summaries.
        #expect(verdict.count("delivery", "delivered") == 48)
    }

    @Test(
        "killed readers and writers take no slot with them, and what they took is named",
        .timeLimit(.minutes(5)))
    func killedReaders() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/killed-readers.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        for name in ScenarioRuns.zeroClasses where name != "unexpected" {
            #expect(verdict.count("delivery", "unexplained", name) == 0, "\(name)")
        }
        ScenarioRuns.expectNoLeaks(verdict)
        let steps = verdict["steps"]?.array ?? []
        #expect(steps.map { $0["verdict"] } == ["pass", "inconclusive", "pass"])
        let pool = try #require(Self.pools(verdict)["clouds"])
        // Many times as many contents as there are slots, after readers had died with all of them.
        #expect(try #require(pool.count("loans")) > 100)
        #expect(try #require(pool.count("expired")) > 0)
        #expect(pool.count("corrupted") == 0)
        #expect(pool.count("refused") == 0)
    }

    @Test(
        "whoever is killed, no segment of the run is left", .timeLimit(.minutes(2)),
        arguments: ["orchestrator", "guardian", "interrupt"])
    func killed(victim: String) throws {
        let folder = try TemporaryFolder()
        let program = try Program(
            ["up", "topologies/cloud-pool.yaml", "--logs", folder.path], in: folder)
        try program.poll(atMost: .seconds(60), "up") { program.errorText.contains("up: ") }
        let run = try CommandRuns.run(in: folder, "cloud-pool")
        let segments = Self.segments(of: run)
        #expect(segments == ["synmesh-\(run)-clouds"])
        let attributes = try FileManager.default.attributesOfItem(
            atPath: "/dev/shm/" + (segments.first ?? ""))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let guardian = program.process.processIdentifier
        let orchestrator = try #require(CommandRuns.child(of: guardian))
        switch victim {
        case "orchestrator": kill(orchestrator, SIGKILL)
        case "guardian": kill(guardian, SIGKILL)
        default: kill(guardian, SIGINT)
        }
        let ending = try program.wait()
        if victim == "interrupt" { #expect(ending.exitCode == 0, "\(ending.errors)") }
        try program.poll(atMost: .seconds(20), "the end of all segments") {
            survivors(of: run).isEmpty && Self.segments(of: run).isEmpty
        }
    }
}
