import JSON
import Recording
import Testing
import Wire

@testable import Analysis

@Suite struct JudgementTests {
    @Test(
        "Composition keeps the worst and never upgrades",
        arguments: [
            ([], .inconclusive), ([.pass], .pass), ([.pass, .inconclusive, .pass], .inconclusive),
            ([.inconclusive, .fail], .fail), ([.fail, .pass], .fail),
        ] as [([Judgement], Judgement)])
    func composition(_ parts: [Judgement], _ whole: Judgement) {
        #expect(Judgement.worst(of: parts) == whole)
        let verdicts = parts.map { StepVerdict($0, reason: $0.rawValue) }
        let composed = StepVerdict.composed(of: verdicts)
        #expect(composed.verdict == whole)
        #expect(parts.isEmpty || composed.reason == whole.rawValue)
    }

    @Test("A checker that throws is inconclusive, never a pass")
    func crash() {
        struct Broken: Error {}
        let verdict = StepVerdict.checking("order") { throw Broken() }
        #expect(verdict.verdict == .inconclusive)
        #expect(verdict.reason == "The checker 'order' failed: Broken().")
    }

    @Test("Every word that a scenario may expect is read back", arguments: Expectation.words)
    func expectations(_ word: String) {
        #expect(Expectation(word)?.word == word)
        #expect(Expectation(word + "x") == nil)
    }
}

@Suite struct LimitsTests {
    private func delivery(
        expected: Int = 1_000, _ deviations: DeviationCounts = DeviationCounts(),
        explained: DeviationCounts = DeviationCounts(), pending: Int = 0
    ) -> DeliveryReport {
        var report = DeliveryReport()
        report.counts.sent = expected
        report.counts.expected = expected
        report.counts.delivered = expected - deviations.lost - deviations.late - pending
        report.counts.deviations = deviations
        report.counts.explained = explained
        report.pending = pending
        return report
    }

    private func latency(zmq: Double, nats: Double, count: Int = 1_000) -> Latency {
        func percentiles(_ value: Double) -> Percentiles {
            Percentiles(
                count: count, p50Microseconds: value, p99Microseconds: value * 2,
                maxMicroseconds: value * 3)
        }
        return Latency(transports: ["zmq": percentiles(zmq), "nats": percentiles(nats)])
    }

    @Test("Each class breaks its own limit", arguments: DeviationCounts.classes)
    func deliveryClasses(_ deviation: Deviation) {
        var counts = DeviationCounts()
        counts[deviation] = 3
        var limits = Limits.zero
        #expect(limits.judge(delivery: delivery(counts)).verdict == .fail)
        #expect(
            limits.judge(delivery: delivery(counts)).reason == "3 \(deviation), limit 0.")
        limits[deviation] = 3
        #expect(limits.judge(delivery: delivery(counts)).verdict == .pass)
        limits[deviation] = nil
        #expect(limits.judge(delivery: delivery(counts)).verdict == .pass)
    }

    @Test(
        "Each class of a comparison breaks its limit",
        arguments: [
            .payload, .missing, .extra, .duplicate, .reordered, .late,
        ] as [Deviation])
    func comparisonClasses(_ deviation: Deviation) {
        var counts = ComparisonCounts(mode: .dual)
        counts.match = 100
        counts[deviation] = 1
        let verdict = Limits.zero.judge(
            delivery: delivery(), comparison: ComparisonReport(counts: counts))
        #expect(verdict.verdict == .fail)
    }

    @Test("Tolerated and ignored differences break nothing")
    func tolerated() {
        var counts = ComparisonCounts(mode: .dual)
        counts[.tolerated] = 50
        counts[.ignored] = 50
        let verdict = Limits.zero.judge(
            delivery: delivery(), comparison: ComparisonReport(counts: counts))
        #expect(verdict.verdict == .pass)
    }

    @Test("Only what no fault explains counts")
    func explained() {
        let lost = DeviationCounts(lost: 5)
        #expect(Limits.zero.judge(delivery: delivery(lost, explained: lost)).verdict == .pass)
        #expect(
            Limits.zero.judge(
                delivery: delivery(lost, explained: DeviationCounts(lost: 4))
            ).verdict == .fail)
    }

    @Test("Absence of evidence is inconclusive, never a pass")
    func evidence() {
        let limits = Limits.zero
        #expect(limits.judge(delivery: delivery(expected: 0)).verdict == .inconclusive)
        #expect(Limits().judge(delivery: delivery(expected: 0)).verdict == .inconclusive)
        #expect(
            limits.judge(delivery: delivery(expected: 99), minimumSamples: 100).verdict
                == .inconclusive)
        #expect(
            limits.judge(delivery: delivery(expected: 100), minimumSamples: 100).verdict == .pass)
        #expect(limits.judge(delivery: delivery(pending: 1)).verdict == .inconclusive)
        let nothing = ComparisonReport(counts: ComparisonCounts(mode: .dual))
        #expect(
            limits.judge(delivery: delivery(), comparison: nothing).verdict == .inconclusive)
        var undecided = ComparisonCounts(mode: .dual)
        undecided.match = 10
        undecided[.undecidable] = 1
        #expect(
            limits.judge(delivery: delivery(), comparison: ComparisonReport(counts: undecided))
                .verdict == .inconclusive)
    }

    @Test("A broken limit fails, however few samples there are")
    func fewAndBroken() {
        let report = delivery(expected: 2, DeviationCounts(corrupted: 1))
        #expect(Limits.zero.judge(delivery: report, minimumSamples: 100).verdict == .fail)
    }

    @Test("Latency ratios are judged against their limits, with enough samples of each")
    func ratios() {
        var limits = Limits.zero
        limits.latencyP50Ratio = 2
        limits.latencyP99Ratio = 2
        func judge(_ latency: Latency?) -> StepVerdict {
            limits.judge(delivery: delivery(), latency: latency, minimumSamples: 100)
        }
        #expect(judge(latency(zmq: 100, nats: 200)).verdict == .pass)
        #expect(
            judge(latency(zmq: 100, nats: 201)).reason
                == "NATS's median latency is 2.01 times ZeroMQ's, limit 2.00, and 1 more "
                + "broken.")
        #expect(judge(latency(zmq: 100, nats: 900, count: 3)).verdict == .inconclusive)
        #expect(judge(Latency(transports: [:])).verdict == .inconclusive)
        #expect(judge(nil).verdict == .pass)
    }

    @Test("Limits are set by the words of a scenario file", arguments: Limits.words)
    func words(_ word: String) {
        func set(_ word: String, _ number: Double) -> Limits? {
            var limits = Limits()
            return limits.set(word, to: number) ? limits : nil
        }
        #expect(set(word, 2) != Limits())
        #expect(set(word, 2) != nil)
        #expect(set(word, -1) == nil)
        #expect(set(word + "s", 1) == nil)
        #expect((set(word, 0.5) != nil) == word.hasPrefix("latency"))
    }
}

@Suite struct LatencyTests {
    @Test(
        "Percentiles are exact, by nearest rank",
        arguments: [
            ([5], 5, 5, 5), ([1, 2], 1, 2, 2), (Array(1...100), 50, 99, 100),
            (Array(1...101), 51, 100, 101), ([7, 7, 7], 7, 7, 7),
            // Seven of ten a hundred times worse: the median shows it.
            ([1, 1, 1, 100, 100, 100, 100, 100, 100, 100], 100, 100, 100),
        ] as [([UInt64], Double, Double, Double)])
    func percentiles(_ samples: [UInt64], _ p50: Double, _ p99: Double, _ longest: Double) {
        let percentiles = Percentiles(ofNanoseconds: samples.reversed().map { $0 * 1_000 })
        #expect(
            percentiles
                == Percentiles(
                    count: samples.count, p50Microseconds: p50, p99Microseconds: p99,
                    maxMicroseconds: longest))
    }

    @Test("Nothing has no percentiles, and no ratio")
    func nothing() {
        #expect(Percentiles(ofNanoseconds: []) == nil)
        #expect(Latency.measure([]).p50Ratio == nil)
        #expect(Latency.measure(SyntheticMesh().all).p50Ratio == nil)
    }

    @Test("Deliveries are measured per transport, within the window")
    func measure() {
        var mesh = SyntheticMesh()
        for var record in SyntheticMesh(transport: "nats").all.flatMap(\.records) {
            record.lane = .shadow
            record.observed += 1_000
            mesh.append(record)
        }
        let latency = Latency.measure(mesh.all)
        #expect(latency.transports["zmq"]?.count == 2_000)
        #expect(latency.transports["zmq"]?.maxMicroseconds == 0.5)
        #expect(latency.p50Ratio == 3 && latency.p99Ratio == 3)
        #expect(Latency.measure(mesh.all, lane: .primary).transports["nats"] == nil)
        let start = SyntheticMesh.start
        #expect(Latency.measure(mesh.all, window: start...start).transports["zmq"]?.count == 1)
    }
}

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
