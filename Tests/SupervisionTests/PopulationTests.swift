internal import TestSupport
internal import Testing

@testable internal import Supervision

/// The rules against a model of what was asked for, and a world that does what it likes.
@Suite("Lives by the rules")
struct PopulationTests {
    /// The kernel's side: which children there really are.
    private struct World {
        enum Child: Equatable {
            case running
            case dead
            case drained
        }

        var population = Population()
        var children: [String: Child] = [:]
        var asked: [String: Bool] = [:]
        var killed: Set<String> = []
        var spawnCount = 0
        var clock: UInt64 = 1
        var generator: SeededGenerator
        var problems: [String] = []
        let failsToSpawn: Bool

        init(seed: UInt64, strategy: GroupStrategy, failsToSpawn: Bool) {
            generator = SeededGenerator(seed: seed)
            self.failsToSpawn = failsToSpawn
            for name in PopulationTests.names { population.add(name, seed: seed) }
            population.group(
                GroupRule(
                    name: "group", strategy: strategy, members: PopulationTests.names,
                    maxRestarts: 1_000_000))
        }

        mutating func random(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

        mutating func give(_ event: Lifecycle.Event, to name: String) {
            perform(population.take(event, for: name, at: clock))
        }

        mutating func perform(_ steps: [Population.Step]) {
            for step in steps { perform(step.action, step.name) }
        }

        private mutating func perform(_ action: Lifecycle.Action, _ name: String) {
            switch action {
            case .spawn:
                if children[name] != nil { problems.append("a second copy of \(name)") }
                if failsToSpawn, random(20) == 0 {
                    asked[name] = false
                    give(.spawnFailed("no"), to: name)
                    return
                }
                spawnCount += 1
                children[name] = .running
                killed.remove(name)
                give(.spawned(PopulationTests.policy), to: name)
            case .terminate:
                if children[name] != .running { problems.append("a signal to no \(name)") }
            case .kill:
                if children[name] != .running { problems.append("a kill of no \(name)") }
                killed.insert(name)
            case .drain:
                if children[name] != .dead { problems.append("\(name) is drained alive") }
                children[name] = .drained
            case .conclude:
                if children[name] != .drained { problems.append("\(name) is reaped twice") }
                children[name] = nil
            case .announceRestart: break
            case .giveUp: asked[name] = false
            }
        }

        /// One thing that a person, the kernel or the clock may do.
        mutating func step() {
            let name = PopulationTests.names[random(PopulationTests.names.count)]
            let grace = Duration.milliseconds(random(3) * 40)
            switch random(12) {
            case 0, 1:
                asked[name] = true
                give(.start, to: name)
            case 2:
                asked[name] = false
                give(.stop(grace: grace), to: name)
            case 3:
                asked[name] = true
                give(.restart(grace: grace), to: name)
            case 4:
                asked[name] = false
                give(.expectExit, to: name)
            case 5: give(.probeFailed("ping", grace: grace), to: name)
            case 6, 7: crash(name)
            case 8: give(.drained, to: name)
            case 9: give(.groupEnded, to: name)
            default: pass(UInt64(random(60)) * 1_000_000)
            }
            check()
        }

        private mutating func crash(_ name: String) {
            guard children[name] == .running else { return }
            children[name] = .dead
            let cause: ExitCause =
                switch random(4) {
                case 0: .exited(code: 0)
                case 1: .exited(code: 1)
                case 2: .signalled(number: 9, coreDumped: false)
                default: .unknown
                }
            give(.leaderEnded(cause, isGroupAlive: random(2) == 0), to: name)
        }

        mutating func pass(_ time: UInt64) {
            clock += time
            while case let steps = population.due(at: clock), !steps.isEmpty { perform(steps) }
        }

        /// What must hold after every single event.
        private mutating func check() {
            for (name, life) in population.lives {
                if life.hasChild != (children[name] != nil) {
                    problems.append("\(name) is \(life.phase), its child \(children[name] as Any)")
                }
                if life.phase == .ended, life.desire == .up { problems.append("\(name) is lost") }
                if life.phase == .starting { problems.append("\(name) starts for ever") }
            }
        }

        /// Lets everything that is under way come to its end, with children that obey SIGKILL.
        mutating func settle() {
            for _ in 0..<40 {
                for name in PopulationTests.names {
                    let isEnding = population.lives[name]?.ending != nil
                    if children[name] == .running, isEnding || killed.contains(name) { crash(name) }
                    if population.lives[name]?.expectsExit == true { crash(name) }
                    give(.groupEnded, to: name)
                    give(.drained, to: name)
                }
                pass(2_000_000_000)
            }
            check()
        }
    }

    private static let names = ["a", "b", "c"]
    private static let policy = RestartPolicy(
        .always, backoff: .milliseconds(10), backoffMax: .milliseconds(80), jitter: 0.5,
        maxRestarts: 1_000_000)

    @Test(
        "10,000 random sequences of commands and crashes: no second copy, none untracked, none lost",
        .timeLimit(.minutes(2)), arguments: GroupStrategy.allCases)
    func sequences(strategy: GroupStrategy) {
        var spawned = 0
        for seed in 0..<3_334 as Range<UInt64> {
            var world = World(seed: seed, strategy: strategy, failsToSpawn: seed % 4 == 0)
            for _ in 0..<40 where world.problems.isEmpty { world.step() }
            world.settle()
            spawned += world.spawnCount
            for name in Self.names {
                let isUp = world.children[name] == .running
                let isAsked = world.asked[name] ?? false
                if isUp != isAsked {
                    world.problems.append("\(name) is up: \(isUp), asked for: \(isAsked)")
                }
            }
            guard world.problems.isEmpty else {
                Issue.record("sequence \(seed): \(world.problems)")
                return
            }
        }
        #expect(spawned > 10_000, "a world in which nothing happens proves nothing")
    }

    @Test("The model notices a child that nobody tracks")
    func control() {
        var world = World(seed: 1, strategy: .oneForOne, failsToSpawn: false)
        world.give(.start, to: "a")
        world.children["b"] = .running
        world.step()
        #expect(!world.problems.isEmpty)
    }

    @Test("Many restarts at once are one new process")
    func restarts() {
        var world = World(seed: 2, strategy: .oneForOne, failsToSpawn: false)
        world.give(.start, to: "a")
        for _ in 0..<5 { world.give(.restart(grace: .seconds(1)), to: "a") }
        world.settle()
        #expect(world.spawnCount == 2)
        #expect(world.population.lives["a"]?.incarnation == 2)
        #expect(world.problems.isEmpty)
    }

    @Test(
        "A group is started again as its strategy says, and only when all of it has ended",
        arguments: [
            (GroupStrategy.oneForOne, [1, 2, 1]), (.oneForAll, [2, 2, 2]),
            (.restForOne, [1, 2, 2]),
        ])
    func groups(strategy: GroupStrategy, incarnations: [UInt32]) {
        var world = World(seed: 3, strategy: strategy, failsToSpawn: false)
        for name in Self.names { world.give(.start, to: name) }
        world.children["b"] = .dead
        world.give(.leaderEnded(.exited(code: 1), isGroupAlive: false), to: "b")
        world.give(.drained, to: "b")
        world.pass(1_000_000_000)
        if strategy != .oneForOne {
            #expect(world.children["b"] == nil, "the others have not ended yet")
        }
        world.settle()
        #expect(Self.names.map { world.population.lives[$0]?.incarnation } == incarnations)
        #expect(world.problems.isEmpty)
    }

    @Test("A group that is started again too often is stopped for good, and that is said")
    func intensity() {
        var population = Population()
        let rule = GroupRule(
            name: "pair", strategy: .oneForAll, members: ["a", "b"], maxRestarts: 1)
        population.group(rule)
        for name in rule.members {
            population.add(name)
            _ = population.take(.start, for: name, at: 1)
            _ = population.take(
                .spawned(RestartPolicy(.always, backoff: .zero)), for: name, at: 1)
        }
        var given: [String] = []
        for _ in 0..<2 {
            for name in rule.members {
                _ = population.take(
                    .leaderEnded(.exited(code: 1), isGroupAlive: false), for: name, at: 2)
                for step in population.take(.drained, for: name, at: 2) {
                    if case .giveUp(let reason) = step.action { given.append(reason) }
                }
            }
            while case let steps = population.due(at: 2), !steps.isEmpty {
                for step in steps {
                    _ = population.take(
                        .spawned(RestartPolicy(.always, backoff: .zero)), for: step.name, at: 2)
                }
            }
        }
        #expect(given == ["its group 'pair' was started again 1 times within 30.0 seconds"])
        #expect(population.lives.values.allSatisfy { $0.desire == .down })
    }

    @Test("Waits grow up to their cap and begin again after a stable time; chance takes its share")
    func waits() {
        let policy = RestartPolicy(
            .always, backoff: .milliseconds(100), backoffMax: .milliseconds(300),
            stable: .seconds(10), maxRestarts: 100)
        var life = Lifecycle()
        var now: UInt64 = 1
        var waits: [Duration] = []
        for time in [1, 1, 1, 20_000, 1] {
            _ = life.take(.start, at: now)
            _ = life.take(.spawned(policy), at: now)
            now += UInt64(time) * 1_000_000
            _ = life.take(.leaderEnded(.exited(code: 1), isGroupAlive: false), at: now)
            for case .announceRestart(let wait) in life.take(.drained, at: now) {
                waits.append(wait)
            }
        }
        #expect(waits == [100, 200, 300, 100, 200].map { .milliseconds($0) })
        let jittered = RestartPolicy(.always, backoff: .seconds(1), jitter: 0.5)
        let chances = (0..<200 as Range<UInt64>).map { $0 &* 0x9E37_79B9_7F4A_7C15 }
        let delays = chances.map { jittered.delay(failures: 0, chance: $0) }
        #expect(delays.allSatisfy { $0 > .milliseconds(500) && $0 <= .seconds(1) })
        #expect(Set(delays).count > 100)
    }

    @Test("An end after a failed probe is a failure, whatever the exit code")
    func probe() {
        var life = Lifecycle()
        _ = life.take(.start, at: 1)
        _ = life.take(.spawned(RestartPolicy(.onFailure, backoff: .zero)), at: 1)
        #expect(life.take(.probeFailed("ping", grace: .seconds(1)), at: 2) == [.terminate])
        _ = life.take(.leaderEnded(.exited(code: 0), isGroupAlive: false), at: 3)
        let actions = life.take(.drained, at: 3)
        let conclusion = Lifecycle.Conclusion(
            cause: .exited(code: 0), weAsked: false, failedProbe: "ping",
            wasKilledAfterGrace: false)
        #expect(actions == [.conclude(conclusion), .announceRestart(after: .zero)])
    }
}
