import JSON
import Recording
import Testing
import Wire

@testable import Analysis

@Suite struct VerdictTests {
    @Test("A later parallel run hides nothing of an earlier one")
    func comparisonsAddUp() throws {
        var altered = SyntheticMesh()
        altered.alter(SyntheticMesh.identity(SyntheticMesh.direct, 7), at: "beta")
        let first = Comparison.twin(left: SyntheticMesh().all, right: altered.all)
        let second = Comparison.twin(left: SyntheticMesh().all, right: SyntheticMesh().all)
        var verdict = Verdict(
            scenario: "s", topology: "t", run: "r", seed: 1, started: 0, verdict: .fail,
            outcome: .completed, reason: "")
        verdict.add(first)
        verdict.add(second)
        let counts = try #require(verdict.comparison)
        #expect(first.counts[.payload] > 0)
        #expect(counts[.payload] == first.counts[.payload])
        #expect(counts.match == first.counts.match + second.counts.match)
        #expect(counts.mode == .twin)
        verdict.add(ComparisonReport(counts: ComparisonCounts(mode: .dual)))
        #expect(verdict.comparison?.mode == .mixed)
        #expect(verdict.comparison?[.payload] == first.counts[.payload])
    }

    /// A verdict in which every field stands.
    static func full() -> Verdict {
        var verdict = Verdict(
            scenario: "corrupt-canary", topology: "rehearsal", run: "2026-01-31T12-00-00",
            seed: .max, started: 1_769_860_800_123_000_000, durationMilliseconds: 4_200,
            verdict: .fail, outcome: .rolledBack, reason: "3 corrupted, limit 0.")
        verdict.expect = .outcome(.rolledBack)
        verdict.planDigest = "xxh3:0000000000000001"
        verdict.steps = [
            StepReport(
                name: "warm", kind: "baseline", startedMilliseconds: 0,
                durationMilliseconds: 900, verdict: .pass, reason: "No limit broken.")
        ]
        var mesh = SyntheticMesh()
        mesh.alter(SyntheticMesh.identity(SyntheticMesh.direct, 7), at: "beta")
        mesh.lose(SyntheticMesh.identity(SyntheticMesh.topic, 7), at: "gamma")
        verdict.add(
            Delivery.check(
                mesh.all,
                in: DeliveryScope(faults: [
                    FaultWindow(
                        id: "f1", kind: "kill", target: "nats", started: 0, healed: nil,
                        reach: .everything)
                ])))
        verdict.add(Comparison.twin(left: SyntheticMesh().all, right: mesh.all))
        verdict.noise = [Noise(path: "$.stamp", rate: 0.25)]
        verdict.latency = Latency(transports: [
            "zmq": Percentiles(
                count: 10, p50Microseconds: 12.5, p99Microseconds: 80, maxMicroseconds: 95.25),
            "nats": Percentiles(
                count: 10, p50Microseconds: 25, p99Microseconds: 90, maxMicroseconds: 99),
        ])
        verdict.moves = [
            MoveReport(
                agent: "mesh-1", from: "zmq", to: "nats", strategy: .restart,
                pauseMicroseconds: 1_200, windowMilliseconds: 85, durationMilliseconds: 140,
                inFlight: 12, failedStep: "drain", outcome: "returned")
        ]
        verdict.rollbackMilliseconds = 310
        verdict.faults = [
            FaultReport(
                id: "f1", kind: "kill", target: "nats", startedMilliseconds: 10,
                healedMilliseconds: nil, touched: 99)
        ]
        verdict.leaks = Leaks(files: 1)
        verdict.sortFindings()
        return verdict
    }

    @Test("What is written is read back the same")
    func roundTrip() throws {
        let verdict = Self.full()
        let text = verdict.json.canonical
        #expect(try Verdict(json: Value(parsing: text)) == verdict)
        let bare = Verdict(
            scenario: "s", topology: "t", run: "r", seed: 1, started: 0, verdict: .pass,
            outcome: .completed, reason: "Fine.")
        #expect(try Verdict(json: bare.json) == bare)
    }

    @Test("The field names are those of the contract")
    func contract() {
        let json = Self.full().json
        func names(_ value: Value?) -> [String] { value?.object.map { $0.keys.sorted() } ?? [] }
        let all = [
            "schema", "schema_minor", "scenario", "topology", "run", "seed", "plan_digest",
            "started", "duration_ms", "verdict", "outcome", "expect", "as_expected", "reason",
            "steps", "delivery", "comparison", "noise", "latency", "moves", "rollback_ms",
            "faults", "leaks", "findings",
        ]
        #expect(names(json) == all.sorted())
        #expect(
            names(json["delivery"])
                == [
                    "sent", "expected", "delivered", "lost", "duplicated", "reordered", "late",
                    "corrupted", "unexpected", "dropped", "inferred", "explained", "unexplained",
                ].sorted())
        let explained = ["lost", "duplicated", "reordered", "late", "corrupted"].sorted()
        #expect(names(json["delivery"]?["explained"]) == explained)
        #expect(names(json["delivery"]?["unexplained"]) == explained)
        #expect(
            names(json["comparison"])
                == [
                    "mode", "match", "tolerated", "ignored", "duplicate", "reordered", "late",
                    "payload", "missing", "extra", "undecidable",
                ].sorted())
        #expect(names(json["latency"]) == ["nats", "p50_ratio", "p99_ratio", "zmq"])
        #expect(
            names(json["latency"]?["zmq"]) == ["max_us", "n", "p50_us", "p99_us"])
        #expect(
            names(json["moves"]?.array?.first)
                == [
                    "agent", "from", "to", "strategy", "pause_us", "window_ms", "duration_ms",
                    "in_flight", "failed_step", "outcome",
                ].sorted())
        #expect(
            names(json["leaks"]) == ["files", "ports", "processes", "segments", "sockets"])
        #expect(json["started"]?.string == "2026-01-31T12:00:00.123Z")
        // It left a file behind.
        #expect(json["as_expected"] == false)
    }

    @Test("Exit code 0 means as expected, whatever that is")
    func exitCode() {
        var verdict = Self.full()
        #expect(verdict.exitCode == 1, "what was left behind is never expected")
        verdict.leaks = Leaks()
        #expect(verdict.exitCode == 0)
        verdict.expect = .both(verdict.verdict, verdict.outcome)
        #expect(verdict.exitCode == 0)
        verdict.expect = .both(.pass, verdict.outcome)
        #expect(verdict.exitCode == 1)
        verdict.expect = .verdict(.pass)
        #expect(verdict.exitCode == 1)
        verdict.expect = .verdict(.fail)
        #expect(verdict.exitCode == 0)
        verdict.verdict = .inconclusive
        #expect(verdict.exitCode == 1)
        for outcome in [Outcome.completed, .promoted] {
            verdict.outcome = outcome
            verdict.expect = .outcome(outcome)
            #expect(verdict.exitCode == 1, "what did not pass is not \(outcome.rawValue)")
            verdict.verdict = .pass
            #expect(verdict.exitCode == 0)
            verdict.verdict = .inconclusive
        }
    }

    @Test(
        "What is no verdict names the field that does not fit",
        arguments: [
            ("schema", .integer(2)), ("verdict", "perfect"), ("started", "yesterday"),
            ("steps", "none"), ("seed", nil), ("leaks", .array([])),
        ] as [(String, Value)])
    func malformed(_ field: String, _ value: Value) throws {
        var members = try #require(Self.full().json.object)
        members[field] = value
        let error = try #require(throws: VerdictError.self) {
            try Verdict(json: .object(members))
        }
        #expect(error.field == field)
    }

    @Test("Findings are told gravest first")
    func sorted() {
        let severities = Self.full().findings.map(\.severity)
        #expect(severities.first == .error)
        let order: [Finding.Severity] = [.error, .warning, .note]
        let ranks = severities.compactMap { order.firstIndex(of: $0) }
        #expect(ranks == ranks.sorted())
    }
}

@Suite struct TimestampTests {
    @Test(
        "Times are written as RFC 3339 has them and read back",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_704_067_199_000, "2023-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] as [(UInt64, String)])
    func table(_ milliseconds: UInt64, _ text: String) {
        #expect(Timestamp.text(milliseconds * 1_000_000) == text)
        #expect(Timestamp.nanoseconds(of: text) == milliseconds * 1_000_000)
    }
}
