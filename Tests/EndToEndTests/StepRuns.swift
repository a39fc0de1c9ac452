import Foundation
import JSON
import Testing

/// What steps of a migration do beside moving: judging, waves, windows, questions, faults that stay, and the
/// way back of a run that was interrupted.
@Suite(.serialized) struct StepRuns {
    static func judgements(_ verdict: Value) -> [Value] { verdict["judgements"]?.array ?? [] }

    @Test("a canary is judged beside its own baseline, with figures", .timeLimit(.minutes(5)))
    func canaryUnderLoad() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/canary-under-load.yaml", in: folder)
        #expect(verdict["outcome"] == "rolled_back", "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        let judgements = Self.judgements(verdict)
        #expect(
            judgements.map { $0["name"]?.string } == [
                "ZeroMQ beside itself (A/A)", "north-2 on NATS, beside its baseline",
                "what was not moved, beside its baseline",
            ])
        for judgement in judgements {
            #expect(judgement["u"]?.double != nil)
            let probability = try #require(judgement["p"]?.double)
            #expect((0...1).contains(probability))
            for name in ["shift_us", "p50_ratio", "p99_ratio"] {
                let estimate = try #require(judgement[name])
                let (low, high) = (estimate["low"]?.double, estimate["high"]?.double)
                #expect(try #require(low) <= #require(high))
            }
        }
        // Twenty times as slow is no weather.
        #expect(judgements[1]["verdict"] != "fail", "\(judgements[1])")
        let text = try Program.run("report", folder.latest("canary-under-load"), in: folder)
        #expect(text.output.contains("north-2 on NATS, beside its baseline"))
    }

    @Test("twenty agents go in waves, and all of it back", .timeLimit(.minutes(5)))
    func waves() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/rollout-in-waves.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        let steps = (verdict["steps"]?.array ?? []).compactMap { $0["name"]?.string }
        #expect(steps.count == 5)
        #expect(steps.filter { $0.hasPrefix("rollout ") }.count == 2)
        #expect((verdict["moves"]?.array ?? []).count == 40)
        #expect(verdict["rollback_ms"]?.integer != nil)
    }

    @Test("a cutover with a window goes back and loses nothing", .timeLimit(.minutes(5)))
    func cutoverAndReturn() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/cutover-and-return.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        #expect((verdict["moves"]?.array ?? []).count == 16)
    }

    @Test("a flaky canary goes back by itself, and each loss is named", .timeLimit(.minutes(5)))
    func flaky() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/flaky-canary.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let lost = try #require(verdict.count("delivery", "unexplained", "lost"))
        #expect(lost > 0)
        let findings = (verdict["findings"]?.array ?? []).filter { $0["class"] == "lost" }
        #expect(findings.count == Int(lost))
        #expect(findings.allSatisfy { $0["flow"] == "echo -> pinger" })
        #expect((verdict["steps"]?.array ?? []).count == 2)
    }

    @Test("noise is named, and a regression under it is found", .timeLimit(.minutes(5)))
    func noisy() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/noisy-field.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(verdict["reason"]?.string ?? "") \(ending.errors)")
        let judgements = Self.judgements(verdict)
        #expect(judgements.first?["verdict"] != "pass")
        #expect(judgements.dropFirst().first?["verdict"] == "fail")
        let notes = (verdict["findings"]?.array ?? []).compactMap { $0["reason"]?.string }
        #expect(notes.contains { $0.hasPrefix("The field is noisy: ") }, "\(notes)")
    }

    @Test("a prefix collision is found before the run, and by it", .timeLimit(.minutes(5)))
    func prefixCollision() throws {
        let folder = try TemporaryFolder()
        let check = try Program.run(
            "check", "--migration", "--json", "scenarios/prefix-collision.yaml", in: folder)
        #expect(check.exitCode == 0, "\(check.errors)")
        let found = try #require(try Value(parsing: check.output)["findings"]?.array)
        #expect(found.count == 1)
        #expect(found.first?["kind"] == "prefix_collision")
        #expect(found.first?["subject"] == "listener")
        #expect(found.first?["text"]?.string?.contains("'tot.bestiary'") == true)

        let (ending, verdict) = try Program.play("scenarios/prefix-collision.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let notes = (verdict["findings"]?.array ?? []).compactMap { $0["reason"]?.string }
        #expect(notes.contains { $0.hasPrefix("listener was sent ") }, "\(notes)")
    }

    @Test(
        "a cloud too large for the server is found before, and goes back", .timeLimit(.minutes(5)))
    func oversizeCloud() throws {
        let folder = try TemporaryFolder()
        let check = try Program.run(
            "check", "--migration", "scenarios/oversize-cloud.yaml", in: folder)
        #expect(check.exitCode == 1)
        #expect(check.output.contains("error: 'camera' sends contents of 2400000 bytes"))
        #expect(check.output.contains("  help: raise 'max_payload'"))
        let (ending, verdict) = try Program.play("scenarios/oversize-cloud.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "inconclusive")
        #expect(verdict["reason"]?.string?.contains("max_payload") == true)
    }

    static let mesh = """
        synmesh: 1
        nats: { main: {} }
        branches: { core: {} }
        agents:
          pinger: { kind: probe, settings: { to: [echo] } }
          echo: { kind: probe, side_effects: refuse }
        """

    private func scenario(_ steps: [String], in folder: TemporaryFolder) throws -> String {
        _ = try folder.write(Self.mesh, to: "mesh.yaml")
        return try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            steps:
            \(steps.map { "  - " + $0 }.joined(separator: "\n"))

            """, to: "blocks.yaml")
    }

    @Test("load, hold, a fault that stays, its heal, and a question", .timeLimit(.minutes(3)))
    func blocks() throws {
        let folder = try TemporaryFolder()
        let load = "load: { pinger: { type: ping, count: 200, rate: 400, size: 64 } }"
        let path = try scenario(
            [
                "load: { \(load) }", "fault: { stop: echo }",
                "pause_for_person: { text: is it still there, unattended: continue }", "heal",
                "hold: { for: 200ms, \(load) }",
            ], in: folder)
        let (ending, verdict) = try Program.play(path, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let steps = verdict["steps"]?.array ?? []
        #expect(
            steps.map { $0["kind"]?.string } == [
                "load", "fault", "pause_for_person", "heal", "hold",
            ])
        #expect(steps.allSatisfy { $0["verdict"] == "pass" })
        #expect(verdict["faults"]?.array?.first?["healed_ms"]?.integer != nil)

        let unanswered = try scenario(["load: { \(load) }", "pause_for_person"], in: folder)
        let (second, held) = try Program.play(unanswered, in: folder)
        #expect(second.exitCode == 1)
        #expect(held["verdict"] == "inconclusive")

        let doubled = try scenario(["parallel_run: { mode: dual, \(load) }"], in: folder)
        let refused = try Program.run("check", doubled, in: folder)
        #expect(refused.exitCode == 2)
        #expect(refused.output.contains("'echo' has side effects"), "\(refused.output)")
    }

    @Test("an interrupted run says what was where, and is taken back", .timeLimit(.minutes(3)))
    func interrupted() throws {
        let folder = try TemporaryFolder()
        let load = "load: { pinger: { type: ping, count: 60000, rate: 200, size: 64 } }"
        let path = try scenario(["move: { agents: [echo], to: nats, \(load) }"], in: folder)
        let program = try Program(["run", path, "--logs", folder.path], in: folder)
        try program.poll(atMost: .seconds(60), "moved") {
            program.errorText.contains("echo zmq -> nats, live: moved")
        }
        kill(program.process.processIdentifier, SIGKILL)
        _ = try program.wait()

        let back = try Program.run(
            "run", path, "--rollback", "--json", "--logs", folder.path, in: folder)
        #expect(back.exitCode == 0, "\(back.errors)")
        #expect(back.errors.hasPrefix("echo was on nats\n"), "\(back.errors)")
        let verdict = try Value(parsing: back.output)
        #expect(verdict["outcome"] == "rolled_back")
        #expect(verdict["moves"]?.array?.map { $0["to"]?.string } == ["zmq"])

        let again = try Program.run(
            "run", path, "--rollback", "--logs", folder.path, in: folder)
        #expect(again.exitCode == 2)
        #expect(again.errors.contains("it came to its end: rolled_back"), "\(again.errors)")
    }
}
