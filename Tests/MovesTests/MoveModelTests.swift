import Foundation
import Moves
import Randomness
import Testing
import Wire

/// The protocol of a move, before there are sockets: random interleavings of agents that send to each other,
/// move there and back at the same time, are answered late and asked twice, while NATS stands still now and then.
///
/// Each seed is one schedule. A failing one is printed with how to play it alone:
/// `SYNMESH_MOVE_SEED=17 swift test --filter MoveModelTests`.
@Suite("Moves: the model") struct MoveModelTests {
    private static let own = ProcessInfo.processInfo.environment["SYNMESH_MOVE_SEED"]
        .flatMap { UInt64($0) }
    private static let count = UInt64(
        ProcessInfo.processInfo.environment["SYNMESH_MOVE_SEEDS"].flatMap { Int($0) } ?? 10_000)

    /// What came of many schedules.
    private struct Tally: Sendable {
        var failed: [String] = []
        var moved = 0
        var lost = 0
    }

    @Test(
        "in ten thousand schedules nothing is lost, nor overtaken where one moves alone, and all moves end"
    )
    func schedules() async {
        let tally = await Self.playAll(.agents)
        #expect(tally.failed.isEmpty, "\(tally.failed.count): \(tally.failed.prefix(5))")
        // A model in which nothing moves proves nothing.
        #expect(Self.own != nil || tally.moved > Int(Self.count) * 3, "\(tally.moved) moves")
    }

    @Test(
        "where agents and proxies are killed all agree in the end, and what is missing went with them"
    )
    func kills() async {
        let tally = await Self.playAll(.kills)
        #expect(tally.failed.isEmpty, "\(tally.failed.count): \(tally.failed.prefix(5))")
        #expect(Self.own != nil || tally.lost > 0, "nothing was lost with anybody")
    }

    @Test("so it is where they publish and listen to topics as well")
    func topics() async {
        let tally = await Self.playAll(.topics)
        #expect(tally.failed.isEmpty, "\(tally.failed.count): \(tally.failed.prefix(5))")
        #expect(Self.own != nil || tally.moved > Int(Self.count) * 3, "\(tally.moved) moves")
    }

    /// What there is beside agents that move.
    enum Kind {
        case agents
        /// Agents and proxies are killed.
        case kills
        /// There are topics.
        case topics
    }

    /// All seeds, on all processors.
    private static func playAll(_ kind: Kind) async -> Tally {
        let seeds = own.map { $0...$0 } ?? 1...count
        return await withTaskGroup(of: Tally.self) { group in
            for part in 0..<8 as Range<UInt64> {
                group.addTask { play(seeds.filter { $0 % 8 == part }, kind) }
            }
            return await group.reduce(into: Tally()) { sum, part in
                sum.failed += part.failed
                sum.moved += part.moved
                sum.lost += part.lost
            }
        }
    }

    private static func play(_ seeds: [UInt64], _ kind: Kind) -> Tally {
        var tally = Tally()
        for seed in seeds {
            let world = play(seed, defect: nil, kind)
            let faults = world.verdict()
            tally.moved += world.agents.flatMap(\.outcomes).count { $0 == .moved }
            tally.lost += world.sent.count - world.delivered.count
            guard let first = faults.first else { continue }
            tally.failed.append("SYNMESH_MOVE_SEED=\(seed): \(first) (\(faults.count) in all)")
            guard own != nil, let lost = world.missing.first else { continue }
            let again = play(seed, defect: nil, kind, watching: lost)
            print("the story of \(lost):", again.story.joined(separator: "\n"), separator: "\n")
        }
        return tally
    }

    @Test("each wrong way to do it is found out", arguments: Defect.allCases)
    func controls(_ defect: Defect) {
        let seeds = 1...min(Self.count, 1_000)
        let found = seeds.first { seed in
            !Self.play(seed, defect: defect, Self.kind(of: defect)).verdict().isEmpty
        }
        #expect(found != nil, "\(defect.rawValue) went through \(seeds.count) schedules")
    }

    private static func kind(of defect: Defect) -> Kind {
        if defect == .marksSpanIncarnations { return .kills }
        return defect.isOfTopics ? .topics : .agents
    }

    /// One schedule, from the first parcel until nothing is on its way any more.
    private static func play(
        _ seed: UInt64, defect: Defect?, _ kind: Kind, watching: Parcel? = nil
    ) -> World {
        let kills = kind == .kills
        var random = SplitMix64(seed: seed &* 0x2545_F491_4F6C_DD1D)
        var world = World(
            seed: seed, agents: Int.random(in: 2...5, using: &random),
            proxies: Int.random(in: 1...3, using: &random),
            boards: kind == .topics ? Int.random(in: 1...2, using: &random) : 0, defect: defect)
        world.watched = watching
        let agents = world.agents.indices
        let freezes = Int.random(in: 0...3, using: &random) == 0
        var thaw: UInt64 = 0
        for _ in 0..<600 {
            if world.isFrozen, world.now >= thaw { world.isFrozen = false }
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<25:
                let from = agents.randomElement(using: &random) ?? 0
                if let board = world.boards.indices.randomElement(using: &random),
                    Bool.random(using: &random)
                {
                    // Nobody hears itself, whichever way it would come back.
                    if !world.agents[from].boards.contains(board) {
                        world.publish(from: from, at: board)
                    }
                    continue
                }
                let to = agents.randomElement(using: &random) ?? 0
                if from != to { world.emit(from: from, to: to) }
            case 25..<30:
                let agent = agents.randomElement(using: &random) ?? 0
                let machine = world.agents[agent].machine
                if machine.stage == nil {
                    world.move(agent, to: machine.route.transport == .zmq ? .nats : .zmq)
                }
            case 30..<33: world.tick()
            case 34 where kills && Int.random(in: 0..<4, using: &random) == 0:
                if let agent = agents.randomElement(using: &random) { world.killAgent(agent) }
            case 35 where kills && Int.random(in: 0..<8, using: &random) == 0:
                if let proxy = world.proxies.indices.randomElement(using: &random) {
                    world.killProxy(proxy)
                }
            case 33 where freezes && !world.isFrozen:
                world.isFrozen = true
                thaw = world.now + UInt64.random(in: 20...900, using: &random)
            default: _ = world.step()
            }
        }
        world.isFrozen = false
        world.settle()
        if freezes {
            // What a frozen server keeps from ending must not keep others from talking.
            world.isFrozen = true
            let far = agents.first { world.agents[$0].machine.route.transport == .nats }
            if let far { world.move(far, to: .zmq) }
            while world.step() {}
            world.talkWhileFrozen()
            world.isFrozen = false
            world.settle()
        }
        return world
    }
}

extension World {
    /// Goes on until nothing is on its way and nobody is being moved; bounded, so that a move that
    /// never ends is found.
    fileprivate mutating func settle() {
        for _ in 0..<40_000 where !step() {
            if agents.allSatisfy({ $0.machine.stage == nil }) { break }
            now += Self.deadlines.again
            tick()
        }
    }

    /// Agents that are on ZeroMQ reach each other, whatever NATS does.
    fileprivate mutating func talkWhileFrozen() {
        let near = agents.indices.filter {
            agents[$0].machine.stage == nil && agents[$0].machine.route.transport == .zmq
        }
        for from in near {
            for to in near where from != to { emit(from: from, to: to) }
        }
        while step() {}
        for from in near {
            for to in near where from != to {
                let parcel = Parcel(
                    source: from, incarnation: agents[from].incarnation, destination: to,
                    sequence: (agents[from].next[to] ?? 1) - 1)
                // It may wait for one that is lost with somebody, by the receiver's rule.
                if !agents[to].delivered.contains(parcel) && !agents[to].ahead.contains(parcel) {
                    faults.append("\(parcel) did not arrive while NATS stood still")
                }
            }
        }
    }

    /// What the agents' lives delivered, all together.
    fileprivate var delivered: [Parcel] { deliveredBefore + agents.flatMap(\.delivered) }

    /// What was sent, not delivered, and went with nobody.
    fileprivate var missing: [Parcel] {
        sent.filter { $0.destination >= 0 }.subtracting(delivered).subtracting(
            agents.flatMap(\.ahead)
        ).subtracting(killed)
            .sorted {
                ($0.source, $0.destination, $0.sequence) < ($1.source, $1.destination, $1.sequence)
            }
    }

    /// What listeners of a board were not delivered of what was published there.
    private var missingTopics: [String] {
        boards.flatMap { board in
            let published = sent.filter { $0.destination == Self.topic(of: board.index) }
            return agents.filter { $0.boards.contains(board.index) }.compactMap { agent in
                let lost = published.filter { $0.source != agent.index }
                    .subtracting(agent.delivered).subtracting(agent.ahead)
                return lost.min { $0.sequence < $1.sequence }.map {
                    "\(lost.count) lost for agent \(agent.index), as \($0)"
                }
            }
        }
    }

    /// Everything that is wrong at the end.
    fileprivate func verdict() -> [String] {
        var found = hadKills ? [] : faults
        for agent in agents {
            // What waits for one that went with somebody is given up in time, by the receiver's rule.
            if !hadKills {
                found += agent.ahead.map { "agent \(agent.index) waits for what is before \($0)" }
            }
            if let stage = agent.machine.stage {
                found.append("agent \(agent.index) is half moved: \(stage.rawValue)")
            }
            let owner = proxies[agent.home].owners[agent.index]
            if owner?.route.transport != agent.machine.route.transport {
                found.append("agent \(agent.index) and its owner do not agree")
            }
            if agent.machine.sending != agent.machine.route.transport || !agent.backlog.isEmpty {
                found.append("agent \(agent.index) sends on another way than it hears on")
            }
        }
        found += missingTopics
        if let one = missing.first { found.append("\(missing.count) lost, as \(one)") }
        for agent in agents
        where agent.delivered.contains(where: {
            $0.destination >= 0 && $0.destination != agent.index
        }) {
            found.append("agent \(agent.index) was delivered what is not for it")
        }
        return found
    }
}
