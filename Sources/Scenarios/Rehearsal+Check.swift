internal import Analysis
internal import Checkers
internal import Histories
internal import Recording
internal import Threads
internal import Wire

/// Steps that send nothing: checkers look at all that was recorded.
extension Rehearsal {
    func play(_ check: Scenario.Check) async throws -> StepVerdict {
        let started = context.clock.now
        var scope = await scope()
        // Programs that send by themselves never end: they are looked at up to here.
        scope.window = 0...started
        if let mesh {
            _ = try await mesh.settle(
                since: 0, scope: scope, timeout: scenario.drainTimeout)
        }
        guard let files = try? HistoryFiles(context.directory.path) else {
            return add(
                StepVerdict(.inconclusive, reason: "Nothing was recorded yet."), named: "check",
                kind: "check", started: started)
        }
        var verdicts: [StepVerdict] = []
        for part in files.parts {
            var scope = scope
            // In the meshes of twins nothing is broken.
            if !part.name.isEmpty { scope.faults = [] }
            let asked = scope
            let outcomes = try await onDedicatedThread(named: "check") {
                try Checkers.outcomes(
                    of: check.checkers, on: part.paths, in: asked,
                    limits: CommandLimits(time: check.timeout, directory: check.directory))
            }
            for outcome in outcomes {
                notes += outcome.findings
                let place = part.name.isEmpty ? "" : " in \(part.name)"
                verdicts.append(
                    add(
                        StepVerdict(outcome.verdict, reason: outcome.reason.asSentence),
                        named: "check \(outcome.name)\(place)", kind: "check", started: started))
            }
        }
        return .composed(of: verdicts)
    }
}
