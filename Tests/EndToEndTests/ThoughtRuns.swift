import Foundation
import Game24
import JSON
import Testing

/// Searches for answers to puzzles by agents of the built program, and what they come to.
@Suite(.serialized) struct ThoughtRuns {
    /// What the coordinators of a run's steps came to, and what the observer heard.
    private struct Results {
        var steps: [(name: String, coordinator: Value, observer: Value?)]

        init(of run: String) throws {
            let text = try String(contentsOfFile: "\(run)/results.json", encoding: .utf8)
            steps = (try Value(parsing: text).array ?? []).compactMap { step in
                guard let coordinator = step.at("agents", "coordinator") else { return nil }
                return (
                    step["step"]?.string ?? "", coordinator, step.at("agents", "observer")
                )
            }
        }
    }

    private static func puzzle(_ entry: Value) throws -> Puzzle {
        try #require(Puzzle(entry["numbers"]?.array?.compactMap(\.integer) ?? []))
    }

    /// Everything answered, everything right, and for the same numbers always the same.
    private static func expectRight(
        _ coordinator: Value, count: Int, none: Int,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let puzzles = coordinator["puzzles"]?.array ?? []
        #expect(puzzles.count == count, sourceLocation: sourceLocation)
        #expect(
            puzzles.map { $0["puzzle"]?.integer } == (0..<Int64(count)).map { $0 },
            sourceLocation: sourceLocation)
        #expect(puzzles.count { $0["answer"] == .null } == none, sourceLocation: sourceLocation)
        for name in ["unfinished", "open"] {
            #expect(coordinator[name] == [], sourceLocation: sourceLocation)
            #expect(coordinator.count("counts", name) == 0, sourceLocation: sourceLocation)
        }
        #expect(coordinator.count("counts", "refused") == 0, sourceLocation: sourceLocation)
        var known: [Puzzle: (answer: Value?, explored: Value?)] = [:]
        for entry in puzzles {
            let puzzle = try puzzle(entry)
            if let answer = entry["answer"]?.string {
                let expression = try #require(Expression(answer))
                #expect(puzzle.isAnswer(expression), "\(puzzle): \(answer)")
            } else {
                #expect(entry["answer"] == .null)
                #expect(try !puzzle.isSolvable(), "\(puzzle)", sourceLocation: sourceLocation)
            }
            if let before = known[puzzle] {
                #expect(entry["answer"] == before.answer, "\(puzzle)")
                #expect(entry["explored"] == before.explored, "\(puzzle)")
            }
            known[puzzle] = (entry["answer"], entry["explored"])
        }
    }

    @Test(
        "puzzles are answered the same before, while and after everybody moves to NATS",
        .timeLimit(.minutes(5)))
    func broadcast() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "thought-broadcast", replacing: [("count: 20", "count: 10")],
            inTopology: [("cycle: 20", "cycle: 10")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["outcome"] == "promoted")
        ScenarioRuns.expectClean(verdict)
        #expect(verdict["moves"]?.array?.count == 10)
        #expect(verdict.count("delivery", "repeats_dropped") ?? 0 == 0)
        for name in ["payload", "missing", "extra", "duplicate", "reordered"] {
            #expect(verdict.count("comparison", name) == 0, "\(name)")
        }
        let steps = try Results(of: folder.latest("thought-broadcast")).steps
        #expect(steps.count == 8)
        for (index, step) in steps.enumerated() {
            let count = 10 * (index + 1)
            try Self.expectRight(step.coordinator, count: count, none: count / 5)
            // Nobody had to be asked twice, and nobody said anything twice.
            #expect(step.coordinator.count("counts", "repeated") == 0, "\(step.name)")
            #expect(step.coordinator.count("counts", "stale") == 0, "\(step.name)")
            let observer = try #require(step.observer)
            #expect(observer["strangers"] == 0)
            #expect(observer.count("announcements") == Int64(count))
            let followed = observer["followed"]?.object ?? [:]
            #expect(Set(followed.keys) == Set((0...index).map { "\($0)1" }.map(Self.plain)))
            // The same puzzle each time: as much was thought about it, and heard.
            #expect(Set(followed.values.map { $0["thoughts"] }).count == 1, "\(step.name)")
            #expect(followed.values.allSatisfy { $0.count("proposals") ?? 0 > 0 })
        }
    }

    private static func plain(_ number: String) -> String { String(Int(number) ?? -1) }

    @Test(
        "a hundred puzzles, twenty without an answer, are all right on both transports",
        .timeLimit(.minutes(5)))
    func hundred() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/hundred-puzzles.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        for name in ["payload", "missing", "extra", "duplicate", "reordered"] {
            #expect(verdict.count("comparison", name) == 0, "\(name)")
        }
        #expect(try #require(verdict.count("comparison", "match")) > 8_000)
        let steps = try Results(of: folder.latest("hundred-puzzles")).steps
        #expect(steps.map(\.name) == ["parallel_run twin-zmq", "parallel_run twin-nats"])
        for step in steps { try Self.expectRight(step.coordinator, count: 100, none: 20) }
        #expect(steps.first?.coordinator["puzzles"] == steps.last?.coordinator["puzzles"])
    }

    @Test(
        "late subscribers come and go while they and the coordinator are moved, and miss nothing",
        .timeLimit(.minutes(5)), arguments: [true, false])
    func lateSubscribers(isWaitedFor: Bool) throws {
        let folder = try TemporaryFolder()
        _ = try folder.scenario(
            "thought-broadcast", replacing: [],
            inTopology: [
                ("after: 1, every: 10", "every: 1, leave: true"),
                ("      observers: observer\n", isWaitedFor ? "      observers: observer\n" : ""),
                ("cycle: 20", "cycle: 5"),
            ])
        let load = "load: { coordinator: { count: 24, rate: 60 } }"
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: thought-broadcast.yaml
            steps:
              - canary: { agent: observer, \(load) }
              - rollout: { order: [coordinator, proposer-2], \(load) }
              - rollback: { \(load) }
            """, to: "topologies/late.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(verdict["verdict"] == "pass", "\(ending.errors)")
        #expect(verdict["outcome"] == "rolled_back")
        ScenarioRuns.expectClean(verdict)
        let last = try #require(try Results(of: folder.latest("late")).steps.last)
        try Self.expectRight(last.coordinator, count: 96, none: 19)
        let observer = try #require(last.observer)
        #expect(observer["strangers"] == 0)
        let followed = observer["followed"]?.object ?? [:]
        #expect(followed.count == 96)
        for entry in last.coordinator["puzzles"]?.array ?? [] {
            let number = try #require(entry["puzzle"]?.integer)
            #expect(followed[String(number)]?["answer"] == entry["answer"])
        }
        guard isWaitedFor else { return }
        let again = Dictionary(grouping: followed.keys) { (Int($0) ?? 0) % 5 }
        for (puzzle, numbers) in again {
            #expect(Set(numbers.map { followed[$0]?["thoughts"] }).count == 1, "\(puzzle)")
        }
    }

    @Test(
        "who never votes proves nothing: the puzzles are named as unfinished",
        .timeLimit(.minutes(5)))
    func silentEvaluator() throws {
        let folder = try TemporaryFolder()
        _ = try folder.scenario(
            "thought-broadcast", replacing: [],
            inTopology: [
                ("cycle: 20", "unsolvable: 1\n      patience: 200ms\n      attempts: 2"),
                ("      unsolvable: 0.2\n", ""),
                (
                    "topics: votes }\n  observer",
                    "topics: votes, defects: { lose: 1 } }\n  observer"
                ),
            ])
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: thought-broadcast.yaml
            steps: [baseline: { load: { coordinator: { count: 3 } } }]
            """, to: "topologies/silent.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1)
        #expect(try #require(verdict.count("delivery", "lost")) > 0)
        let coordinator = try #require(
            try Results(of: folder.latest("silent")).steps.first?.coordinator)
        #expect(coordinator["puzzles"] == [])
        #expect(coordinator.count("counts", "none") == 0)
        let unfinished = coordinator["unfinished"]?.array ?? []
        #expect(unfinished.map { $0["puzzle"]?.integer } == [0, 1, 2])
        for entry in unfinished {
            #expect(entry["reason"]?.string?.contains("the votes of evaluator-1") == true)
        }
    }

    @Test(
        "an evaluator and a proposer that are killed cost time, and no answer",
        .timeLimit(.minutes(5)))
    func killed() throws {
        let folder = try TemporaryFolder()
        // Long enough, and under enough traffic, that somebody misses who was killed.
        let restart = "restart: { policy: on_failure, backoff: 200ms }"
        _ = try folder.scenario(
            "thought-broadcast", replacing: [],
            inTopology: [
                ("cycle: 20", "patience: 1s\n      attempts: 20"),
                ("in_flight: 2", "in_flight: 4"),
                ("kind: proposer\n", "kind: proposer\n    \(restart)\n"),
                ("kind: evaluator\n", "kind: evaluator\n    \(restart)\n"),
            ])
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: thought-broadcast.yaml
            drain_timeout: 3s
            steps:
              - baseline:
                  load: { coordinator: { count: 40 } }
                  faults: [{ kill: evaluator-1, after: 200ms }]
              - baseline:
                  load: { coordinator: { count: 40 } }
                  faults: [{ kill: proposer-2, after: 200ms }]
            """, to: "topologies/killed.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        for name in ScenarioRuns.zeroClasses where name != "unexpected" {
            #expect(verdict.count("delivery", "unexplained", name) == 0, "\(name)")
        }
        let step = try #require(try Results(of: folder.latest("killed")).steps.last)
        try Self.expectRight(step.coordinator, count: 80, none: 16)
        #expect(try #require(step.coordinator.count("counts", "repeated")) > 0)
    }

    @Test(
        "puzzles of the user's own come from the topology or from a file", .timeLimit(.minutes(5)))
    func ownPuzzles() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("# mine\n3 3 8 8\n1 1 1 1\n", to: "mine.txt")
        for setting in ["puzzles: [3 3 8 8, '1,1,1,1']", "puzzle_file: \(file)"] {
            _ = try folder.scenario(
                "hundred-puzzles", replacing: [],
                inTopology: [("unsolvable: 0.2", setting)])
            let scenario = try folder.write(
                """
                synmesh: 1
                topology: hundred-puzzles.yaml
                steps: [baseline: { load: { coordinator: { count: 4 } } }]
                """, to: "topologies/own.yaml")
            let (ending, _) = try Program.play(scenario, in: folder)
            #expect(ending.exitCode == 0, "\(ending.errors)")
            let step = try #require(try Results(of: folder.latest("own")).steps.first)
            try Self.expectRight(step.coordinator, count: 4, none: 2)
            let answers = (step.coordinator["puzzles"]?.array ?? []).map { $0["answer"] }
            #expect(answers == ["8/(3-8/3)", .null, "8/(3-8/3)", .null])
        }
    }
}
