import Analysis
import Recording
import Testing
import Wire

private let flow = Flow(source: "a", destination: .agent("b"))

private func record(
    _ sequence: UInt64, _ direction: Direction, _ delivery: DeliveryClass = .atLeastOnce
) -> HistoryRecord {
    HistoryRecord(
        agent: direction == .sent ? "a" : "b",
        identity: Identity(flow: flow, incarnation: 1, sequence: sequence), type: "x",
        transport: "zmq", direction: direction, sent: sequence * 10, observed: sequence * 10 + 1,
        contentEncoding: .binary, delivery: delivery, content: .bytes([1]))
}

/// Ten sent, these delivered, and so many acknowledged.
private func report(
    delivered: [UInt64], through: UInt64, annotations: [Annotation] = [],
    faults: [FaultWindow] = []
) -> DeliveryReport {
    let sender = History(
        process: "a", records: HistoryRecords((1...10).map { record($0, .sent) }),
        annotations: [
            .acknowledged(flow: flow, incarnation: 1, through: through, by: "b", at: 500)
        ])
    let receiver = History(
        process: "b", records: HistoryRecords(delivered.map { record($0, .delivered) }),
        annotations: annotations)
    return Delivery.check([sender, receiver], in: DeliveryScope(faults: faults))
}

private let fault = FaultWindow(
    id: "kill-1", kind: "kill", target: "b", started: 0, healed: 1_000_000, reach: .everything)

@Suite("The class at_least_once in the delivery check") struct KeptDeliveryTests {
    @Test("All delivered and acknowledged passes; repeats are counted, and no failure")
    func passes() throws {
        let repeated = Annotation.repeatDropped(
            Identity(flow: flow, incarnation: 1, sequence: 3), transport: "zmq", by: "b", at: 40)
        let report = report(delivered: Array(1...10), through: 10, annotations: [repeated])
        let kept = try #require(report.counts.atLeastOnce)
        #expect(kept.sent == 10 && kept.delivered == 10 && kept.acknowledged == 10)
        #expect(kept.lost == 0 && kept.repeatsDropped == 1)
        #expect(report.counts.acknowledged == 10)
        #expect(Limits.zero.judge(delivery: report).verdict == .pass)
    }

    @Test("A loss is excused by no fault and allowed by no limit")
    func lossFails() {
        let report = report(delivered: Array(1...9), through: 9, faults: [fault])
        #expect(report.counts.explained.lost == 0)
        #expect(report.counts.atLeastOnce?.lost == 1)
        var generous = Limits.zero
        generous[.lost] = 100
        #expect(generous.judge(delivery: report).verdict == .fail)
    }

    @Test("What is acknowledged and not recorded is a failure of its own")
    func wrongAcknowledgement() {
        let report = report(delivered: [1, 2, 3, 5, 6, 7, 8, 9, 10], through: 10)
        #expect(report.counts.atLeastOnce?.wronglyAcknowledged == 1)
        #expect(
            report.findings.contains {
                $0.deviation == .acknowledgement && $0.severity == .error && $0.sequence == 4
            })
        #expect(Limits.zero.judge(delivery: report).verdict == .fail)
    }

    @Test("What its receiver gave up and said so is lost, not wrongly acknowledged")
    func givenUp() {
        let gap = Annotation.gap(
            flow: flow, incarnation: 1, from: 4, through: 4, reason: "not there", by: "b", at: 50)
        let report = report(
            delivered: [1, 2, 3, 5, 6, 7, 8, 9, 10], through: 10, annotations: [gap])
        #expect(report.counts.atLeastOnce?.wronglyAcknowledged == 0)
        #expect(report.counts.atLeastOnce?.lost == 1)
        #expect(Limits.zero.judge(delivery: report).verdict == .fail)
    }

    @Test("Delivered and unacknowledged at the end is named, and passes")
    func unacknowledged() {
        let report = report(delivered: Array(1...10), through: 8)
        #expect(report.counts.atLeastOnce?.unacknowledged == 2)
        #expect(report.findings.map(\.severity) == [.warning, .warning])
        #expect(Limits.zero.judge(delivery: report).verdict == .pass)
    }

    @Test("What was to be kept and was sent at most once fails, delivered or not")
    func notKept() {
        func report(_ keeping: Set<String>, delivered: UInt64) -> DeliveryReport {
            let sender = History(
                process: "a",
                records: HistoryRecords((1...10).map { record($0, .sent, .atMostOnce) }),
                annotations: [])
            let receiver = History(
                process: "b",
                records: HistoryRecords(
                    (1...delivered).map { record($0, .delivered, .atMostOnce) }),
                annotations: [])
            var scope = DeliveryScope(faults: [fault])
            scope.keeping = keeping
            scope.acknowledging = ["b"]
            return Delivery.check([sender, receiver], in: scope)
        }
        let whole = report(["a"], delivered: 10)
        #expect(whole.counts.atLeastOnce?.sentAtMostOnce == 10)
        #expect(Limits.zero.judge(delivery: whole).verdict == .fail)
        let short = report(["a"], delivered: 8)
        #expect(short.counts.atLeastOnce?.lost == 2 && short.counts.explained.lost == 0)
        // Who was not told to keep anything loses by a fault, as before.
        let free = report([], delivered: 8)
        #expect(free.counts.atLeastOnce == nil && free.counts.explained.lost == 2)
        #expect(Limits.zero.judge(delivery: free).verdict == .pass)
    }

    @Test("A receiver that acknowledges nothing at all fails the run")
    func silence() {
        func report(_ count: UInt64, through: UInt64?) -> DeliveryReport {
            let sender = History(
                process: "a", records: HistoryRecords((1...count).map { record($0, .sent) }),
                annotations: through.map {
                    [.acknowledged(flow: flow, incarnation: 1, through: $0, by: "b", at: 500)]
                } ?? [])
            let receiver = History(
                process: "b", records: HistoryRecords((1...count).map { record($0, .delivered) }),
                annotations: [])
            return Delivery.check([sender, receiver], in: DeliveryScope())
        }
        let silent = report(200, through: nil)
        #expect(silent.counts.atLeastOnce?.neverAcknowledged == 200)
        #expect(Limits.zero.judge(delivery: silent).verdict == .fail)
        #expect(Limits.zero.judge(delivery: report(200, through: 1)).verdict == .pass)
        // A handful may have come right before the end.
        #expect(Limits.zero.judge(delivery: report(20, through: nil)).verdict == .pass)
    }

    @Test("Delivered twice is excused by no fault")
    func twice() {
        let report = report(delivered: Array(1...10) + [4], through: 10, faults: [fault])
        #expect(report.counts.unexplained.duplicated == 1)
        #expect(Limits.zero.judge(delivery: report).verdict == .fail)
    }
}
