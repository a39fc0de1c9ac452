internal import Analysis
internal import Topologies
internal import Wire

/// The step `move`: agents there, or there and back, as often as is wanted.
extension Rehearsal {
    /// So many moves are told as they happen; the verdict has all.
    static let movesTold = 40

    func playRelocation(
        _ step: Scenario.Step, _ relocation: Scenario.Relocation
    ) async throws -> StepVerdict {
        let agents =
            relocation.agents.isEmpty
            ? topology.agents.filter { agent in
                Transport.allCases.allSatisfy { agent.launch(on: $0) != nil }
            }.map(\.name)
            : relocation.agents.flatMap { topology.agents(referredToAs: $0).map(\.name) }
        return try await stage(step, named: "move") {
            guard relocation.isTogether else {
                for agent in agents { try await self.relocate(agent, relocation) }
                return
            }
            try await withThrowingTaskGroup { group in
                for agent in agents {
                    group.addTask { try await self.relocate(agent, relocation) }
                }
                try await group.waitForAll()
            }
        }
    }

    /// The next fault that is to happen in a move, where a move there has its step.
    func nextFault(inMoveTo target: Transport) async -> FaultInMove? {
        guard let faults,
            let index = faultsInMoves.firstIndex(where: {
                $0.step?.isPart(ofMoveTo: target) ?? false
            })
        else { return nil }
        return FaultInMove(fault: faultsInMoves.remove(at: index), faults: faults)
    }

    private func relocate(_ agent: String, _ relocation: Scenario.Relocation) async throws {
        let book = try await runningMesh().mesh.book
        for _ in 0..<relocation.roundTrips {
            let origin = book.transport(of: agent)
            for transport in [origin.other, origin] {
                if Task.isCancelled { return }
                // Where a fault decided otherwise, it is there already.
                guard book.transport(of: agent) != transport else { continue }
                try await move(agent, to: transport)
            }
        }
        guard let target = relocation.target, book.transport(of: agent) != target else { return }
        try await move(agent, to: target)
    }
}

extension Scenario.Action {
    /// How much of the load is sent while the step's change happens; the rest comes after it.
    var thirdsMeanwhile: Int {
        switch self {
        // A parallel run is about every envelope of its load: the shadow is on before the first.
        case .dual: 0
        case .hold, .load: 3
        // One way is judged by what comes after it, too.
        case .move(let relocation): relocation.target == nil || relocation.endsLoad ? 3 : 1
        default: 1
        }
    }

    /// Whether the load is sent while agents go there and back: moves without it prove nothing.
    var isMeanwhile: Bool {
        if case .move(let relocation) = self { return relocation.roundTrips > 0 }
        return false
    }

    /// Whether there must be traffic over NATS when it is done.
    var endsOnNATS: Bool {
        switch self {
        case .cutover: true
        case .move(let relocation): relocation.target == .nats
        default: false
        }
    }

    /// Whether envelopes are sent in it, and judged.
    var isStage: Bool {
        switch self {
        case .ask, .fault, .heal, .check: false
        default: true
        }
    }
}
