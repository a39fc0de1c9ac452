internal import Control
internal import Foundation
internal import JSON
internal import Recording
internal import Supervision
internal import Topologies

/// Programs beside the mesh, and the order in which they and the agents start and end.
extension Mesh {
    /// How long a part may take until its probes say that it is ready, beside its startup probes.
    private static let probesTimeout = Duration.seconds(60)

    /// Starts agents and helper processes, each as soon as what it waits for is so.
    func startParts() async throws {
        for group in topology.groups {
            await context.supervisor.group(
                GroupRule(
                    name: group.name,
                    strategy: GroupStrategy(rawValue: group.strategy.rawValue) ?? .oneForOne,
                    members: group.members.map(place.process),
                    maxRestarts: group.maximumRestarts, period: group.period))
        }
        try await withThrowingTaskGroup { group in
            for agent in topology.agents {
                group.addTask {
                    try await self.board.wait(for: agent.dependencies, of: agent.name)
                    try await self.start(agent)
                    self.board.reach(.ready, agent.name)
                }
            }
            for process in topology.processes {
                group.addTask {
                    try await self.board.wait(for: process.dependencies, of: process.name)
                    try await self.start(process)
                }
            }
            try await group.waitForAll()
        }
    }

    func start(_ process: HelperProcess) async throws {
        let (context, place, topology, control) = (context, place, topology, control.endpoint)
        let book = book
        do {
            try await context.supervisor.spawn(place.process(process.name)) { incarnation in
                Mesh.specification(
                    of: process, in: topology, incarnation: incarnation, book: book, place: place,
                    context: context, control: control)
            }
        } catch {
            throw EnvironmentError("could not start '\(process.name)'", reason: "\(error)")
        }
        board.reach(.started, process.name)
        // One that has done its work before anybody asked has no probes to wait for.
        if !process.upkeep.probes.isEmpty { try await waitForProbes(of: process.name) }
        book.withLock { $0.ready[process.name] = $0.incarnations[process.name] ?? 1 }
        board.reach(.ready, process.name)
        context.report("  \(place.process(process.name)) ready")
    }

    /// How an incarnation of a helper process is started.
    private static func specification(
        of process: HelperProcess, in topology: Topology, incarnation: UInt32, book: MeshBook,
        place: MeshPlace, context: RunContext, control: String
    ) -> ProcessSpecification {
        var environment = environment(
            of: process.name, incarnation: incarnation, context: context, place: place,
            control: control)
        // It keeps no history and obeys no commands.
        environment["SYNMESH_HISTORY"] = nil
        environment["SYNMESH_CONTROL"] = nil
        // What other parts are found by is known by now: processes start after them.
        let own = process.environment.mapValues { text in
            RunReference.resolved(text) { book.value(of: $0) }
        }
        let words = process.command.map { text in
            RunReference.resolved(text) { book.value(of: $0) }
        }
        var specification = ProcessSpecification(
            executable: words.first ?? "", arguments: Array(words.dropFirst()),
            environment: environment.merging(own) { _, own in own },
            workingDirectory: process.upkeep.workingDirectory ?? topology.directory,
            logPath: place.directory.processLogPath(name: process.name),
            showsOnConsole: context.options.showsOutput, restart: process.restart.supervision,
            grace: process.upkeep.grace,
            limits: process.upkeep.limits.supervision,
            probes: process.upkeep.probes.map(\.supervision))
        specification.notesTimes = true
        specification.logLimit = process.upkeep.log.map { LogLimit(bytes: $0.size, kept: $0.kept) }
        return specification
    }

    /// Waits until a part's probes say that it is ready.
    ///
    /// - Throws: `EnvironmentError` with what is missing, or how it ended.
    func waitForProbes(of part: String) async throws {
        let upkeep = topology.agent(named: part)?.upkeep ?? helper(named: part)?.upkeep
        let startup = (upkeep?.probes ?? []).filter { $0.role == .startup }.map { probe in
            probe.delay + (probe.period + probe.timeout) * probe.failures
        }
        let deadline = ContinuousClock.now + Self.probesTimeout + (startup.max() ?? .zero)
        var missing = ""
        // In slices, so that a start that was given up does not wait for it.
        while ContinuousClock.now < deadline, !Task.isCancelled {
            switch await context.supervisor.waitReady(
                place.process(part), timeout: .milliseconds(250))
            {
            case .ready: return
            case .ended(let report):
                throw EnvironmentError(
                    "could not start '\(part)'", reason: report.description,
                    remedy: "See \(place.directory.processLogPath(name: part)).")
            case .late(let reason): missing = reason
            }
        }
        try Task.checkCancellation()
        throw EnvironmentError(
            "could not start '\(part)'", reason: "it is not ready: \(missing)",
            remedy: "See \(place.directory.processLogPath(name: part)).")
    }

    /// Waits until a part that was started again is ready.
    ///
    /// - Throws: `EnvironmentError` when it is not in time.
    func waitForReturn(of part: String, incarnation: UInt32) async throws {
        if let process = helper(named: part) {
            // One that has done its work by now has no probes to wait for.
            if !process.upkeep.probes.isEmpty { try await waitForProbes(of: part) }
            return
        }
        let deadline = ContinuousClock.now + Self.readyTimeout
        while ContinuousClock.now < deadline, !Task.isCancelled {
            if book.incarnation(of: part) >= incarnation, book.isReady(part) { return }
            try? await ContinuousClock().sleep(for: .milliseconds(10))
        }
        throw EnvironmentError(
            "could not start '\(part)' again", reason: "it did not say that it is ready",
            remedy: "See \(place.directory.processLogPath(name: part)).")
    }

    // MARK: Ends

    /// Whether an end that nobody asked for is one that the mesh goes on after.
    func isTolerated(_ report: ExitReport, of part: String) -> Bool {
        guard let process = helper(named: part) else { return false }
        return !report.isFailure || !process.isEssential
    }

    /// What is to end before what: who waits for others ends before them, proxies after all agents,
    /// servers last.
    var levelsOfStop: [[String]] {
        let nodes = topology.branches.map(\.nodeName) + topology.topicProxies.map(\.nodeName)
        let foreign =
            topology.branches.filter(\.provider.isForeign).map(\.name)
            + topology.topicProxies.filter(\.provider.isForeign).map(\.name)
        let more = book.withLock { Array($0.helpers.values) }
        let parts = topology.startLevels.reversed().map { level in
            // What came by scaling ends with those that it is like.
            level + more.filter { level.contains("\($0.group)-1") }.map(\.name)
        }
        let levels =
            parts + [nodes, foreign, topology.servers.map(\.name)]
        return levels.filter { !$0.isEmpty }.map { $0.map(place.process) }
    }

    /// How long all of it may take to end.
    var graceOfStop: Duration {
        let own =
            topology.agents.map(\.upkeep.grace) + topology.processes.map(\.upkeep.grace)
        let hasNodes =
            !(topology.branches.isEmpty && topology.topicProxies.isEmpty
            && topology.servers.isEmpty)
        return max(own.max() ?? .zero, hasNodes ? .seconds(5) : .zero)
    }
}

extension Upkeep.Limits {
    /// The same limits in the supervisor's words.
    var supervision: ResourceLimits {
        ResourceLimits(
            addressSpace: memory, files: files, fileSize: fileSize,
            processorSeconds: processorTime.map { Int($0.components.seconds) }, nice: nice)
    }
}

extension Probe {
    /// The same probe in the supervisor's words.
    var supervision: ProbeRule {
        let test: ProbeRule.Test =
            switch self.test {
            case .command(let words): .command(words)
            case .http(let host, let port, let path): .http(host: host, port: port, path: path)
            case .tcp(let host, let port): .tcp(host: host, port: port)
            case .line(let pattern): .line(pattern)
            case .descriptor(let number): .descriptor(Int32(number))
            }
        return ProbeRule(
            name: name, role: ProbeRule.Role(rawValue: role.rawValue) ?? .readiness, test: test,
            delay: delay, period: period, timeout: timeout, successes: successes,
            failures: failures)
    }
}
