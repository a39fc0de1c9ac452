import Foundation
import JSON
import TestSupport
import Testing

/// Agents that change their transport while they go on, through the built program.
@Suite(.serialized) struct MoveRuns {
    @Test(
        "eight agents go to NATS and back under load: nothing lost, repeated or overtaken",
        .timeLimit(.minutes(5)))
    func underLoad() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/moves-under-load.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        let moves = verdict["moves"]?.array ?? []
        // Two there and back, one by one and all together; there; and back.
        #expect(moves.count == 8 * (4 + 4 + 1 + 1))
        for move in moves {
            #expect(move["strategy"] == "live")
            #expect(move["outcome"] == "moved")
            #expect(move["window_ms"] == 0)
        }
        try Self.expectRepeatIsFound(in: folder.latest("moves-under-load"), folder)
        // None of them was started again.
        let histories = try FileManager.default.contentsOfDirectory(
            atPath: folder.latest("moves-under-load") + "/histories")
        #expect(histories.filter { $0.hasPrefix("north-1.") }.count == 1, "\(histories)")
    }

    @Test(
        "a hundred round trips of each are played as far as there is time", .timeLimit(.minutes(5)))
    func roundTrips() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "hundred-round-trips",
            replacing: [
                ("round_trips: 100", "round_trips: 3"),
                ("count: 75000, rate: 1250", "count: 1500, rate: 300"),
            ])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        #expect(verdict["moves"]?.array?.count == 48)
    }

    /// The control: the same histories, one delivery of which stands there twice.
    private static func expectRepeatIsFound(in run: String, _ folder: TemporaryFolder) throws {
        let before = try Program.run("judge", run, "--check", "delivery", "--json", in: folder)
        #expect(before.exitCode == 0, "\(before.output)")
        let name = try #require(
            FileManager.default.contentsOfDirectory(atPath: run + "/histories")
                .first { $0.hasPrefix("south-2.") && $0.hasSuffix(".mcap") })
        let (path, copy) = (run + "/histories/" + name, folder.path + "/copy.mcap")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.currentDirectoryURL = URL(filePath: Program.repository)
        process.arguments = [
            "python3", "Tests/EndToEndTests/alter_history.py", path, copy, "--repeat",
        ]
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: copy, toPath: path)
        let after = try Program.run("judge", run, "--check", "delivery", "--json", in: folder)
        #expect(after.exitCode == 1)
        #expect(after.output.contains("duplicated"), "\(after.output)")
    }

    @Test("agents in Python move live as well", .timeLimit(.minutes(5)))
    func python() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/python-moves.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        let moves = verdict["moves"]?.array ?? []
        #expect(moves.contains { $0["agent"] == "echo" })
        #expect(moves.allSatisfy { $0["strategy"] == "live" && $0["outcome"] == "moved" })
    }

    @Test("more may wait for a mover than its window is large", .timeLimit(.minutes(3)))
    func window() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(
            """
            synmesh: 1
            nats: { main: {} }
            branches: { core: {} }
            agents:
              pinger: { kind: probe, settings: { to: [mover] } }
              mover: { kind: probe }
            """, to: "mesh.yaml")
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            steps:
              - move: { agents: mover, to: nats, load: { pinger: { count: 10 } } }
              # The answer of the home waits for the server, and behind all that comes meanwhile.
              - move:
                  agents: mover
                  to: zmq
                  load: { pinger: { count: 6000, rate: 3000, size: 64 } }
                  faults: [{ stop: main, at: registered, for: 900ms }]

            """, to: "window.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        let held = verdict["moves"]?.array?.last?["in_flight"]?.integer
        #expect(try #require(held) > 1_000)
    }

    @Test(
        "each zero of a move has its control", .timeLimit(.minutes(5)),
        arguments: [("lose", "lost"), ("alter", "corrupted")])
    func controls(defect: String, expected: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "moves-under-load", replacing: [],
            inTopology: [
                (
                    "settings: { to: [north-3, south-2]",
                    "settings: { defects: { \(defect): 500, on: nats }, to: [north-3, south-2]"
                )
            ])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(try #require(verdict.count("delivery", "unexplained", expected)) > 0)
    }

    @Test(
        "whatever is killed or stopped at whatever step of a move, all agree where the agent lives",
        .timeLimit(.minutes(10)), arguments: ["faults-in-moves", "faults-in-kept-moves"])
    func faults(name: String) throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/\(name).yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let faults = verdict["faults"]?.array ?? []
        #expect(faults.count == 5 * 7 * 2)
        let settled = (verdict["moves"]?.array ?? []).compactMap { $0["converged_ms"]?.integer }
        #expect(settled.count == faults.count)
        for name in ["lost", "duplicated", "reordered", "corrupted", "unexpected"] {
            #expect(verdict.count("delivery", "unexplained", name) ?? 0 == 0, "\(name)")
        }
        for name in ["duplicated", "reordered", "corrupted", "unexpected"] {
            #expect(verdict.count("delivery", name) == 0, "\(name)")
        }
        guard name == "faults-in-kept-moves" else { return }
        let lost = (verdict["findings"]?.array ?? []).filter { $0["class"] == "lost" }
        // Topics promise less.
        #expect(lost.allSatisfy { $0["flow"]?.string?.contains("-> topic:") == true })
        let kept = try #require(verdict.at("delivery", "at_least_once"), "\(verdict)")
        #expect(kept["sent"] == kept["delivered"])
        ScenarioRuns.expectNoLeaks(verdict)
    }

    /// Leaves a scenario the faults on one part.
    private static func keep(faultsOn part: String, in scenario: String) throws {
        let text = try String(contentsOfFile: scenario, encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            !line.contains(", at: ") || line.contains(": \(part),")
        }
        try lines.joined(separator: "\n").write(
            toFile: scenario, atomically: true, encoding: .utf8)
    }

    @Test(
        "so they do about an agent in Python", .timeLimit(.minutes(10)),
        arguments: ["faults-in-python-moves", "faults-in-kept-python-moves"])
    func pythonFaults(name: String) throws {
        let folder = try TemporaryFolder()
        // The whole of it is played by who has more time; the agent's own steps are what is its own.
        let isWhole = thoroughness("SYNMESH_MOVE_FAULTS", usually: 0) > 0
        let scenario =
            isWhole
            ? "scenarios/\(name).yaml"
            : try folder.scenario(
                name,
                replacing: [("round_trips: 60", "round_trips: 8"), ("count: 3000", "count: 900")])
        if !isWhole { try Self.keep(faultsOn: "mover", in: scenario) }
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict.count("delivery", "unexplained", "lost") == 0)
        for name in ["duplicated", "reordered", "corrupted", "unexpected"] {
            #expect(verdict.count("delivery", name) == 0, "\(name)")
        }
    }

    @Test(
        "the same has its controls", .timeLimit(.minutes(10)),
        arguments: ["lose_copies", "swallow"])
    func keptControls(defect: String) throws {
        let folder = try TemporaryFolder()
        let agent = "settings: { to: [north-2, south-1], topics: [news.north] }"
        let scenario = try folder.scenario(
            "faults-in-kept-moves", replacing: [("round_trips: 40", "round_trips: 8")],
            inTopology: [
                (agent, agent.replacing("{ to", with: "{ defects: { \(defect): 3 }, to"))
            ])
        try Self.keep(faultsOn: "north-1", in: scenario)
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail", "\(verdict["reason"]?.string ?? "")")
    }

    @Test("synmesh move: there, back, by a restart, and what cannot be", .timeLimit(.minutes(3)))
    func command() throws {
        let folder = try TemporaryFolder()
        func run(_ arguments: String...) throws -> Program.Ending {
            try Program(
                arguments, in: folder, environment: ["XDG_RUNTIME_DIR": folder.path]
            ).wait(atMost: .seconds(60))
        }
        defer { _ = try? run("down", "--all") }
        let up = try run(
            "up", "-d", "--wait", "topologies/eight-agents.yaml", "--logs", folder.path)
        #expect(up.exitCode == 0, "\(up.errors)")

        let there = try run("move", "north-1", "south-2", "--to", "nats", "--json")
        #expect(there.exitCode == 0, "\(there.errors)")
        let moves = try #require(try Value(parsing: there.output).array)
        #expect(moves.map { $0["agent"]?.string } == ["north-1", "south-2"])
        for move in moves {
            #expect(move["outcome"] == "moved")
            #expect(move["strategy"] == "live")
        }
        let back = try run("move", "north-1", "--to", "zmq")
        #expect(back.exitCode == 0, "\(back.errors)")
        #expect(back.output.hasPrefix("north-1 nats -> zmq, live: moved, nothing sent for "))
        let restarted = try run("move", "south-2", "--to", "zmq", "--restart")
        #expect(restarted.exitCode == 0, "\(restarted.errors)")
        #expect(
            restarted.output.hasPrefix("south-2 nats -> zmq, restart: moved, down for "),
            "\(restarted.output)")

        for (arguments, reason) in [
            (["move", "news", "--to", "nats"], "'news' is no agent"),
            (["move", "nobody", "--to", "nats"], "there is no part 'nobody'"),
        ] {
            let ending = try Program(
                arguments, in: folder, environment: ["XDG_RUNTIME_DIR": folder.path]
            ).wait(atMost: .seconds(60))
            #expect(ending.exitCode == 2)
            #expect(ending.errors.contains(reason), "\(ending.errors)")
        }
    }
}
