internal import Analysis
internal import JSON
internal import Supervision
internal import Topologies
internal import Wire

/// The faults of a run: applied when they are due, healed, and remembered for the verdict.
actor Faults {
    struct Record: Sendable {
        var id: String
        var fault: Scenario.ScheduledFault
        var started: UInt64
        var healed: UInt64?
        /// From when on nothing depended any more on what the fault broke.
        var contained: UInt64?
        /// The agents whose envelopes it may have touched.
        var reach: Set<String>
    }

    private let mesh: Mesh
    private(set) var records: [Record] = []
    /// Those that last until they are healed, by their places among the records.
    private var standing: [Int] = []
    /// What could not be applied: a rehearsal without its fault proves nothing.
    private var failures: [String] = []

    /// What could not be applied since the last time this was asked.
    func takeFailures() -> [String] {
        defer { failures = [] }
        return failures
    }

    init(in mesh: Mesh) { self.mesh = mesh }

    /// Applies the faults at their times, counted from now; returns when the last is healed.
    func play(_ faults: [Scenario.ScheduledFault]) async {
        await withTaskGroup { group in
            for fault in faults { group.addTask { await self.play(fault) } }
        }
    }

    private func play(_ fault: Scenario.ScheduledFault) async {
        do { try await ContinuousClock().sleep(for: fault.after) } catch { return }
        await play(fault, inMoveOf: nil, applied: {})
    }

    /// Applies a fault now; returns when it is healed.
    ///
    /// - Parameters:
    ///   - fault: The fault.
    ///   - moving: The agent in whose move it happens, which it then reaches whatever it is done to.
    ///   - applied: Called as soon as it is there, or cannot be.
    func play(
        _ fault: Scenario.ScheduledFault, inMoveOf moving: String?,
        applied: @Sendable () async -> Void
    ) async {
        let clock = ContinuousClock()
        let context = mesh.context
        let process = mesh.place.process(fault.target)
        let index = records.count
        let id = "\(fault.kind.rawValue)-\(index + 1)"
        let incarnation = mesh.book.incarnation(of: fault.target)
        records.append(
            Record(
                id: id, fault: fault, started: context.clock.now,
                reach: reach(of: fault.target).union(moving.map { [$0] } ?? [])))
        context.report("  fault \(id): \(fault.kind.rawValue) \(fault.target)")
        context.note("fault", ["id": .string(id), "target": .string(process)])
        do {
            switch fault.kind {
            case .kill:
                try await context.supervisor.kill(process, fault: id)
                await applied()
                await waitForReturn(of: fault.target, after: incarnation)
                if mesh.book.incarnation(of: fault.target) == incarnation { return }
            case .stop:
                try await context.supervisor.pause(process, fault: id)
                await applied()
                // Cancelled or not, a paused process is let go: no fault without a heal.
                try? await clock.sleep(for: fault.duration ?? .zero)
                try await context.supervisor.resume(process)
            }
            records[index].healed = context.clock.now
            context.note("healed", ["id": .string(id)])
        } catch {
            await applied()
            failures.append("fault \(id) could not be applied to \(fault.target): \(error)")
        }
    }

    /// Applies a fault that stays until `heal`; one that kills is over when the part is back, as ever.
    func begin(_ fault: Scenario.ScheduledFault) async {
        guard fault.kind == .stop else { return await play(fault, inMoveOf: nil, applied: {}) }
        let context = mesh.context
        let id = "\(fault.kind.rawValue)-\(records.count + 1)"
        records.append(
            Record(
                id: id, fault: fault, started: context.clock.now, reach: reach(of: fault.target)))
        context.report("  fault \(id): \(fault.kind.rawValue) \(fault.target)")
        do {
            try await context.supervisor.pause(mesh.place.process(fault.target), fault: id)
            standing.append(records.count - 1)
        } catch {
            failures.append("fault \(id) could not be applied to \(fault.target): \(error)")
        }
    }

    /// Lets go what is still standing at the end of a run.
    ///
    /// - Returns: What was.
    func release() async -> [String] {
        let left = standing.map { records[$0].fault.target }
        for target in left {
            try? await mesh.context.supervisor.resume(mesh.place.process(target))
        }
        standing = []
        return left
    }

    /// Ends all that `begin` began.
    ///
    /// - Returns: What was healed.
    func heal() async -> [String] {
        var healed: [String] = []
        for index in standing {
            let record = records[index]
            do {
                try await mesh.context.supervisor.resume(mesh.place.process(record.fault.target))
                records[index].healed = mesh.context.clock.now
                healed.append(record.fault.target)
                mesh.context.note("healed", ["id": .string(record.id)])
            } catch {
                failures.append("\(record.fault.target) could not be healed: \(error)")
            }
        }
        standing = []
        return healed
    }

    /// A part with a restart policy heals by coming back; one without stays as it is.
    private func waitForReturn(of part: String, after incarnation: UInt32) async {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline, await mesh.breakage == nil, !Task.isCancelled {
            if mesh.book.incarnation(of: part) > incarnation, mesh.book.isReady(part) { break }
            try? await ContinuousClock().sleep(for: .milliseconds(10))
        }
        guard mesh.topology.server(named: part) != nil else { return }
        // What one agent publishes before another is connected again goes nowhere, by the same fault.
        while ContinuousClock.now < deadline, await mesh.breakage == nil, !Task.isCancelled {
            let statuses = await mesh.agentStatuses()
            let isWhole = statuses.allSatisfy { name, status in
                mesh.book.transport(of: name) != .nats || status["connected"]?.bool != false
            }
            var areBranchesWhole = true
            for branch in mesh.topology.branches where !branch.provider.isForeign {
                let status = try? await mesh.command(
                    "status", toNode: branch.nodeName, role: "branch", [:])
                if status?["nats"]?["connected"]?.bool == false { areBranchesWhole = false }
            }
            if isWhole, areBranchesWhole { return }
            try? await ContinuousClock().sleep(for: .milliseconds(10))
        }
    }

    /// What each fault reached and when, for the checkers.
    ///
    var windows: [FaultWindow] {
        records.map { record in
            FaultWindow(
                id: record.id, kind: record.fault.kind.rawValue, target: record.fault.target,
                started: record.started, healed: record.healed ?? record.contained,
                reach: .agents(record.reach),
                // At a step of a move everybody hears on two ways: a process that stands still there loses
                // nothing, and nobody who lives is given anything twice.
                explains: record.fault.step.map { _ in
                    record.fault.kind == .stop ? [.late] : [.lost, .late]
                })
        }
    }

    /// A fault on an agent touches what goes to or from it; one on a branch what goes to or from
    /// the branch's agents; one on a topic proxy its publishers' and subscribers' envelopes; one on a
    /// server those of agents that are on NATS.
    private func reach(of target: String) -> Set<String> {
        let topology = mesh.topology
        let agents: [Agent]
        if topology.branch(named: target) != nil {
            agents = topology.agents.filter { $0.branch == target }
        } else if let proxy = topology.topicProxies.first(where: { $0.name == target }) {
            agents = topology.agents.filter { agent in
                // What a program of the user's publishes or hears, only it knows.
                agent.kind == nil
                    || (agent.publishedTopics + agent.subscribedTopics).contains {
                        proxy.serves($0)
                    }
            }
        } else if topology.server(named: target) != nil {
            agents = topology.agents.filter { mesh.book.transport(of: $0.name) == .nats }
        } else {
            return [target]
        }
        return Set(agents.map(\.name))
    }

    /// After a rollback: what went wrong for good explains nothing that is sent from now on.
    func contain() {
        let now = mesh.context.clock.now
        for index in records.indices where records[index].healed == nil {
            records[index].contained = records[index].contained ?? now
        }
    }

    func reports(touched: [String: Int]) -> [FaultReport] {
        records.map { record in
            FaultReport(
                id: record.id, kind: record.fault.kind.rawValue, target: record.fault.target,
                startedMilliseconds: mesh.context.milliseconds(at: record.started),
                healedMilliseconds: record.healed.map { mesh.context.milliseconds(at: $0) },
                touched: touched[record.id] ?? 0)
        }
    }
}
