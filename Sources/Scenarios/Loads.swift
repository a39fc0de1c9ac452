internal import Control
internal import JSON
internal import Topologies
internal import Wire

/// The loads of a step, from the first message of each agent to its last.
///
/// Messages of an agent are numbered through the whole run, so that contents never repeat and do
/// not depend on how a load was cut by a move; those of a recording are numbered as they stand in it.
actor Loads {
    private let mesh: Mesh
    private let timeout: Duration
    private var next: [String: Int] = [:]
    /// Whether what is left of the present loads is not to be sent any more.
    private var isEnough = false
    /// What could not be sent, and why.
    private var failures: [String] = []

    init(of mesh: Mesh, timeout: Duration) {
        self.mesh = mesh
        self.timeout = timeout
    }

    /// Sends the shares of all loads at the same time, and returns when the last has ended.
    ///
    /// - Parameters:
    ///   - loads: what each agent sends
    ///   - thirds: how much of each count this is, as a range of its thirds
    func send(_ loads: [Scenario.Load], thirds: Range<Int> = 0..<3) async {
        isEnough = false
        await withTaskGroup { group in
            for load in loads {
                for agent in mesh.topology.agents(referredToAs: load.agent) {
                    let first = load.count * thirds.lowerBound / 3
                    let count = load.count * thirds.upperBound / 3 - first
                    group.addTask {
                        await self.send(load, by: agent.name, from: first, count: count)
                    }
                }
            }
        }
    }

    /// Has the loads that run end where they are, and what is left of them not be sent.
    func end() async {
        isEnough = true
        await withTaskGroup { group in
            for agent in mesh.speaking {
                // Who does not know the command sends its load to the end.
                group.addTask { _ = try? await self.mesh.command("enough", to: agent.name) }
            }
        }
    }

    /// What could not be sent since the last time this was asked.
    func takeFailures() -> [String] {
        defer { failures = [] }
        return failures
    }

    private func send(
        _ load: Scenario.Load, by agent: String, from first: Int, count: Int
    ) async {
        let start = load.recording == nil ? next[agent, default: 0] : first
        if load.recording == nil { next[agent] = start + count }
        var position = start
        let end = start + count
        let deadline = ContinuousClock.now + timeout
        let began = mesh.context.clock.now
        while position < end {
            if isEnough { return }
            guard await waitUntilUp(agent, deadline: deadline) else {
                failures.append("\(agent) was not up to send its load")
                return
            }
            do {
                let answer = try await mesh.command(
                    "load", to: agent, load.arguments(start: position, count: end - position),
                    timeout: .seconds(max(1, (deadline - .now).components.seconds)))
                position += Int(answer["messages"]?.integer ?? 0)
                if let failed = answer["failed"]?.integer, failed > 0 {
                    let reason = answer["failure"]?.string.map { ": \($0)" } ?? ""
                    failures.append(
                        "\(agent) could not send \(failed) envelopes of its load\(reason)")
                }
                if answer["cut"]?.bool == true { return }
                // A drained agent says how far it came; its next incarnation goes on from there.
                guard answer["unfinished"]?.bool == true || position >= end else {
                    failures.append("\(agent) ended its load at message \(position) of \(end)")
                    return
                }
            } catch ControlError.refused where !mesh.book.isSettled(agent) {
                // It is being moved: its next incarnation takes the command.
                continue
            } catch {
                if Task.isCancelled { return }
                if Self.hasEnded(error), ContinuousClock.now < deadline,
                    let done = await mesh.sentAnyhow(load, by: agent, from: began)
                {
                    position = min(end, start + done)
                    continue
                }
                failures.append("the load of \(agent) ended: \(error)")
                return
            }
        }
    }

    /// Whether an answer did not come because nobody is left who would give it.
    private static func hasEnded(_ error: any Error) -> Bool {
        switch error {
        case ControlError.ended, ControlError.unreachable: true
        default: false
        }
    }

    private func waitUntilUp(_ agent: String, deadline: ContinuousClock.Instant) async -> Bool {
        while !mesh.book.isSettled(agent) {
            if ContinuousClock.now > deadline || Task.isCancelled { return false }
            // Who ended for good does not come back; who is only being moved does.
            if await mesh.breakage != nil, !mesh.book.isMoving(agent) { return false }
            try? await ContinuousClock().sleep(for: .milliseconds(5))
        }
        return true
    }
}

extension MeshBook {
    func isMoving(_ agent: String) -> Bool { withLock { $0.moving.contains(agent) } }

    /// Whether the agent is ready and is not being moved.
    func isSettled(_ agent: String) -> Bool {
        withLock { book in
            book.ready[agent] != nil && book.ready[agent] == book.incarnations[agent]
                && !book.moving.contains(agent)
        }
    }
}
