import JSON
import Testing

/// What is sent at least once, in meshes of which parts die; and the planted faults that must be
/// found.
@Suite(.serialized) struct AtLeastOnceRuns {
    @Test(
        "every part of the mesh is killed under load, and nothing is lost or delivered twice",
        .timeLimit(.minutes(3)))
    func everythingDies() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "at-least-once",
            replacing: [
                ("count: 2000", "count: 900"), ("700ms", "400ms"), ("after: 1s", "after: 600ms"),
            ])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass")
        ScenarioRuns.expectNoLeaks(verdict)
        let sent = try #require(verdict.at("delivery", "at_least_once", "sent")?.integer)
        #expect(sent > 4 * 4_000)
        #expect(verdict.at("delivery", "at_least_once", "delivered")?.integer == sent)
        for name in ["lost", "wrongly_acknowledged"] {
            #expect(verdict.at("delivery", "at_least_once", name)?.integer == 0, "\(name)")
        }
        for name in ["lost", "duplicated", "reordered", "late", "corrupted"] {
            #expect(verdict.count("delivery", name) == 0, "\(name)")
        }
        #expect(verdict["faults"]?.array?.count == 6)
    }

    @Test("agents that move lose nothing, although every seventh is lost on the way")
    func moves() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(
            Self.topology(pinger: "{ lose: 7 }", echo: "{ lose: 5 }"), to: "mesh.yaml")
        let load = "load: { pinger: { type: ping, count: 300, rate: 1500, size: 64 } }"
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            expect: pass
            drain_timeout: 5s
            steps:
              - canary: { agent: echo, \(load) }
              - rollout: { order: [pinger], \(load) }
              - rollback: { \(load) }
            """, to: "moves.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["outcome"] == "rolled_back")
        #expect(verdict.at("delivery", "at_least_once", "lost")?.integer == 0)
        ScenarioRuns.expectNoLeaks(verdict)
    }

    @Test(
        "over a link, in batches, from and to a program in Python, while each of them is killed",
        .timeLimit(.minutes(3)))
    func programs() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play(
            "scenarios/at-least-once-programs.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass")
        ScenarioRuns.expectNoLeaks(verdict)
        let run = "\(folder.path)/at-least-once-programs/\(try #require(verdict["run"]?.string))"
        let info = try Program.run("history", "info", run, "--json", in: folder)
        let flows = try #require(try Value(parsing: info.output)["flows"]?.array)
        // Two pings of each message. Who is killed between a delivery and its answer answers no more.
        for (receiver, answers) in [("echo", 2_500), ("program", 2_500)] {
            let sent = flows.filter {
                $0["source"] == "pinger" && $0["destination"] == .string(receiver)
            }
            .reduce(0) { $0 + ($1["sent"]?.integer ?? 0) }
            #expect(sent >= 2_600, "\(receiver)")
            let answered = flows.filter {
                $0["source"] == .string(receiver) && $0["destination"] == "pinger"
            }.reduce(0) { $0 + ($1["sent"]?.integer ?? 0) }
            #expect(answered > answers && answered <= sent, "\(receiver)")
        }
        let sent = try #require(verdict.at("delivery", "at_least_once", "sent")?.integer)
        #expect(verdict.at("delivery", "at_least_once", "delivered")?.integer == sent)
        for name in ["lost", "wrongly_acknowledged", "sent_at_most_once", "never_acknowledged"] {
            #expect(verdict.at("delivery", "at_least_once", name)?.integer == 0, "\(name)")
        }
        for name in ["lost", "duplicated", "reordered", "late", "corrupted"] {
            #expect(verdict.count("delivery", name) == 0, "\(name)")
        }
        #expect(verdict["faults"]?.array?.count == 4)
        #expect(verdict["moves"]?.array?.count == 2)
    }

    @Test("twins agree on it, over a link and in batches", .timeLimit(.minutes(2)))
    func twins() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(
            """
            synmesh: 1
            nats: { main: {} }
            branches: { core: { links: [far] }, far: {} }
            agents:
              pinger:
                kind: probe
                branch: core
                delivery: at_least_once
                batch: {}
                settings: { to: [echo] }
                depends_on: [echo]
              echo: { kind: probe, branch: far, delivery: at_least_once }
            """, to: "mesh.yaml")
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            steps:
              - parallel_run:
                  mode: twin
                  load: { pinger: { type: ping, count: 1000, rate: 2000, size: 64 } }
            """, to: "twins.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict.at("comparison", "match")?.integer == 4_000)
        #expect(verdict.at("delivery", "at_least_once", "delivered")?.integer == 4_000)
        ScenarioRuns.expectClean(verdict)
    }

    struct Control: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var pinger = "{}"
        var echo = "{}"
        var faults = "[]"
        let reason: String
        let wrong: Bool
    }

    static let controls = [
        Control(
            testDescription: "a receiver that acknowledges what it did not record",
            echo: "{ swallow: 50 }", reason: "has not recorded", wrong: true),
        Control(
            testDescription: "a sender that sends nothing again, while its proxy is killed",
            pinger: "{ forget: 1 }", faults: "[{ kill: core, after: 200ms }]",
            reason: "sent at least once", wrong: false),
        Control(
            testDescription: "a fault that takes every copy of some envelopes",
            pinger: "{ lose_copies: 400 }", reason: "sent at least once", wrong: false),
    ]

    @Test("a run with it fails", .timeLimit(.minutes(2)), arguments: controls)
    func fails(_ item: Control) throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(
            Self.topology(pinger: item.pinger, echo: item.echo), to: "mesh.yaml")
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            drain_timeout: 2500ms
            steps:
              - baseline:
                  load: { pinger: { type: ping, count: 600, rate: 1500, size: 64 } }
                  faults: \(item.faults)
            """, to: "control.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        let reason = verdict["reason"]?.string ?? ""
        #expect(reason.contains(item.reason), "\(reason)")
        let wrong = verdict.at("delivery", "at_least_once", "wrongly_acknowledged")?.integer ?? -1
        #expect(item.wrong ? wrong > 0 : wrong == 0)
        #expect(verdict.at("delivery", "explained", "lost")?.integer == 0)
        ScenarioRuns.expectNoLeaks(verdict)
    }

    private static func topology(pinger: String, echo: String) -> String {
        """
        synmesh: 1
        name: mesh
        nats: { main: {} }
        branches: { core: {} }
        agents:
          pinger:
            kind: probe
            delivery: at_least_once
            settings: { to: [echo], defects: \(pinger) }
            depends_on: [echo]
          echo:
            kind: probe
            delivery: at_least_once
            settings: { defects: \(echo) }
        """
    }
}
