internal import Glibc
internal import JSON
internal import Recording
internal import Scenarios
internal import Supervision
internal import Wire

/// The delivery class `at_least_once`, in lives of its own behind all the others: who breaks an earlier
/// clause has that to mend first.
extension Examination {
    /// The checker speaks as another incarnation: its flow of the class is one of its own.
    private static let speaker: UInt32 = 2
    private static let soon = Duration.seconds(2)

    func checkDelivery() async {
        let clauses: [Clause] = [.acknowledging, .keptHoles, .keeping]
        guard isSound, acknowledges else {
            for clause in clauses {
                await check(clause, needs: .nothing) {
                    throw Skipped(
                        self.acknowledges
                            ? "the clauses before it are not all kept"
                            : "its status does not say 'acknowledges'")
                }
            }
            return
        }
        isOver = false
        bench.keep()
        do {
            _ = try await bench.start()
            _ = try await bench.ready()
        } catch {
            resume(isReady: false)
        }
        await check(.acknowledging) { try await self.acknowledging() }
        for (clause, body) in [(Clause.keptHoles, keptHoles), (.keeping, keeping)] {
            await check(clause) {
                // What follows speaks with a flow that it has to acknowledge.
                guard self.isSound else {
                    throw Skipped("the clauses before it are not all kept")
                }
                try await body()
            }
        }
        _ = try? await bench.context.supervisor.stop(bench.process(), grace: .milliseconds(500))
        isOver = true
    }

    private func acknowledging() async throws {
        let pings = (1...3).map { keptPing($0) }
        for ping in pings { try line.send(ping) }
        for ping in pings { try await echo(of: ping, "a ping that is sent at least once") }
        try await wait(
            "three pings were not acknowledged within \(Self.soon), the latest acknowledgement is "
                + self.said(of: Self.speaker), within: Self.soon
        ) { self.acknowledgements(of: Self.speaker).last?["through"] == 3 }
        let count = acknowledgements(of: Self.speaker).count
        try line.send(pings[0])
        try await wait("a repeat was not acknowledged again", within: Self.soon) {
            self.acknowledgements(of: Self.speaker).count > count
        }
        try require(
            acknowledgements(of: Self.speaker).last?["through"] == 3,
            "after a repeat it acknowledged " + said(of: Self.speaker))
        // What is acknowledged is on record, whenever the program ends.
        let recorded = try recordedPings()
        try require(
            pings.allSatisfy { recorded.contains($0.identity) },
            "it acknowledged pings that its history does not have")
    }

    private func keptHoles() async throws {
        let (missing, next) = (keptPing(4), keptPing(5))
        try line.send(next)
        try line.send(notice(of: missing))
        try await wait(
            "the sender of a ping that did not come was not told that it is missing, but "
                + self.said(of: Self.speaker), within: Self.soon
        ) {
            self.acknowledgements(of: Self.speaker).contains {
                $0["missing"]?.array?.contains([4, 4]) == true
            } || !self.echoes(of: next).isEmpty
        }
        try require(
            echoes(of: next).isEmpty,
            "it handed out a ping in front of which one is missing that will come again")
        try line.send(missing)
        try await echo(of: missing, "a ping that a notice said would not come")
        try await echo(of: next, "the ping behind it")
        let order = line.seen.compactMap { $0.content?.cause }
            .filter { $0 == missing.identity || $0 == next.identity }
        try require(order.first == missing.identity, "it handed out the ping behind it first")
    }

    private func keeping() async throws {
        let first = try await echo(of: keptPingSent(6), "a ping")
        try require(
            first.delivery == .atLeastOnce,
            "what it sent with SYNMESH_DELIVERY=at_least_once does not say so")
        try await again(first, "what was not acknowledged")
        try line.send(acknowledgement(through: first))
        let second = try await echo(of: keptPingSent(7), "a ping")
        let before = copies(of: first)
        try await again(second, "what was not acknowledged")
        try require(
            copies(of: first) == before, "it sent again what had been acknowledged")
        try await bench.signal(SIGKILL)
        _ = try await bench.exit(expected: true)
        let count = copies(of: second)
        _ = try await bench.start()
        _ = try await bench.ready()
        try await wait(
            "killed and started again, it did not send again what was not acknowledged",
            within: timeout
        ) { self.copies(of: second) > count }
        // What it was handed before the crash stands in its history.
        let answers = Set(echoes(of: keptPing(7)).map(\.identity)).count
        try line.send(keptPing(7))
        try await echo(of: keptPingSent(8), "a ping after a crash")
        try require(
            Set(echoes(of: keptPing(7)).map(\.identity)).count == answers,
            "killed and started again, it handed out again what it had recorded")
    }

    private func again(_ envelope: Envelope, _ what: String) async throws {
        try await wait("\(what) was not sent again within \(Self.soon)", within: Self.soon) {
            self.copies(of: envelope) > 1
        }
        let contents = Set(
            line.seen.compactMap(\.content).filter { $0.identity == envelope.identity }
                .map(\.content))
        try require(contents.count == 1, "it sent \(envelope.identity) with another content")
    }

    private func copies(of envelope: Envelope) -> Int {
        line.seen.count {
            $0.place == .fromProgram && $0.content?.identity == envelope.identity
        }
    }

    // MARK: What the checker says

    private func keptPing(_ sequence: UInt64) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: Bench.checker, destination: .agent(Bench.program)),
                incarnation: Self.speaker, sequence: sequence),
            type: "ping", sent: bench.context.clock.now, contentEncoding: .json,
            delivery: .atLeastOnce, content: Array("{\"n\":\(sequence)}".utf8))
    }

    private func keptPingSent(_ sequence: UInt64) throws -> Envelope {
        let ping = keptPing(sequence)
        try line.send(ping)
        return ping
    }

    private func notice(of missing: Envelope) -> Envelope {
        let content: Value = [
            "from": Value(missing.sequence), "through": Value(missing.sequence),
            "reason": "conformance",
        ]
        return Envelope(
            identity: missing.identity, kind: .gap, type: "gap", sent: missing.sent,
            contentEncoding: .json, delivery: .atLeastOnce,
            content: Array(content.canonical.utf8))
    }

    private func acknowledgement(through envelope: Envelope) -> Envelope {
        let content: Value = [
            "incarnation": Value(envelope.incarnation), "through": Value(envelope.sequence),
        ]
        return Envelope(
            identity: Identity(
                flow: Flow(source: Bench.checker, destination: .agent(Bench.program)),
                incarnation: Self.speaker, sequence: 0),
            kind: .acknowledgement, type: "acknowledgement", sent: bench.context.clock.now,
            contentEncoding: .json, content: Array(content.canonical.utf8))
    }

    // MARK: What the program says

    private func acknowledgements(of incarnation: UInt32) -> [Value] {
        line.seen.compactMap { seen in
            guard seen.place == .fromProgram, let envelope = try? seen.envelope.get(),
                envelope.kind == .acknowledgement,
                envelope.destination == .agent(Bench.checker), envelope.sequence == 0,
                let content = try? Value(parsing: envelope.content),
                content["incarnation"] == Value(incarnation)
            else { return nil }
            return content
        }
    }

    private func said(of incarnation: UInt32) -> String {
        acknowledgements(of: incarnation).last?.canonical ?? "none"
    }

    private func recordedPings() throws -> Set<Identity> {
        let paths = try bench.mesh.place.directory.histories().filter {
            $0.hasSuffix("/\(Bench.program).\(bench.incarnation).mcap")
        }
        guard let path = paths.first else { throw Broken("it keeps no history") }
        return Set(
            try HistoryReader.read(path: path).records.filter { $0.direction == .delivered }
                .map(\.identity))
    }
}
