internal import Analysis
internal import Control
internal import JSON
internal import Topologies
internal import Wire

/// The move of an agent to another transport while it goes on.
///
/// The agent and its home proxy do it between themselves; here it is asked for, and its end is noted. What is
/// not decided in time is not decided here either: the proxy's registry says where the agent lives.
extension Mesh {
    /// The longest that the end of a move is waited for: each of its steps has 2 s.
    private static let moveTimeout = Duration.seconds(8)

    /// Moves an agent; nil where it cannot move while it goes on.
    func moveLive(_ name: String, to target: Transport) async -> Move? {
        guard let agent = topology.agent(named: name), canMoveLive(agent) else { return nil }
        let clock = ContinuousClock()
        let began = clock.now
        let origin = book.transport(of: name)
        guard origin != target else { return nil }
        routeEpoch += 1
        let epoch = routeEpoch
        context.note(
            "move",
            [
                "agent": .string(name), "to": .string(target.rawValue), "strategy": "live",
                "epoch": Value(epoch),
            ])
        var report = MoveReport(
            agent: name, from: origin.rawValue, to: target.rawValue, strategy: .live,
            pauseMicroseconds: 0, windowMilliseconds: 0, durationMilliseconds: 0, inFlight: 0,
            outcome: "moved")
        do {
            let answer = try await command(
                "move", to: name,
                ["transport": .string(target.rawValue), "epoch": Value(epoch)],
                timeout: Self.moveTimeout)
            report.pauseMicroseconds = Int(answer["pause_us"]?.integer ?? 0)
            report.inFlight = Int(answer["held"]?.integer ?? 0)
            report.outcome = answer["outcome"]?.string ?? "unknown"
            report.failedStep = answer["step"]?.string
            if let reason = answer["reason"]?.string { report.outcome += ": \(reason)" }
        } catch ControlError.refused {
            // Nothing was begun: it does not know how.
            return nil
        } catch {
            report.failedStep = "answer"
            report.outcome = "\(error)"
        }
        let side = await side(of: agent) ?? (report.outcome == "moved" ? target : origin)
        book.withLock { book in
            book.agents[name]?.transport = side
            if side == .nats { book.everOnNATS.insert(name) }
        }
        report.durationMilliseconds = began.duration(to: clock.now).wholeMilliseconds
        context.note(
            "moved",
            [
                "agent": .string(name), "on": .string(side.rawValue), "strategy": "live",
                "pause_us": Value(report.pauseMicroseconds), "outcome": .string(report.outcome),
            ])
        return Move(report: report, isDone: report.outcome == "moved" && side == target)
    }

    /// Whether everything that a move needs knows of moves: the agent, its home, and the topics.
    private func canMoveLive(_ agent: Agent) -> Bool {
        agent.speaks && agent.wire == .frames && agent.keepsHistory
            && agent.launch(on: .zmq) == agent.launch(on: .nats)
            && topology.branches.allSatisfy { !$0.provider.isForeign }
            && topology.topicProxies.allSatisfy { !$0.provider.isForeign }
            && book.isReady(agent.name)
    }

    /// Where the registry says that an agent lives; nil where its owner does not answer.
    private func side(of agent: Agent) async -> Transport? {
        let status = try? await command(
            "status", toNode: node(of: agent), role: "branch", [:])
        return status?["agents"]?[agent.name]?["transport"]?.string
            .flatMap(Transport.init(rawValue:))
    }
}
