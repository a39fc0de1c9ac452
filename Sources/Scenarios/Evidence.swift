internal import Analysis
internal import JSON
internal import Recording
internal import Synchronization
internal import Threads
internal import Topologies
internal import Wire

/// What a mesh's histories say, read while it runs or after its end.
struct Evidence: Sendable {
    let histories: [History]

    /// Reads every history of a mesh.
    ///
    /// Damage is a note in the history; a file that cannot be opened at all is an error, never a
    /// reason to judge without it.
    static func read(
        _ directory: RunDirectory, following followed: FollowedHistories = FollowedHistories()
    ) async throws -> Evidence {
        try await onDedicatedThread(named: "evidence") {
            try followed.read(directory)
        }
    }

    /// Reads and checks, off the pool and off the mesh's actor: both take their time.
    static func check(
        _ directory: RunDirectory, in scope: DeliveryScope,
        following followed: FollowedHistories = FollowedHistories()
    ) async throws -> (evidence: Evidence, report: DeliveryReport) {
        let evidence = try await read(directory, following: followed)
        let report = try await onDedicatedThread(named: "check") {
            Delivery.check(evidence.histories, in: scope)
        }
        return (evidence, report)
    }

    /// Only what was sent within the times; annotations stay, as they say what they are about.
    func within(_ window: ClosedRange<UInt64>) -> [History] {
        histories.map { history in
            var part = history
            part.records = history.records.filter { window.contains($0.sent) }
            return part
        }
    }

    /// How many envelopes an agent sent or was delivered over a transport.
    func traffic(
        over transport: String, through agent: String, within window: ClosedRange<UInt64>
    ) -> Int {
        histories.reduce(0) { count, history in
            let counts = history.records.kinds.map { kind in
                kind.lane == .primary && kind.transport == transport
                    && (kind.agent == agent
                        || kind.direction == .sent && kind.flow.source == agent
                        || kind.direction == .delivered
                            && kind.flow.destination == .agent(agent))
            }
            var count = count
            history.records.forEachEntry { _, entry in
                if counts[entry.kind], window.contains(entry.sent) { count += 1 }
            }
            return count
        }
    }

    /// The types of the messages to an agent, as they were sent, or as they were delivered.
    func types(for agent: String, _ direction: Direction) -> Set<String> {
        var types: Set<String> = []
        for kind in histories.lazy.flatMap(\.records.kinds)
        where kind.lane == .primary && kind.direction == direction
            && kind.flow.destination == .agent(agent)
        {
            types.insert(kind.type)
        }
        return types
    }

    /// Envelopes of the primary lane of which no shadow copy was sent, by agents that record.
    func unshadowed(by agents: Set<String>, within window: ClosedRange<UInt64>) -> [Identity] {
        var primary: Set<Identity> = []
        var shadow: Set<Identity> = []
        for record in histories.lazy.flatMap(\.records)
        where record.direction == .sent && window.contains(record.sent)
            && agents.contains(record.agent)
        {
            switch record.lane {
            case .primary: primary.insert(record.identity)
            case .shadow: shadow.insert(record.identity)
            }
        }
        return primary.subtracting(shadow).sorted()
    }
}

/// The histories of a mesh as far as they were read, so that each look reads only what is new.
final class FollowedHistories: Sendable {
    private let followers = Mutex<[String: HistoryFollower]>([:])

    func read(_ directory: RunDirectory) throws -> Evidence {
        let paths = try directory.histories()
        return try followers.withLock { followers in
            var histories: [History] = []
            for path in paths {
                var follower = followers.removeValue(forKey: path) ?? HistoryFollower(path: path)
                histories.append(try follower.read())
                followers[path] = follower
            }
            return Evidence(histories: histories)
        }
    }
}

extension Mesh {
    /// Waits until everything that was sent has arrived, or nothing has moved for the timeout.
    ///
    /// The agents' own counters say when the mesh is quiet, the histories whether anything is
    /// missing: so a slow machine is waited for, and a loss costs the timeout once.
    func settle(
        since start: UInt64, scope: DeliveryScope, timeout: Duration
    ) async throws -> (evidence: Evidence, report: DeliveryReport) {
        let clock = ContinuousClock()
        var progressed = clock.now
        var best = -1
        var read = -1
        // Programs that send by themselves never end: they are judged up to here.
        var end: UInt64?
        while true {
            await waitUntilQuiet(timeout: timeout)
            if end == nil, topology.agents.contains(where: { !$0.speaks }) {
                end = context.clock.now
            }
            var scope = scope
            scope.window = start...(end ?? context.clock.now)
            scope.isWatching = isWatching
            let (evidence, report) = try await Evidence.check(
                place.directory, in: scope, following: followed)
            // A content in shared memory is read after its descriptor was delivered.
            let isDone = report.counts.deviations.lost == 0 && report.unread == 0
            if isDone || Task.isCancelled { return (evidence, report) }
            if report.counts.delivered > best || report.counts.delivered - report.unread > read {
                best = report.counts.delivered
                read = report.counts.delivered - report.unread
                progressed = clock.now
            } else if progressed.duration(to: clock.now) > timeout {
                return (evidence, report)
            }
        }
    }

    private func waitUntilQuiet(timeout: Duration) async {
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        var last: [String: Value] = [:]
        while clock.now < deadline {
            let now = await agentStatuses()
            let isBusy = now.values.contains { status in
                status["loading"]?.bool == true || (status["held"]?.integer ?? 0) > 0
                    || (status["unacknowledged"]?.integer ?? 0) > 0
            }
            if !isBusy, now == last { return }
            last = now
            try? await clock.sleep(for: .milliseconds(50))
        }
    }
}
