internal import Analysis
internal import JSON
internal import Supervision
internal import Topologies

/// Whether the proxies recorded what they were to: what a proxy could not record, no history tells,
/// so a run of which that is true must not be judged as if it were whole.
extension Mesh {
    /// Asks every proxy that is up, and says why the evidence may lack something.
    ///
    /// What one could not record stays known, also when it is killed or restarted later.
    func recordDoubts() async -> [StepVerdict] {
        var silent: [String] = []
        let nodes =
            topology.branches.map { ($0.nodeName, "branch") }
            + topology.topicProxies.map { ($0.nodeName, "topics") }
        for (node, role) in nodes where book.isReady(node) {
            let incarnation = book.incarnation(of: node)
            do {
                let status = try await command("status", toNode: node, role: role, [:])
                remember(
                    unrecorded: status["history_failures"]?.integer ?? 0, by: node,
                    incarnation: incarnation)
            } catch {
                // One that has just been killed is not to be asked.
                guard book.isReady(node), book.incarnation(of: node) == incarnation else {
                    continue
                }
                silent.append(
                    "\(place.process(node)) does not say whether it recorded everything: \(error)")
            }
        }
        return knownDoubts + silent.map { StepVerdict(.inconclusive, reason: $0.asSentence) }
    }

    /// Stops the mesh, and says why the evidence that it leaves may lack something.
    func stopAskingForDoubts() async -> [StepVerdict] {
        let asked = await recordDoubts()
        await stop()
        let known = knownDoubts
        return known + asked.filter { !known.contains($0) }
    }

    private var knownDoubts: [StepVerdict] {
        unrecorded.sorted { $0.key < $1.key }.map {
            StepVerdict(.inconclusive, reason: $0.value.asSentence)
        }
    }

    private func remember(unrecorded count: Int64, by node: String, incarnation: UInt32) {
        guard count > 0 else { return }
        unrecorded["\(node) \(incarnation)"] =
            "\(place.process(node)) could not record \(count) times what it passed on or dropped"
    }

    /// A proxy ends with an error where it could not record its last words.
    func heed(endOf report: ExitReport) {
        guard report.attribution == .us, report.cause != .exited(code: 0),
            let node = place.part(report.name),
            // A proxy of the user's own records nothing, and ends as it likes.
            topology.branches.contains(where: { $0.nodeName == node })
                || topology.topicProxies.contains(where: { $0.nodeName == node })
        else { return }
        let key = "\(node) \(report.incarnation)"
        guard unrecorded[key] == nil else { return }
        unrecorded[key] =
            "\(report.name) did not end in order, and may not have recorded everything"
    }
}
