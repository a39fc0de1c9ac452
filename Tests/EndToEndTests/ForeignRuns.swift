import Foundation
import JSON
import Testing

/// Programs that know nothing of us, on both sides of a migration.
@Suite(.serialized) struct ForeignRuns {
    @Test(
        "the seed's programs stay, move, and talk past every proxy: every class is 0",
        .timeLimit(.minutes(5)))
    func foreignAgents() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/foreign-agents.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass", "\(verdict["reason"]?.string ?? "")")
        #expect(verdict["outcome"] == "rolled_back")
        ScenarioRuns.expectClean(verdict)
        // Of pinger alone: to each of two agents, and their answers.
        #expect(try #require(verdict.count("delivery", "sent")) > 4 * 3_300)
        let moves = verdict["moves"]?.array ?? []
        #expect(
            moves.map { $0["agent"]?.string } == ["pinger", "echo", "echo", "pinger"])
        #expect(moves.allSatisfy { $0["outcome"] == "moved" })
        // What came for the program while it was down was kept for its twin.
        #expect(moves[1...2].allSatisfy { ($0["in_flight"]?.integer ?? 0) > 0 })
        let observed = verdict["observed"]?.array ?? []
        #expect(
            observed.map { $0["agent"]?.string } == ["echo", "old-echo", "cloud-echo", "counter"])
        #expect(
            observed.map { $0["at"] } == [
                ["zmq": "proxy of core", "nats": "tap of core"], ["zmq": "proxy of core"],
                ["nats": "tap of core"], ["nats": "tap of core"],
            ])
        let report = try Program.run("report", folder.latest("foreign-agents"), in: folder)
        #expect(report.output.contains("Agents without a history"))
        #expect(report.output.contains("Delivered means: handed to their socket."))
    }

    @Test(
        "a program that asks by itself loses and repeats nothing, whomever it asks, while that moves",
        .timeLimit(.minutes(5)),
        arguments: [
            // Straight over NATS, whom it reaches past its branch once that has moved.
            [
                ("count, counter, cloud-echo", "count, counter, echo"),
                ("depends_on: [cloud-echo]", "depends_on: [echo]"),
            ],
            // From ZeroMQ, across the bridge.
            [
                (
                    "nats_agent.py, count, counter, cloud-echo, \"200\"]\n    transport: nats",
                    "seed_count.py, counter, cloud-echo, \"200\"]"
                )
            ],
        ])
    func sender(changes: [(String, String)]) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario("foreign-agents", replacing: [], inTopology: changes)
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        #expect(try #require(verdict.count("delivery", "sent")) > 4 * 3_300 + 1_000)
    }

    @Test(
        "a wrong program is caught on either transport, with the flow and the sequence",
        .timeLimit(.minutes(5)),
        arguments: ["zmq", "nats"],
        [("drop", "lost"), ("repeat", "duplicated"), ("alter", "corrupted")])
    func controls(transport: String, defect: (kind: String, expected: String)) throws {
        let folder = try TemporaryFolder()
        let wrong = "wrong_echo.py, \(defect.kind), \"200\", "
        let change =
            transport == "nats"
            ? ("nats_agent.py, echo, echo]", wrong + "echo]")
            : ("seed_echo.py, old-echo]", wrong + "old-echo]")
        let scenario = try folder.scenario(
            "foreign-agents", replacing: [("expect: [pass, rolled_back]\n", "")],
            inTopology: [change])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        let agent = transport == "nats" ? "echo" : "old-echo"
        let flow = defect.kind == "drop" ? "pinger -> \(agent)" : "\(agent) -> pinger"
        let findings = (verdict["findings"]?.array ?? []).filter { $0["severity"] == "error" }
        #expect(findings.count >= 3)
        for finding in findings {
            #expect(finding["class"]?.string == defect.expected)
            #expect(finding["flow"]?.string == flow)
        }
        // Every 200th of what the program was asked, and no other.
        let places = findings.map {
            ($0["incarnation"]?.integer ?? 0, $0["sequence"]?.integer ?? 0)
        }
        for (one, next) in zip(places, places.dropFirst()) where one.0 == next.0 {
            // A repeat has a sequence of its own.
            #expect(next.1 - one.1 == (defect.kind == "repeat" ? 201 : 200))
        }
        for name in ScenarioRuns.zeroClasses {
            let count = try #require(verdict.count("delivery", name))
            #expect(count == (name == defect.expected ? Int64(findings.count) : 0), "\(name)")
        }
        if defect.kind == "alter" {
            #expect(findings.allSatisfy { $0["path"] == "$.n" })
        }
        ScenarioRuns.expectNoLeaks(verdict)
    }

    /// A small mesh of a probe and a program, played from the folder.
    private func play(
        _ steps: String, nats: String, entry: String = "answers: { ping: echo }",
        in folder: TemporaryFolder
    ) throws -> (ending: Program.Ending, verdict: Value) {
        let programs = "\(Program.repository)/agents/python"
        _ = try folder.write(
            """
            synmesh: 1
            nats: { main: {} }
            branches: { core: {} }
            agents:
              pinger: { kind: probe, settings: { to: [echo] }, depends_on: [echo] }
              echo:
                wire: json
                \(entry)
                transports:
                  zmq: { command: [python3, \(programs)/seed_echo.py, echo] }
                  nats: { command: [python3, \(nats)] }
            """, to: "mesh.yaml")
        let scenario = try folder.write(
            "synmesh: 1\ntopology: mesh.yaml\nsteps:\n\(steps)", to: "small.yaml")
        return try Program.play(scenario, in: folder)
    }

    private static let load = "load: { pinger: { type: ping, count: 600, rate: 1000 } }"

    @Test("a program and its twin say the same in two meshes", .timeLimit(.minutes(5)))
    func twins() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try play(
            "  - parallel_run: { mode: twin, \(Self.load) }",
            nats: "\(Program.repository)/agents/python/nats_agent.py, echo, echo", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        // Sent and delivered, there and back.
        #expect(verdict.count("comparison", "match") == 2_400)
    }

    @Test(
        "a program that never subscribes is not moved, and nothing is lost", .timeLimit(.minutes(5))
    )
    func silentTwin() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try play(
            "  - canary: { agent: echo, \(Self.load) }",
            nats: "-c, \"import time; time.sleep(60)\"",
            in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        #expect(verdict["reason"]?.string?.contains("did not subscribe") == true)
        ScenarioRuns.expectClean(verdict)
        #expect(verdict.count("delivery", "delivered") == 1_200)
    }

    @Test(
        "a tap that was killed has not seen everything: the run is no pass", .timeLimit(.minutes(5))
    )
    func killedTap() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try play(
            """
              - canary: { agent: echo, \(Self.load) }
              - baseline: { \(Self.load), faults: [{ kill: core, after: 200ms }] }
            """, nats: "\(Program.repository)/agents/python/nats_agent.py, echo, echo", in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] != "pass")
        let reasons = (verdict["findings"]?.array ?? []).compactMap { $0["reason"]?.string }
        #expect(reasons.contains { $0.contains("was not seen") }, "\(reasons)")
    }

    @Test(
        "a program without 'answers' that was moved may have taken with it what it had not read",
        .timeLimit(.minutes(5)))
    func unpromised() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try play(
            "  - canary: { agent: echo, \(Self.load) }",
            nats: "\(Program.repository)/agents/python/nats_agent.py, echo, echo", entry: "",
            in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(ending.errors.contains("warning: 'echo' keeps no control contract"))
        #expect(verdict["verdict"] == "inconclusive")
        let reason = verdict["reason"]?.string ?? ""
        #expect(reason.contains("whether it had read every 'ping'"), "\(reason)")
        #expect(reason.contains("'answers: { ping: … }'"), "\(reason)")
        ScenarioRuns.expectClean(verdict)
        let limits = verdict["observed"]?.array?.first?["limits"]?.string
        #expect(limits == "what it did with what it was handed is not known.")
        let check = try Program.run("check", "\(folder.path)/small.yaml", in: folder)
        #expect(check.exitCode == 0)
        #expect(check.output.contains("so that the loss shows: 'answers: { ping: echo }'"))
    }
}
