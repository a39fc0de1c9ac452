extension ProcessSupervisor {
    /// Ends processes one level after the other, those of a level at the same time.
    ///
    /// A level is asked to end when the one before has ended, or at the latest when three quarters of
    /// the time are over; what is then still there is killed at its end. So it takes no longer than
    /// `grace` and a moment, however many ignore it, and what obeys is ended in order.
    ///
    /// - Parameters:
    ///   - levels: The names; those of processes that have ended, or never were, do no harm.
    ///   - grace: How long all of it may take; a process whose specification says less gets less.
    /// - Returns: The ends of those that were there.
    @discardableResult
    public func stop(inOrder levels: [[String]], grace: Duration) async -> [ExitReport] {
        let begin = ContinuousClock.now
        return await withTaskGroup(of: ExitReport?.self) { group in
            for level in levels {
                let left = grace - (ContinuousClock.now - begin)
                let patience = max(left - grace / 4, .zero)
                for name in level {
                    group.addTask { await self.stopWithin(max(left, .zero), name) }
                }
                await waitForEnds(of: level, atMost: patience)
            }
            var reports: [ExitReport] = []
            for await report in group {
                if let report { reports.append(report) }
            }
            return reports
        }
    }

    private func stopWithin(_ left: Duration, _ name: String) async -> ExitReport? {
        // One that was never started has no end; what survives shows in the certificate.
        let own = await grace(of: name) ?? left
        return try? await stop(name, grace: min(left, own))
    }

    private func waitForEnds(of names: [String], atMost limit: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            for name in names {
                group.addTask { _ = try? await self.waitExit(name, timeout: limit) }
            }
        }
    }
}
