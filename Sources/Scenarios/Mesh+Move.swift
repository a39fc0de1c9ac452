package import Analysis
internal import Foundation
internal import JSON
internal import Recording
internal import Supervision
internal import Topologies
package import Wire

/// The move of an agent to another transport by drained restart.
///
/// The home proxy and the topic proxies keep what comes for the agent before it stops, and give it
/// to the next incarnation, which has the receiver's marks of the last: what overlaps is dropped by
/// identity, what would be missing is kept. So the move loses nothing, and costs the window in
/// which the agent is down.
extension Mesh {
    /// What came of a move.
    package struct Move: Sendable {
        /// For the verdict.
        package var report: MoveReport
        /// Whether the agent is where it was to go.
        package var isDone: Bool
    }

    /// Moves an agent.
    ///
    /// While it goes on, where it can; otherwise, and back to ZeroMQ where that came to nothing, by a
    /// drained restart.
    ///
    /// - Parameters:
    ///   - name: The agent.
    ///   - target: Where to.
    ///   - strategy: `restart` where it is to be restarted in any case.
    ///   - fault: What is to go wrong at a step of it.
    /// - Returns: What came of it.
    package func move(
        _ name: String, to target: Transport, by strategy: MoveReport.Strategy = .live,
        fault: FaultInMove? = nil
    ) async -> Move {
        var isStuck = false
        if strategy == .live, let move = await moveLive(name, to: target, fault: fault) {
            if move.isDone || target == .nats { return move }
            // Back is back: what cannot go on is restarted where it can.
            isStuck = true
            context.report(
                "  \(name) could not go back while it went on (\(move.report.outcome)): it is restarted"
            )
        }
        return await moveByRestart(name, to: target, whereverItIs: isStuck)
    }

    /// Moves an agent by a drained restart; one that is stuck half way also where its registry says that it
    /// is there already.
    private func moveByRestart(
        _ name: String, to target: Transport, whereverItIs isStuck: Bool
    ) async -> Move {
        let clock = ContinuousClock()
        let began = clock.now
        let origin = isStuck ? target.other : book.transport(of: name)
        let epoch = book.nextEpoch()
        var report = MoveReport(
            agent: name, from: origin.rawValue, to: target.rawValue, strategy: .restart,
            pauseMicroseconds: 0, windowMilliseconds: 0, durationMilliseconds: 0, inFlight: 0,
            outcome: "moved")
        guard let agent = topology.agent(named: name), origin != target else {
            report.outcome = "unchanged"
            return Move(report: report, isDone: origin == target)
        }
        context.note("move", ["agent": .string(name), "to": .string(target.rawValue)])
        book.withLock { _ = $0.moving.insert(name) }
        defer { book.withLock { _ = $0.moving.remove(name) } }
        let topics = await subscriptions(of: agent)
        var failure: (step: String, reason: String)?
        let isForeign = topology.homeBranch(of: agent)?.provider.isForeign ?? false
        var paused: [Agent] = []
        let programs = await pauseDirectPeers(of: agent)

        do {
            try await hold(agent, topics: topics, epoch: epoch)
            if isForeign, origin == .zmq { paused = try await pauseMates(of: agent) }
        } catch {
            failure = ("hold", "\(error)")
        }
        let downSince = clock.now
        var isUp = true
        if failure == nil {
            await park(agent, on: target, epoch: epoch)
            isUp = false
            do {
                if isForeign { try await hand(agent, to: target, &paused) }
                try await respawn(agent)
                isUp = true
            } catch {
                failure = ("start", "\(error)")
            }
        }
        if !isUp {
            // The other side did not take it: bring it back where it was, which still works.
            let next = book.incarnation(of: name) + 1
            book.withLock { book in
                book.agents[name]?.transport = origin
                book.agents[name]?.stateIncarnation = next
            }
            do {
                if isForeign { try await hand(agent, to: origin, &paused) }
                try await respawn(agent)
            } catch {
                report.outcome = "lost: \(error)"
            }
        }
        let side = book.transport(of: name)
        do {
            report.inFlight = try await release(agent, to: side, topics: topics, epoch: epoch)
        } catch {
            failure = failure ?? ("release", "\(error)")
        }
        await resume(paused, after: agent)
        await resume(programs)
        if side == .nats { book.withLock { _ = $0.everOnNATS.insert(name) } }
        let window = downSince.duration(to: clock.now)
        report.windowMilliseconds = window.wholeMilliseconds
        report.pauseMicroseconds = Int(window / .microseconds(1))
        report.durationMilliseconds = began.duration(to: clock.now).wholeMilliseconds
        if let failure {
            report.failedStep = failure.step
            if report.outcome == "moved" { report.outcome = "reverted: \(failure.reason)" }
        }
        context.note(
            "moved",
            [
                "agent": .string(name), "on": .string(side.rawValue),
                "window_ms": Value(report.windowMilliseconds),
                "outcome": .string(report.outcome),
            ])
        return Move(report: report, isDone: failure == nil)
    }

    /// What the agent says that it is subscribed to, and what its entry lets it subscribe to later.
    ///
    /// It may do so until it has drained; what it then does not want, it does not hand out.
    private func subscriptions(of agent: Agent) async -> [String] {
        let status = try? await command("status", to: agent.name)
        let current = status?["subscriptions"]?.array?.compactMap(\.string) ?? []
        return Set(current).union(agent.subscribedTopics).sorted()
    }

    private func proxies(of topics: [String]) -> [TopicProxy] {
        topology.topicProxies.filter { proxy in
            topics.contains { topology.topicProxy(for: $0)?.name == proxy.name }
        }
    }

    /// The process that has the agent's registry entry.
    func node(of agent: Agent) -> String {
        topology.homeBranch(of: agent)?.nodeName ?? agent.branch
    }

    private func hold(_ agent: Agent, topics: [String], epoch: UInt64) async throws {
        let arguments: Value = [
            "agent": .string(agent.name), "topics": .array(topics.map { .string($0) }),
            "epoch": Value(epoch),
        ]
        _ = try await command("hold", toNode: node(of: agent), role: "branch", arguments)
        for proxy in proxies(of: topics) {
            _ = try await command("hold", toNode: proxy.nodeName, role: "topics", arguments)
        }
    }

    /// Has the agent finish and end, and keeps what its next incarnation needs.
    ///
    /// An agent that is dead, or too sick to answer, is restarted without its state.
    private func park(_ agent: Agent, on target: Transport, epoch: UInt64) async {
        let process = place.process(agent.name)
        var state: Value?
        if agent.speaks, book.isReady(agent.name) {
            let answer = try? await command(
                "drain", to: agent.name, ["epoch": Value(epoch)], timeout: .seconds(15))
            state = answer?["state"]
            if state == nil {
                doubts.append(
                    "\(agent.name) did not hand over its state, so what it had begun was lost when it "
                        + "was moved")
            }
            for problem in answer?["problems"]?.array ?? [] {
                context.report("  \(agent.name), draining: \(problem.string ?? "")")
            }
        }
        if !agent.speaks { await park(program: agent) }
        try? await context.supervisor.expectExit(process)
        if state != nil {
            _ = try? await command("stop", to: agent.name)
            _ = try? await context.supervisor.waitExit(process, timeout: .seconds(5))
        }
        _ = try? await context.supervisor.stop(process)
        let next = book.incarnation(of: agent.name) + 1
        let path = "\(place.directory.processesPath)/\(agent.name).\(next).state.json"
        var isKept = false
        if let state {
            do {
                try Data((state.canonical + "\n").utf8).write(to: URL(filePath: path))
                isKept = true
            } catch {
                context.report("  \(agent.name) moves without its state: \(error)")
                doubts.append("the state of \(agent.name) could not be kept for its move: \(error)")
            }
        }
        let statePath = isKept ? path : nil
        book.withLock { book in
            book.agents[agent.name]?.transport = target
            book.agents[agent.name]?.statePath = statePath
            book.agents[agent.name]?.stateIncarnation = next
        }
    }

    private func respawn(_ agent: Agent) async throws {
        let running = try await context.supervisor.respawn(place.process(agent.name))
        book.withLock { $0.incarnations[agent.name] = running.incarnation }
        do {
            try await waitUntilUp(agent, incarnation: running.incarnation)
        } catch {
            _ = try? await context.supervisor.stop(place.process(agent.name))
            throw error
        }
    }

    private func release(
        _ agent: Agent, to transport: Transport, topics: [String], epoch: UInt64
    ) async throws -> Int {
        let arguments: Value = [
            "agent": .string(agent.name), "transport": .string(transport.rawValue),
            "epoch": Value(epoch),
        ]
        let nodes =
            [(name: node(of: agent), role: "branch")]
            + proxies(of: topics).map { (name: $0.nodeName, role: "topics") }
        return try await ReleaseError.releasing(agent.name, at: nodes) { node, role in
            let answer = try await self.command(
                "release", toNode: node, role: role, arguments, timeout: .seconds(10))
            return Int(answer["released"]?.integer ?? 0)
        }
    }
}

/// Some proxies did not give a moved agent what they had kept for it.
struct ReleaseError: Error, CustomStringConvertible {
    let agent: String
    /// Which of them, and why, in the order in which they were asked.
    let refusals: [(node: String, reason: String)]

    var description: String {
        "what was kept for \(agent) was not released by "
            + refusals.map { "\($0.node) (\($0.reason))" }.joined(separator: ", ")
    }

    /// Asks every node, whatever the others answer: what one keeps, no other can give.
    ///
    /// - Returns: How many envelopes they released together.
    static func releasing(
        _ agent: String, at nodes: [(name: String, role: String)],
        _ release: (_ node: String, _ role: String) async throws -> Int
    ) async throws(ReleaseError) -> Int {
        var released = 0
        var refusals: [(node: String, reason: String)] = []
        for node in nodes {
            do {
                released += try await release(node.name, node.role)
            } catch {
                refusals.append((node.name, "\(error)"))
            }
        }
        guard refusals.isEmpty else { throw ReleaseError(agent: agent, refusals: refusals) }
        return released
    }
}
