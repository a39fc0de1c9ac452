internal import JSON
internal import Recording
internal import Threads
internal import Topologies
internal import Wire

/// What agents have sent that is not done with: what is kept until it is acknowledged, and loads of those that
/// were killed.
extension Mesh {
    /// Longer than the longest wait of a sender between two attempts.
    private static let acknowledgementsTimeout = Duration.seconds(3)
    private static let poll = Duration.milliseconds(25)

    /// Waits, while there is progress, until everything sent at least once is acknowledged: an agent
    /// that ends can send nothing again.
    func waitForAcknowledgements() async {
        guard topology.agents.contains(where: { $0.delivery == .atLeastOnce }) else { return }
        let clock = ContinuousClock()
        var least = Int64.max
        var progressed = clock.now
        while progressed.duration(to: clock.now) < Self.acknowledgementsTimeout {
            let kept = await agentStatuses().values.reduce(Int64(0)) {
                $0 + ($1["unacknowledged"]?.integer ?? 0)
            }
            if kept == 0 || Task.isCancelled { return }
            if kept < least {
                least = kept
                progressed = clock.now
            }
            try? await clock.sleep(for: Self.poll)
        }
        context.report("  \(least) envelopes are not acknowledged")
    }

    /// How many messages of a load an agent has on record as sent that was killed meanwhile and comes
    /// back; `nil` where its loads end with it.
    ///
    /// What is on record was sent, or is sent again by who keeps it, so its load goes on behind it.
    func sentAnyhow(_ load: Scenario.Load, by name: String, from start: UInt64) async -> Int? {
        guard let agent = topology.agent(named: name), agent.keepsHistory,
            agent.restart.condition != .never, breakage == nil
        else { return nil }
        let directory = place.directory
        return try? await onDedicatedThread(named: "sent") {
            var counts: [Address: Int] = [:]
            for path in try directory.histories() {
                let history = try HistoryReader.read(path: path)
                guard history.process == name else { continue }
                for record in history.records
                where record.direction == .sent && record.lane == .primary
                    && (load.type ?? record.type) == record.type && record.sent >= start
                {
                    counts[record.identity.flow.destination, default: 0] += 1
                }
            }
            // The one that was sent to some alone when it was killed is sent to all again, as another.
            return counts.values.min() ?? 0
        }
    }
}
