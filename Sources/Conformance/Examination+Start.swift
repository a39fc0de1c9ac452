internal import Control
internal import Glibc
internal import JSON
internal import Scenarios
internal import Supervision
internal import Wire

extension Examination {
    /// A start of the program in an environment that it must refuse.
    struct Refusal {
        let clause: Clause
        let name: String
        /// What it must name.
        let variables: [String]
        let change: (inout [String: String]) -> Void
        /// Why there was no start.
        var failure: String?
    }

    /// Starts the program where it is not told what it must know: it ends while the rest is looked at.
    ///
    /// One that goes on all the same is kept away from the mesh: nobody is where it is told to connect.
    func beginRefusals() async -> [Refusal] {
        let endpoint = isOnZeroMQ ? "SYNMESH_BRANCH_ENDPOINT" : "SYNMESH_NATS_URL"
        let missing = [
            "SYNMESH_NAME", "SYNMESH_INCARNATION", "SYNMESH_CONTROL", "SYNMESH_CLOCK_OFFSET",
            endpoint,
        ]
        let wrong = ["SYNMESH_INCARNATION": "first", "SYNMESH_TRANSPORT": "pigeon"]
        let nowhere = [
            "SYNMESH_CONTROL": "tcp://127.0.0.1:9", "SYNMESH_TOPIC_PROXIES": "[]",
            endpoint: isOnZeroMQ ? "tcp://127.0.0.1:9" : "nats://127.0.0.1:9",
        ]
        var refusals = [
            Refusal(clause: .environmentIncomplete, name: "incomplete", variables: missing) {
                for name in missing { $0[name] = nil }
            },
            Refusal(
                clause: .environmentMalformed, name: "malformed", variables: wrong.keys.sorted()
            ) { $0.merge(wrong.merging(nowhere) { $1 }) { $1 } },
        ]
        for index in refusals.indices {
            do {
                let refusal = refusals[index]
                try await bench.begin(named: refusal.name) { environment in
                    // Its history is not that of the life that begins at the same time.
                    environment["SYNMESH_HISTORY"]? += ".\(refusal.name)"
                    refusal.change(&environment)
                }
            } catch {
                refusals[index].failure = "\(error)"
            }
        }
        return refusals
    }

    /// How those ended.
    func checkEnvironment(_ refusals: [Refusal]) async {
        for refusal in refusals {
            await check(refusal.clause, needs: .nothing) {
                if let failure = refusal.failure { throw Broken(failure) }
                let (report, output) = try await self.bench.end(of: refusal.name)
                guard let report else { throw Broken("it went on without \(refusal.variables)") }
                try require(
                    report.cause == .exited(code: 3),
                    "it \(report.cause) in place of exiting with code 3")
                let unnamed = refusal.variables.filter { !output.contains($0) }
                try require(
                    unnamed.isEmpty, "it did not name \(unnamed.joined(separator: ", "))")
            }
        }
    }

    /// From the start of the process to its word that it is ready.
    func checkStart() async {
        var running: RunningProcess?
        var ready: Ready?
        await check(.ready, needs: .nothing) {
            running = try await self.bench.start()
            do throws(ControlError) {
                ready = try await self.bench.ready()
            } catch {
                throw Broken(await self.whyNotReady(error))
            }
        }
        await check(.readyProcess, needs: .ready) {
            guard let ready, let running else { return }
            try require(
                getpgid(ready.pid) == running.process,
                "the pid \(ready.pid) is no process of the program (\(running.process))")
        }
        await check(.routingID, needs: isOnZeroMQ ? .nothing : .zeroMQ) {
            guard let line = self.line as? ZeroMQLine else { return }
            let others = line.routingIDs.filter { $0 != Bench.program }
            try require(others.isEmpty, "it attached as \(others)")
            try require(!line.routingIDs.isEmpty, "it did not attach to its branch")
        }
    }

    private func whyNotReady(_ error: ControlError) async -> String {
        if case .ended = error, let report = try? await bench.exit() {
            return "it \(report.cause) before it was ready"
        }
        let malformed = bench.malformed
        return malformed.isEmpty
            ? "no ready message within \(timeout)"
            : "no ready message within \(timeout), but: \(malformed.joined(separator: "; "))"
    }

    /// Subscriptions, from the very first moment on.
    func checkTopics() async {
        await check(.subscriptions, needs: .ready) {
            let ping = self.makePing(to: .topic(Bench.inbound))
            try self.line.publish(ping)
            try await self.echo(of: ping, "a ping on '\(Bench.inbound)' right after ready")
        }
        await check(.tokens, needs: .ready) {
            let outside = self.makePing(to: .topic(Bench.inbound + "side"))
            let below = self.makePing(to: .topic(Bench.inbound + ".below"))
            try self.line.publish(outside)
            try self.line.publish(below)
            try await self.echo(of: below, "a ping on '\(below.destination.name)'")
            try require(
                self.echoes(of: outside).isEmpty,
                "it heard '\(outside.destination.name)', which is not under '\(Bench.inbound)'")
        }
    }

    /// Contents of every sort, one after the other.
    func checkEnvelopes() async {
        let letters = #"{"text":"Grüße, 世界 🪐 \u0000 \"","n":[1,-2.5e-7,null,true]}"#
        let binary = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var pings = [
            makePing(), makePing(content: Array(letters.utf8)),
            makePing(content: [], encoding: .binary),
            makePing(content: [0, 255, 10, 13], encoding: .binary),
            makePing(content: binary, encoding: .binary),
        ]
        pings += (0..<20).map { makePing("\($0)") }
        await check(.contents, needs: .ready) {
            for ping in pings { try self.line.send(ping) }
            for (index, ping) in pings.enumerated() {
                let echo = try await self.echo(of: ping, "ping \(index + 1) of \(pings.count)")
                try require(
                    echo.content == ping.content,
                    "the echo of ping \(index + 1) has another content "
                        + "(\(echo.content.count) bytes for \(ping.content.count))")
                try require(
                    echo.destination == .agent(Bench.checker),
                    "the echo went to \(echo.destination), not to \(Bench.checker)")
            }
            let causes = self.line.seen.compactMap(\.content).compactMap(\.cause)
            let order = causes.filter { $0.flow == pings[0].identity.flow }.map(\.sequence)
            try require(order == order.sorted(), "the echoes came in another order: \(order)")
            let doubled = pings.filter { self.echoes(of: $0).count > 1 }
            try require(doubled.isEmpty, "\(doubled.count) pings were echoed more than once")
        }
        await check(.encodings) {
            for ping in pings {
                guard let echo = self.echoes(of: ping).first else { continue }
                try require(
                    echo.contentEncoding == ping.contentEncoding,
                    "a \(ping.contentEncoding) content came back as \(echo.contentEncoding)")
            }
        }
        await check(.causes, needs: .ready) {
            let echoes = self.line.seen.compactMap(\.content).filter { $0.type == "echo" }
            try require(!echoes.isEmpty, "there was no echo")
            let without = echoes.count { $0.cause == nil }
            try require(without == 0, "\(without) echoes have no cause")
            let known = Set(pings.map(\.identity))
            let wrong = echoes.compactMap(\.cause).filter { cause in
                cause.flow == pings[0].identity.flow && !known.contains(cause)
                    || cause.flow.source != Bench.checker
            }
            try require(wrong.isEmpty, "the cause \(wrong.first?.description ?? "") is no ping")
        }
    }
}
