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
