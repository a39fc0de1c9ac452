internal import JSON
internal import Scenarios
internal import Wire

extension Examination {
    /// The receiver's rule: once, in order, and never waiting for ever.
    func checkReceiver() async {
        await check(.repeats) {
            let ping = try self.ping()
            try await self.echo(of: ping, "a ping")
            try self.line.send(ping)
            try await self.echo(of: self.ping(), "the ping after a repeated one")
            let count = self.echoes(of: ping).count
            try require(count == 1, "a ping that came twice was handed out \(count) times")
        }
        await check(.order) {
            let (first, second) = (self.makePing(), self.makePing())
            try self.line.send(second)
            try self.line.send(first)
            try await self.echo(of: first, "a ping that was overtaken")
            try await self.echo(of: second, "a ping that overtook another")
            let order = self.line.seen.compactMap { $0.content?.cause }
                .filter { $0 == first.identity || $0 == second.identity }
            try require(
                order == [first.identity, second.identity],
                "a ping that overtook another was handed out before it")
        }
        await check(.gaps) {
            let (missing, next) = (self.makePing(), self.makePing())
            try self.line.send(next)
            let notice: Value = [
                "from": Value(missing.sequence), "through": Value(missing.sequence),
                "reason": "conformance",
            ]
            try self.line.send(
                Envelope(
                    identity: missing.identity, kind: .gap, type: "gap",
                    sent: self.bench.context.clock.now, contentEncoding: .json,
                    content: Array(notice.canonical.utf8)))
            try await self.fill(missing) {
                try await self.echo(
                    of: next, "the ping behind an announced gap", within: .milliseconds(1_200))
            }
        }
    }

    /// A gap that nobody announces, on a topic: what goes from agent to agent does not wait for it.
    ///
    /// - Returns: The ping that does not come, and the one behind it.
    func beginGap() -> (missing: Envelope, next: Envelope)? {
        guard missing(.answers) == nil else { return nil }
        let topic = Address.topic(Bench.inbound)
        let gap = (missing: makePing(to: topic), next: makePing(to: topic))
        return (try? line.publish(gap.next)) == nil ? nil : gap
    }

    /// The program waits for a gap, and not for ever: it had time while other clauses were looked at.
    func checkPatience(_ gap: (missing: Envelope, next: Envelope)?) async {
        await check(.patience) {
            guard let (missing, next) = gap else { throw Skipped("the gap could not be made") }
            try await self.fill(missing) {
                try await self.echo(
                    of: next, "the ping behind a gap that nobody announced", within: .seconds(8))
            }
            try self.line.publish(missing)
            let after = self.makePing(to: .topic(Bench.inbound))
            try self.line.publish(after)
            try await self.echo(of: after, "the ping after a late one")
            try require(
                self.echoes(of: missing).isEmpty,
                "a ping was handed out after the one that follows it")
        }
    }

    /// Where the program does not get over a gap, the gap is filled, so that it can go on.
    private func fill(_ missing: Envelope, unless body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            switch missing.destination {
            case .agent: try line.send(missing)
            case .topic: try line.publish(missing)
            }
            throw error
        }
    }

    /// What no agent would say.
    func checkHostility() async {
        await check(.unknownKinds) {
            let ping = self.makePing()
            var unknown = ping
            unknown.content = Array(#"{"n":"unknown kind"}"#.utf8)
            try self.line.injectUnknownKind(unknown)
            // It has the sequence of the ping that follows: who counts it drops that one.
            try self.line.send(ping)
            let echo = try await self.echo(of: ping, "the ping after an unknown kind")
            try require(
                echo.content == ping.content, "it answered an envelope of a kind that there is not")
        }
        await check(.noEnvelopes) {
            var numbers = UInt64(42)
            func byte() -> UInt8 {
                numbers = numbers &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: numbers >> 56)
            }
            let header = self.makePingHeader()
            for length in 0..<60 {
                try self.line.inject(
                    header: (0..<length).map { _ in byte() },
                    content: (0..<Int(byte())).map { _ in byte() })
                try self.line.inject(header: Array(header.prefix(length)), content: [byte()])
            }
            var other = header
            other[0] = 2
            try self.line.inject(header: other, content: [])
            try await self.echo(of: self.ping(), "the ping after bytes that are no envelope")
        }
    }

    /// Several envelopes in one message.
    func checkBatches() async {
        await check(.batches, needs: .answers) {
            guard !self.isOnZeroMQ || self.hello?["batches"]?.bool == true else {
                throw Skipped("its hello says nothing of batches, so it gets none")
            }
            let pings = (0..<3).map { self.makePing("number \($0) of a batch") }
            var draft = Batch.Draft()
            for ping in pings { draft.append(ping) }
            if let batch = draft.take() { try self.line.send(batch) }
            for ping in pings {
                let echo = try await self.echo(of: ping, "a ping in a batch")
                try require(
                    echo.content == ping.content,
                    "a ping in a batch was answered with another content")
            }
            let order = self.line.seen.compactMap { $0.content?.cause }
                .filter { cause in pings.contains { $0.identity == cause } }
            try require(
                order == pings.map(\.identity),
                "the pings of a batch were not answered once and in order")
        }
    }

    /// The header of an envelope that is not the next one.
    private func makePingHeader() -> [UInt8] {
        Envelope(
            identity: Identity(
                flow: Flow(source: Bench.checker, destination: .agent(Bench.program)),
                incarnation: 9, sequence: 1), type: "ping", sent: 0
        ).header
    }

    /// More than the program said that it takes at once.
    func checkCredit() async {
        await check(.credit, needs: isOnZeroMQ ? .answers : .zeroMQ) {
            guard let window = self.hello?["window"]?.integer.flatMap({ Int(exactly: $0) }) else {
                throw Skipped("its hello names no window, so it takes whatever comes")
            }
            guard window <= 20_000 else { throw Skipped("its window is \(window)") }
            let count = 2 * window + 10
            var last: Envelope?
            for _ in 0..<count { last = try self.ping() }
            guard let last else { return }
            let echo = await self.firstEcho(
                of: last, within: max(self.timeout, .seconds(20)))
            let credits = self.line.seen.filter {
                $0.place == .fromProgram && (try? $0.envelope.get().kind) == .credit
            }
            let given = credits.compactMap { Int(String(decoding: $0.frames[2], as: UTF8.self)) }
            let total = given.reduce(0, +)
            let delivered = self.line.seen.reduce(0) { count, seen in
                guard seen.place == .toProgram, let envelope = try? seen.envelope.get(),
                    envelope.kind == .content || envelope.kind == .batch
                else { return count }
                return count + envelope.envelopeCount
            }
            try require(
                echo != nil,
                "of \(count) pings not all were delivered: it gave credit for \(total) of "
                    + "\(delivered), with a window of \(window)")
            try require(
                given.count == credits.count, "a credit is not a decimal number")
            try require(
                total <= delivered,
                "it gave credit for \(total) contents, of which \(delivered) had come")
        }
    }

    /// What the program said in its latest hello.
    var hello: Value? {
        let hellos = line.seen.compactMap { seen -> Envelope? in
            guard seen.place == .fromProgram, let envelope = try? seen.envelope.get() else {
                return nil
            }
            return envelope.kind == .hello ? envelope : nil
        }
        return hellos.last.flatMap { try? Value(parsing: $0.content) }
    }
}
