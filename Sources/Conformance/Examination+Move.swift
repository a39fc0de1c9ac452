internal import Control
internal import JSON
internal import Scenarios
internal import Supervision
internal import Wire

extension Examination {
    /// The life's middle: held, drained, stopped, and started again with what it handed over.
    func checkMove() async {
        var load: Task<Value?, Never>?
        if missing(.loads) == nil {
            let (control, bench) = (bench.mesh.control, bench)
            let child = ChildID(
                role: "agent", name: Bench.program, incarnation: bench.incarnation)
            load = Task {
                try? await control.command(
                    "load", to: child, arguments: ["count": 100_000, "rate": 50, "type": "note"],
                    timeout: .seconds(60))
            }
        }
        await check(.drain) { try await self.drain(isLoading: load != nil) }
        await check(.drainedLoads, needs: .loads) {
            try await self.checkUnfinished(load, self.drained)
        }
        load?.cancel()
        var late: Envelope?
        await check(.drained) {
            let ping = self.makePing("after the drain")
            late = ping
            // The mesh keeps it; should the program hear of it nevertheless, it must not take it.
            try self.line.send(ping)
            if self.isOnZeroMQ {
                try self.line.hand(ping)
            }
            let echo = await self.firstEcho(of: ping, within: .milliseconds(400))
            try require(echo == nil, "it answered a ping that came after it was drained")
        }
        await check(.stop, needs: .ready) {
            try? await self.bench.context.supervisor.expectExit(self.bench.process())
            _ = try await self.bench.command("stop")
            guard let report = try await self.bench.exit() else {
                throw Broken("it answered 'stop' and did not end within \(self.timeout)")
            }
            try require(report.cause == .exited(code: 0), "it \(report.cause)")
        }
        let wasReady = missing(.ready) == nil
        resume(isReady: false)
        _ = try? await bench.context.supervisor.stop(bench.process(), grace: .milliseconds(200))
        guard wasReady else { return await check(.state) {} }
        resume(isReady: true)
        await check(.state) { try await self.startAgain(with: self.drained["state"], late) }
        resume(isReady: await !bench.hasEnded)
    }

    private func drain(isLoading: Bool) async throws {
        if isLoading {
            let from = line.seen.count
            try await wait("a load at 50 messages a second did not begin") {
                self.contents(to: .agent(Bench.checker), after: from).count >= 3
            }
        }
        let pings = try (0..<50).map { try ping("before the drain \($0)") }
        // What is held is behind the pings: they have left before the branch is told.
        try await wait("the pings before the drain did not reach the branch") {
            !self.isOnZeroMQ || self.deliveredToProgram(pings)
        }
        try await bench.hold([Bench.inbound])
        let answer = try await bench.command(
            "drain", ["epoch": Value(bench.incarnation)], timeout: max(timeout, .seconds(10)))
        drained = answer
        try require(answer["state"]?.object != nil, "the answer has no object 'state'")
        try require(
            answer["unfinished_loads"]?.array != nil, "the answer has no 'unfinished_loads'")
        for name in ["inbound_complete", "outbound_complete"] {
            try require(
                answer[name]?.bool == true,
                "'\(name)' is \(answer[name]?.canonical ?? "missing"); "
                    + (answer["problems"]?.canonical ?? ""))
        }
        for ping in pings { try await echo(of: ping, "a ping from before the drain") }
        if isOnZeroMQ {
            let marked = line.seen.contains { seen in
                seen.place == .fromProgram && seen.frames.first == []
                    && (try? seen.envelope.get().kind) == .marker
            }
            try require(marked, "it sent its branch no marker behind what it had sent")
        }
    }

    private func deliveredToProgram(_ pings: [Envelope]) -> Bool {
        let there = Set(
            line.seen.lazy.filter { $0.place == .toProgram }.compactMap(\.content?.identity))
        return pings.allSatisfy { there.contains($0.identity) }
    }

    private func checkUnfinished(_ load: Task<Value?, Never>?, _ drained: Value) async throws {
        guard let answer = await load?.value else { throw Broken("the load was not answered") }
        try require(
            answer["unfinished"]?.bool == true,
            "the load that the drain cut was answered with \(answer.canonical)")
        let rest = drained["unfinished_loads"]?.array ?? []
        let done = answer["messages"]?.integer ?? -1
        try require(
            rest.count == 1 && rest.first?["start"]?.integer == done
                && rest.first?["count"]?.integer == 100_000 - done,
            "after \(done) of 100000 messages 'unfinished_loads' is "
                + Value.array(rest).canonical)
    }

    private func startAgain(with state: Value?, _ late: Envelope?) async throws {
        guard let state, state.object != nil else {
            // Later clauses need it all the same.
            _ = try await bench.start()
            _ = try await bench.ready()
            throw Skipped("there is no state")
        }
        let old = answered.last
        try bench.hand(over: state)
        _ = try await bench.start()
        _ = try await bench.ready()
        let count = old.map { echoes(of: $0).count } ?? 0
        // Before anything else comes: who forgot everything would begin the flow with it.
        if let old { try line.hand(old) }
        try await bench.release()
        if let late { try await echo(of: late, "the ping that the mesh kept meanwhile") }
        if let old { try line.send(old) }
        try await echo(of: ping(), "a ping to the second incarnation")
        if let old {
            try require(
                echoes(of: old).count == count,
                "it handed out again what its first incarnation had handed out")
        }
        if let late {
            try require(
                echoes(of: late).count == 1, "what the mesh kept was handed out more than once")
        }
    }
}
