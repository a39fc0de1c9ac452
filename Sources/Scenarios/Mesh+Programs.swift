internal import Control
internal import Foundation
internal import Glibc
internal import JSON
internal import Recording
internal import Supervision
internal import Threads
internal import Topologies
internal import Wire

/// Programs of the user's that do not keep the control contract: how they are known to be up, when
/// they may be stopped, and how their part of the evidence is checked.
///
/// They say nothing to us. What they are to be asked, the proxies, the NATS server and the system
/// are asked instead.
extension Mesh {
    /// The longest that a program may go on working after its branch has begun to hold.
    private static let idleTimeout = Duration.seconds(5)
    /// For how long it must have been silent, and asleep, to count as idle.
    private static let idleWindow = Duration.milliseconds(500)
    private static let poll = Duration.milliseconds(25)

    /// Whether some part of the mesh records what passes on NATS for agents that are there.
    nonisolated var isWatching: Bool {
        let onNATS = book.withLock { $0.everOnNATS }
        return topology.agents.contains { !$0.keepsHistory && onNATS.contains($0.name) }
    }

    /// What has put the evidence in doubt since this was asked last.
    func takeDoubts() async -> [String] {
        await doubtStops()
        defer { doubts = [] }
        return doubts
    }

    // MARK: Up

    /// Waits until the server has the program's subscription: what is published before that is lost.
    func waitUntilSubscribed(_ agent: Agent) async throws {
        let deadline = ContinuousClock.now + Self.readyTimeout
        let process = place.process(agent.name)
        while ContinuousClock.now < deadline {
            if let subscriptions = try? await subscriptions(on: agent), !subscriptions.isEmpty {
                return
            }
            if let exit = try? await context.supervisor.waitExit(process, timeout: Self.poll) {
                throw EnvironmentError(
                    "could not start '\(agent.name)' on NATS", reason: exit.description)
            }
            try await ContinuousClock().sleep(for: Self.poll)
        }
        throw EnvironmentError(
            "could not start '\(agent.name)' on NATS",
            reason: "it did not subscribe to '\(Subject.inbox(of: agent.name))' within 15 s")
    }

    /// Who is subscribed to the agent's own subjects, branches and agents of ours aside, and how
    /// many messages the server has handed to each.
    private func subscriptions(on agent: Agent) async throws -> [Int64] {
        guard let server = topology.server(of: agent).flatMap({ servers[$0.name] }),
            let port = server.monitoringPort
        else { return [] }
        let answer = try await onDedicatedThread(named: "nats-monitor") {
            try NATSMonitor.get("/connz?subs=detail&limit=10000", port: port)
        }
        var counts: [Int64] = []
        for connection in answer["connections"]?.array ?? [] {
            let name = connection["name"]?.string ?? ""
            let isOurs = ["branch ", "topics ", "agent "].contains { name.hasPrefix($0) }
            guard !isOurs else { continue }
            for subscription in connection["subscriptions_list_detail"]?.array ?? []
            where subscription["subject"]?.string?.hasPrefix("agent.\(agent.name).") == true {
                counts.append(subscription["msgs"]?.integer ?? 0)
            }
        }
        return counts
    }

    // MARK: Moving

    /// Keeps programs from running that reach the agent past its branch: two that speak only the
    /// seed's wire, both on NATS.
    ///
    /// What they sent in between would come to the agent twice or not at all, and neither could
    /// tell.
    func pauseDirectPeers(of agent: Agent) async -> [String] {
        guard !agent.speaks else { return [] }
        var paused: [String] = []
        for peer in topology.agents
        where !peer.speaks && peer.name != agent.name && book.transport(of: peer.name) == .nats {
            do {
                try await context.supervisor.pause(
                    place.process(peer.name), fault: "move of \(agent.name)")
                paused.append(peer.name)
            } catch {
                // It does not run, so it sends nothing.
                continue
            }
        }
        // What the system has taken from them reaches the server.
        if !paused.isEmpty { try? await ContinuousClock().sleep(for: .milliseconds(100)) }
        return paused
    }

    func resume(_ peers: [String]) async {
        for peer in peers {
            // One that has ended meanwhile needs no help.
            try? await context.supervisor.resume(place.process(peer))
        }
    }

    /// Waits until the program has nothing to do any more, before it is stopped.
    func park(program agent: Agent) async {
        let isIdle = await waitUntilIdle([agent], atMost: Self.idleTimeout)
        await checkHanded(to: agent)
        stoppedPrograms.insert(agent.name)
        guard !isIdle else { return }
        context.report("  \(agent.name) was still at work when it was stopped")
        guard agent.answers.isEmpty else { return }
        doubts.append(
            "'\(agent.name)' was still at work when it was stopped to be moved: whether it had read "
                + "everything is not known, since its entry has no 'answers'")
    }

    /// Lets programs that send by themselves send no more, and whom they ask answer what is left.
    ///
    /// Who depends on others asks them; so it is kept from running first. It is not ended yet: what
    /// comes for it still has somewhere to go.
    func quiesce() async {
        guard topology.agents.contains(where: { !$0.answers.isEmpty }) else { return }
        var levels = topology.startOrder.map { level in
            level.filter { !$0.speaks && book.isReady($0.name) }
        }.filter { !$0.isEmpty }
        while levels.count > 1 {
            for agent in levels.removeLast() {
                // One that has ended already asks nothing.
                try? await context.supervisor.pause(
                    place.process(agent.name), fault: "the end of the run")
            }
            _ = await waitUntilIdle(levels.flatMap(\.self), atMost: Self.idleTimeout)
        }
    }

    /// Waits until programs have nothing to do any more: their branches have handed over what they
    /// had, nothing has come from them for a while, and all that time they slept.
    private func waitUntilIdle(_ agents: [Agent], atMost timeout: Duration) async -> Bool {
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        let names = Set(agents.map { place.process($0.name) })
        let groups = await context.supervisor.statuses().filter { names.contains($0.name) }
            .compactMap(\.process)
        var since = clock.now
        var last: Int64?
        while clock.now < deadline, !Task.isCancelled {
            var sent: Int64? = 0
            for agent in agents {
                let count = await sentBy(agent)
                sent = sent.flatMap { sum in count.map { sum + $0 } }
            }
            let isAtWork =
                (try? await onDedicatedThread(named: "process-states") {
                    groups.contains(where: ProcessGroup.isAtWork)
                }) ?? false
            if sent == nil || sent != last || isAtWork {
                since = clock.now
                last = sent
            } else if since.duration(to: clock.now) >= Self.idleWindow {
                return true
            }
            try? await clock.sleep(for: Self.poll)
        }
        return false
    }

    /// How many messages have come from the agent, wherever they were seen; `nil` while its branch
    /// has something left for it, or cannot say.
    private func sentBy(_ agent: Agent) async -> Int64? {
        var count: Int64 = 0
        for branch in topology.branches where !branch.provider.isForeign {
            guard
                let status = try? await command("status", toNode: branch.name, role: "branch", [:])
            else { return nil }
            if branch.name == agent.branch {
                let queued = status["agents"]?[agent.name]?["queued"]?.integer
                guard queued == 0 || status["agents"]?[agent.name]?["transport"] == "nats" else {
                    return nil
                }
            }
            for route in status["routes"]?.array ?? [] where route["source"]?.string == agent.name {
                count += route["count"]?.integer ?? 0
            }
        }
        return count
    }

    // MARK: Evidence

    /// A program that ends by itself takes with it what it was handed and had not read, and nobody
    /// but itself could have recorded that.
    func doubtReading(of part: String, because reason: String) {
        guard let agent = topology.agent(named: part), !agent.keepsHistory, agent.answers.isEmpty
        else { return }
        doubts.append(
            "'\(part)' keeps no history, and whether it had read all that it was handed is not "
                + "known: \(reason)")
    }

    /// A program that is stopped by a signal takes with it what it was handed and had not read,
    /// however long it had been silent and asleep: only what it promises to answer shows that.
    private func doubtStops() async {
        let agents = topology.agents.filter { stoppedPrograms.contains($0.name) }
        stoppedPrograms = []
        guard !agents.isEmpty else { return }
        let evidence: Evidence
        do {
            evidence = try await Evidence.read(place.directory, following: followed)
        } catch {
            return doubts.append("what the moved programs were handed could not be read: \(error)")
        }
        for agent in agents {
            let isForeign = topology.homeBranch(of: agent)?.provider.isForeign ?? false
            // Behind a proxy of the user's own nobody records what the program is handed, so
            // nobody can hold it to its promises either.
            let types = evidence.types(for: agent.name, isForeign ? .sent : .delivered)
                .subtracting(isForeign ? [] : agent.answers.map(\.request)).sorted()
            guard let first = types.first else { continue }
            doubts.append(
                "'\(agent.name)' was stopped by a signal to be moved, and whether it had read every "
                    + types.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
                    + " that it was handed is not known: "
                    + (isForeign
                        ? "the proxy of its branch is your own"
                        : "say in its entry what it answers, 'answers: { \(first): … }', or have it "
                            + "keep 'contract: full'"))
        }
    }

    /// Looks for programs that closed a connection while they ran: what that held is gone with it.
    func checkConnections() async {
        for agent in topology.agents
        where !agent.keepsHistory && agent.answers.isEmpty && book.isReady(agent.name)
            && topology.homeBranch(of: agent)?.provider.isForeign == false
        {
            let status = try? await command("status", toNode: agent.branch, role: "branch", [:])
            let entry = status?["agents"]?[agent.name]
            guard let count = entry?["disconnects"]?.integer else { continue }
            let incarnation = book.incarnation(of: agent.name)
            let known = disconnects[agent.name] ?? (incarnation: 1, count: 0)
            disconnects[agent.name] = (incarnation, count)
            // The connection of one that ended went with it, and that is known otherwise.
            guard known.incarnation == incarnation, count > known.count else { continue }
            doubts.append(
                "'\(agent.name)' closed its connection to \(agent.branch) while it ran, and whether "
                    + "it had read all that it was handed by it is not known, since its entry has no "
                    + "'answers'")
        }
    }

    /// Holds what the branches say they handed to programs on NATS against what the server says.
    func checkHanded() async {
        for agent in topology.agents
        where !agent.speaks && agent.wire == .json && book.transport(of: agent.name) == .nats {
            await checkHanded(to: agent)
        }
    }

    private func checkHanded(to agent: Agent) async {
        guard agent.wire == .json, book.transport(of: agent.name) == .nats,
            book.isReady(agent.name)
        else { return }
        let deadline = ContinuousClock.now + .seconds(2)
        var said: (branch: Int64, server: [Int64])?
        // Both go on counting while they are asked.
        while ContinuousClock.now < deadline {
            let before = await handed(to: agent)
            guard let counts = try? await subscriptions(on: agent), let before,
                let after = await handed(to: agent)
            else { break }
            said = (after, counts)
            if counts.count == 1, before...max(before, after) ~= counts[0] { return }
            try? await ContinuousClock().sleep(for: Self.poll)
        }
        guard let said else {
            return doubts.append("whether '\(agent.name)' got all from NATS could not be asked")
        }
        guard said.server.count == 1 else {
            return doubts.append(
                "'\(agent.name)' has \(said.server.count) subscriptions to its own subjects on NATS, "
                    + "so what it got cannot be counted")
        }
        doubts.append(
            "the NATS server handed \(said.server[0]) messages to '\(agent.name)', "
                + "\(said.branch) were recorded as delivered")
    }

    private func handed(to agent: Agent) async -> Int64? {
        let status = try? await command("status", toNode: agent.branch, role: "branch", [:])
        return status?["agents"]?[agent.name]?["handed"]?.integer
    }
}

extension Topology {
    /// Whether branches watch what passes on NATS: an agent that keeps no history can be there.
    var isTapped: Bool {
        agents.contains { agent in
            !agent.keepsHistory && server(of: agent) != nil && agent.launch(on: .nats) != nil
                && homeBranch(of: agent)?.provider.isForeign == false
        }
    }

    /// The agents that keep no history, as configurations have them.
    var unrecorded: Value {
        .array(agents.filter { !$0.keepsHistory }.map { .string($0.name) })
    }

    /// What an agent is told of batches: its own rule, and who takes none.
    ///
    /// Who is subscribed to a topic is not known of a program that keeps no contract.
    func batching(_ rule: BatchRule) -> Value {
        [
            "messages": Value(rule.messages), "bytes": Value(rule.bytes),
            "latency_us": Value(Int(rule.latency / .microseconds(1))),
            "single": .array(agents.filter { !$0.takesBatches }.map { .string($0.name) }),
            "single_topics": .bool(agents.contains { !$0.speaks }),
        ]
    }

    /// The agents that speak only the seed's wire, and whose branch translates for them.
    var seedAgents: Value {
        let translated = agents.filter { agent in
            agent.wire == .json && !agent.speaks
                && homeBranch(of: agent)?.provider.isForeign == false
        }
        return .array(translated.map { .string($0.name) })
    }
}

/// The processes of a group, as the system sees them.
enum ProcessGroup {
    /// Whether any of its threads runs, wants to, or waits for a disk.
    static func isAtWork(_ group: Int32) -> Bool {
        let files = FileManager.default
        for entry in (try? files.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard Int32(entry) != nil, fields(of: "/proc/\(entry)/stat")?.group == group else {
                continue
            }
            for task in (try? files.contentsOfDirectory(atPath: "/proc/\(entry)/task")) ?? [] {
                let state = fields(of: "/proc/\(entry)/task/\(task)/stat")?.state
                if state == "R" || state == "D" { return true }
            }
        }
        return false
    }

    /// The state and the process group of a line of `stat`; what is in parentheses may hold anything.
    private static func fields(of path: String) -> (state: Substring, group: Int32)? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 2, let group = Int32(fields[2]) else { return nil }
        return (fields[0], group)
    }
}
