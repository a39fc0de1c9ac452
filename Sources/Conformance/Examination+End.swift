internal import Glibc
internal import JSON
internal import Recording
internal import Scenarios
internal import Supervision
internal import Wire

extension Examination {
    /// Signals, and how the program ends.
    func checkEnd() async {
        await check(.interrupted, needs: .ready) {
            try await self.bench.signal(SIGINT)
            do {
                _ = try await self.bench.command("status")
            } catch {
                throw Broken("after SIGINT: \(error)")
            }
        }
        await check(.terminated, needs: .ready) {
            try await self.bench.signal(SIGTERM)
            guard let report = try await self.bench.exit() else {
                throw Broken("it did not end within \(self.timeout)")
            }
            try require(report.cause == .exited(code: 0), "it \(report.cause)")
        }
        _ = try? await bench.context.supervisor.stop(bench.process(), grace: .milliseconds(200))
        await check(.hello, needs: .zeroMQ) {
            guard let line = self.line as? ZeroMQLine else { return }
            try require(self.hello != nil, "it said no hello")
            let said = self.hello?["incarnation"]?.integer
            try require(
                said == Int64(self.bench.incarnation),
                "its hello names incarnation \(said.map(String.init) ?? "none") in place of "
                    + "\(self.bench.incarnation)")
            // A third life, whose first hello gets lost.
            line.loseHellos(1)
            _ = try await self.bench.start()
            do {
                _ = try await self.bench.ready(within: self.timeout + .seconds(2))
            } catch {
                throw Broken("it did not say hello again when the first one was not answered")
            }
            try await self.bench.signal(SIGTERM)
            _ = try await self.bench.exit()
        }
    }

    /// What was seen from the first to the last, once more as a whole.
    func checkRecords() async {
        isOver = true
        resume(isReady: true)
        let said = line.seen.filter { $0.place != .toProgram }
        await check(.destinationFrame, needs: isOnZeroMQ ? .ready : .zeroMQ) {
            for seen in said where seen.place == .fromProgram {
                guard let envelope = seen.content else { continue }
                try require(
                    seen.frames.count == 3
                        && seen.frames[0].elementsEqual(envelope.destination.name.utf8),
                    "the first frame of \(envelope.identity) is "
                        + String(decoding: seen.frames[0].prefix(64), as: UTF8.self))
            }
        }
        await check(.fields, needs: .ready) {
            try require(!said.isEmpty, "it said nothing")
            for seen in said { try Self.checkFields(seen, in: self.bench) }
        }
        await check(.sequences, needs: .ready) {
            var next: [String: UInt64] = [:]
            for envelope in said.compactMap(\.content) {
                let flow = "\(envelope.identity.flow) in incarnation \(envelope.incarnation)"
                let expected = next[flow] ?? 1
                try require(
                    envelope.sequence == expected,
                    "\(flow): \(envelope.sequence) came where \(expected) was due")
                next[flow] = expected + 1
            }
        }
        await check(.history, needs: .ready) { try self.checkHistories(said) }
    }

    private static func checkFields(_ seen: Seen, in bench: Bench) throws {
        let envelope: Envelope
        do throws(WireError) {
            envelope = try seen.envelope.get()
        } catch {
            throw Broken("it sent something that is no envelope: \(error)")
        }
        let name = "the \(envelope.kind) \(envelope.identity)"
        try require(
            envelope.source == Bench.program, "\(name) has the source '\(envelope.source)'")
        try require(
            (1...bench.incarnation).contains(envelope.incarnation),
            "\(name) has the incarnation \(envelope.incarnation)")
        try require(envelope.hops == 0, "\(name) has \(envelope.hops) hops")
        try require(Names.isLegal(envelope.type), "\(name) has the type '\(envelope.type)'")
        // By the run's clock: sent before it was seen, and not long before.
        try require(
            envelope.sent <= seen.at && seen.at - envelope.sent < 60_000_000_000,
            "\(name) says that it was sent at \(envelope.sent), and was seen at \(seen.at)")
        if envelope.kind != .content {
            try require(envelope.sequence == 0, "\(name) has a sequence")
        }
    }

    /// The history of each life has every echo as sent, and every ping that it answers as delivered.
    private func checkHistories(_ said: [Seen]) throws {
        let directory = bench.mesh.place.directory
        let paths = try directory.histories().filter {
            $0.split(separator: "/").last?.hasPrefix("\(Bench.program).") == true
        }
        guard !paths.isEmpty else { throw Skipped("the program keeps no history") }
        var sent: [Identity: UInt64] = [:]
        var delivered: Set<Identity> = []
        for path in paths {
            let history = try HistoryReader.read(path: path)
            try require(
                history.notes.isEmpty, "\(path): \(history.notes.joined(separator: "; "))")
            for record in history.records where record.lane == .primary {
                switch record.direction {
                case .sent: sent[record.identity] = record.content.digest
                case .delivered: delivered.insert(record.identity)
                }
            }
        }
        for envelope in said.compactMap(\.content) {
            guard let digest = sent[envelope.identity] else {
                throw Broken("\(envelope.identity) is not recorded as sent")
            }
            try require(
                digest == ContentDigest.xxh3(envelope.content),
                "\(envelope.identity) is recorded with another content")
        }
        let missing = answered.filter { !delivered.contains($0.identity) }
        try require(
            missing.isEmpty,
            "\(missing.count) of \(answered.count) pings that it answered are not recorded as "
                + "delivered, such as \(missing.first?.identity.description ?? "")")
    }
}
