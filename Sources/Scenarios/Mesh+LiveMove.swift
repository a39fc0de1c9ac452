internal import Analysis
internal import Control
internal import JSON
internal import Moves
internal import Routing
internal import Supervision
internal import Topologies
internal import Wire

/// The move of an agent to another transport while it goes on.
///
/// The agent and its home proxy do it between themselves; here it is asked for, and its end is noted. What is
/// not decided in time is not decided here either: the proxy's registry says where the agent lives.
extension Mesh {
    /// The longest that the end of a move is waited for: each of its steps has 2 s.
    private static let moveTimeout = Duration.seconds(8)

    /// The same where something is made to go wrong meanwhile, and has to heal first.
    private static let faultyMoveTimeout = Duration.seconds(30)
    /// The longest that it may take until all agree again where the agent lives.
    private static let convergence = Duration.seconds(10)
    private static let lookAgain = Duration.milliseconds(2)

    /// Moves an agent; nil where it cannot move while it goes on.
    func moveLive(_ name: String, to target: Transport, fault: FaultInMove?) async -> Move? {
        guard let agent = topology.agent(named: name), topology.canMoveLive(agent),
            book.isReady(name)
        else { return nil }
        let clock = ContinuousClock()
        let began = clock.now
        let origin = book.transport(of: name)
        guard origin != target else { return nil }
        let epoch = book.nextEpoch()
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
        var healed = clock.now
        do {
            async let heal = play(fault, inMoveOf: agent)
            let answer: Value
            do {
                answer = try await askToMove(agent, Route(target, epoch: epoch), fault)
            } catch {
                healed = await heal
                throw error
            }
            healed = await heal
            report.pauseMicroseconds = Int(answer["pause_us"]?.integer ?? 0)
            report.inFlight = Int(answer["held"]?.integer ?? 0)
            report.outcome = answer["outcome"]?.string ?? "unknown"
            report.failedStep = answer["step"]?.string
            if let reason = answer["reason"]?.string { report.outcome += ": \(reason)" }
        } catch ControlError.refused {
            // Nothing was begun: it does not know how.
            return nil
        } catch {
            report.failedStep = fault?.fault.step?.rawValue ?? "answer"
            report.outcome = "\(error)"
        }
        let side = await whereItLives(agent, else: report.outcome == "moved" ? target : origin)
        if fault != nil {
            report.convergedMilliseconds = await convergence(of: agent, since: healed)
            if report.convergedMilliseconds == nil { report.outcome += ", and does not settle" }
        }
        report.durationMilliseconds = began.duration(to: clock.now).wholeMilliseconds
        context.note(
            "moved",
            [
                "agent": .string(name), "on": .string(side.rawValue), "strategy": "live",
                "pause_us": Value(report.pauseMicroseconds), "outcome": .string(report.outcome),
            ])
        let isDone =
            fault == nil
            ? report.outcome == "moved" && side == target : report.convergedMilliseconds != nil
        return Move(report: report, isDone: isDone)
    }

    private func askToMove(
        _ agent: Agent, _ target: Route, _ fault: FaultInMove?
    ) async throws -> Value {
        var arguments = target.json.object ?? [:]
        if let step = fault?.fault.step {
            if step.isOfHome {
                _ = try await command(
                    "halt", toNode: node(of: agent), role: "branch",
                    ["agent": .string(agent.name), "at": .string(step.rawValue)])
            } else {
                arguments["halt_at"] = .string(step.rawValue)
            }
        }
        return try await command(
            "move", to: agent.name, .object(arguments),
            timeout: fault == nil ? Self.moveTimeout : Self.faultyMoveTimeout)
    }

    /// Waits until the process stands still that was asked to at a step, has the fault happen, and lets it
    /// go on; returns when the fault is healed.
    ///
    /// - Returns: When it was healed.
    private func play(
        _ fault: FaultInMove?, inMoveOf agent: Agent
    ) async -> ContinuousClock.Instant {
        guard let fault, let step = fault.fault.step else { return .now }
        let halted = step.isOfHome ? node(of: agent) : agent.name
        let process = place.process(halted)
        let end = ContinuousClock.now + Self.moveTimeout
        while (try? await context.supervisor.isStandingStill(process)) != true {
            guard ContinuousClock.now < end, !Task.isCancelled else {
                doubts.append(
                    "the move of \(agent.name) did not come to the step '\(step.rawValue)'")
                // Nor is a later one to stand still there.
                _ = try? await command(
                    "halt", toNode: node(of: agent), role: "branch", ["agent": .string(agent.name)])
                return .now
            }
            try? await ContinuousClock().sleep(for: Self.lookAgain)
        }
        let supervisor = context.supervisor
        await fault.faults.play(fault.fault, inMoveOf: agent.name) {
            guard halted != fault.fault.target else { return }
            try? await supervisor.resume(process)
        }
        return .now
    }

    /// How long it takes from a heal until the agent, which is up, and its home are seen to agree where it
    /// lives, and no move goes on; nil where that takes too long.
    private func convergence(
        of agent: Agent, since began: ContinuousClock.Instant
    ) async -> Int? {
        let clock = ContinuousClock()
        while clock.now < began + Self.convergence, !Task.isCancelled {
            if book.isReady(agent.name), let side = await side(of: agent),
                let status = try? await command("status", to: agent.name),
                status["moving"]?.bool == false, status["transport"]?.string == side.rawValue
            {
                book.withLock { $0.agents[agent.name]?.transport = side }
                return began.duration(to: clock.now).wholeMilliseconds
            }
            try? await clock.sleep(for: Self.lookAgain)
        }
        return nil
    }

    /// Where the registry says that an agent lives, which the book then says, too.
    private func whereItLives(_ agent: Agent, else guess: Transport) async -> Transport {
        let side = await side(of: agent) ?? guess
        book.withLock { book in
            book.agents[agent.name]?.transport = side
            if side == .nats { book.everOnNATS.insert(agent.name) }
        }
        return side
    }

    /// Where the registry says that an agent lives; nil where its owner does not answer.
    private func side(of agent: Agent) async -> Transport? {
        let status = try? await command(
            "status", toNode: node(of: agent), role: "branch", [:])
        return status?["agents"]?[agent.name]?["transport"]?.string
            .flatMap(Transport.init(rawValue:))
    }
}

/// Something that goes wrong at a step of a move.
package struct FaultInMove: Sendable {
    let fault: Scenario.ScheduledFault
    /// Who applies it, and remembers it for the verdict.
    let faults: Faults
}

extension Topology {
    /// Whether everything that a move needs knows of moves: the agent, its home, and the topics.
    func canMoveLive(_ agent: Agent) -> Bool {
        agent.speaks && agent.wire == .frames && agent.keepsHistory
            && agent.launch(on: .zmq) == agent.launch(on: .nats)
            // What is sent in others' names goes by ZeroMQ alone.
            && agent.settings["as"] == nil && agent.kind != "double"
            && branches.allSatisfy { !$0.provider.isForeign }
            && topicProxies.allSatisfy { !$0.provider.isForeign }
    }
}

extension Transport {
    /// Where one goes from here.
    var other: Transport { self == .zmq ? .nats : .zmq }
}

extension MeshBook {
    /// The number of the next decision about where an agent lives.
    func nextEpoch() -> UInt64 {
        withLock { book in
            book.routeEpoch += 1
            return book.routeEpoch
        }
    }

    /// For an agent that is started again by itself: has the book say what its home's registry says, which
    /// may have been decided while nobody looked.
    ///
    /// - Returns: The number under which it asks its home; nil where it need not ask.
    func returnEpoch(
        of agent: Agent, incarnation: UInt32, in topology: Topology, place: MeshPlace
    ) -> UInt64? {
        let isAsked = withLock { book in incarnation > 1 && !book.moving.contains(agent.name) }
        guard isAsked, topology.canMoveLive(agent), !topology.servers.isEmpty else { return nil }
        if let route = try? place.registry(of: agent.branch).read()[agent.name] {
            withLock { $0.agents[agent.name]?.transport = route.transport }
        }
        return nextEpoch()
    }
}
