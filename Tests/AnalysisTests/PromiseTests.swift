import JSON
import Recording
import Testing
import Wire

@testable import Analysis

/// What a program that keeps no history was asked, and what it answered.
@Suite struct PromiseTests {
    private static let start: UInt64 = 1_000_000_000_000

    /// A proxy's history of `count` questions to a program, and of the answers to those that
    /// `answer` has contents for.
    private func history(
        _ count: Int, answer: (Int) -> [Value] = { [["n": Value($0), "by": "echo"]] }
    ) -> [History] {
        var asked = History(process: "asker")
        var proxy = History(process: "core")
        var answered = 0
        func record(
            _ agent: String, _ flow: Flow, _ sequence: Int, _ type: String,
            _ direction: Direction, at: UInt64, _ content: Value
        ) -> HistoryRecord {
            HistoryRecord(
                agent: agent,
                identity: Identity(flow: flow, incarnation: 1, sequence: UInt64(sequence)),
                type: type, transport: "zmq", direction: direction, sent: at, observed: at,
                contentEncoding: .json, content: .bytes(Array(content.canonical.utf8)))
        }
        let there = Flow(source: "asker", destination: .agent("echo"))
        let back = Flow(source: "echo", destination: .agent("asker"))
        for number in 1...count {
            let at = Self.start + UInt64(number) * 1_000_000
            let content: Value = ["n": Value(number)]
            asked.records.append(record("asker", there, number, "ping", .sent, at: at, content))
            proxy.records.append(
                record("core", there, number, "ping", .delivered, at: at + 1, content))
            for content in answer(number) {
                answered += 1
                proxy.records.append(
                    record("core", back, answered, "echo", .sent, at: at + 2, content))
                asked.records.append(
                    record("asker", back, answered, "echo", .delivered, at: at + 2, content))
            }
        }
        return [asked, proxy]
    }

    private func check(_ histories: [History], key: String? = "n") -> DeliveryReport {
        var scope = DeliveryScope()
        scope.proxies = ["core"]
        scope.promises = ["echo": [Promise(request: "ping", answer: "echo", key: key)]]
        return Delivery.check(histories, in: scope)
    }

    private func places(_ report: DeliveryReport) -> [String] {
        report.findings.map { "\($0.deviation) \($0.identity?.description ?? "")" }
    }

    private static func right(_ number: Int) -> [Value] { [["n": Value(number)]] }

    @Test("A promise that is kept adds nothing", arguments: ["n", nil])
    func kept(key: String?) {
        let report = check(history(100, answer: Self.right), key: key)
        #expect(report.counts.deviations.total == 0)
        #expect(report.counts.delivered == 200)
        #expect(report.findings.isEmpty)
        #expect(report.notes.isEmpty)
    }

    @Test("What was handed over and never answered is lost, not delivered")
    func unanswered() {
        let report = check(history(100) { $0 % 40 == 0 ? [] : Self.right($0) })
        #expect(places(report) == ["lost asker -> echo #1.40", "lost asker -> echo #1.80"])
        #expect(report.counts.deviations == DeviationCounts(lost: 2))
        #expect(report.counts.delivered + 2 == report.counts.expected)
        #expect(report.counts.inferred == 2)
    }

    @Test("A second answer is a repeat, under its own name")
    func repeated() {
        let report = check(history(100) { $0 == 40 ? [["n": 40], ["n": 40]] : Self.right($0) })
        #expect(places(report) == ["duplicated echo -> asker #1.41"])
    }

    @Test("An answer that says something else is altered, and none is missing beside it")
    func altered() {
        let report = check(history(100) { $0 == 40 ? [["n": -1]] : Self.right($0) })
        #expect(places(report) == ["corrupted echo -> asker #1.40"])
        #expect(report.findings.first?.path == "$.n")
    }

    @Test("Of what is missing and what is altered each is named for itself")
    func missingAndAltered() {
        let report = check(
            history(100) { $0 == 10 ? [] : $0 == 40 ? [["n": -1]] : Self.right($0) })
        #expect(
            Set(places(report)) == ["lost asker -> echo #1.10", "corrupted echo -> asker #1.39"])
    }

    @Test("An answer to nothing is unexpected")
    func invented() {
        let report = check(
            history(3) { $0 == 3 ? Self.right(3) + [["n": 9]] : Self.right($0) })
        #expect(places(report) == ["unexpected echo -> asker #1.4"])
    }

    @Test("What the key does not name may differ; without one, nothing may")
    func key() {
        #expect(check(history(10)).counts.deviations.total == 0)
        #expect(check(history(10), key: nil).counts.deviations.corrupted == 10)
    }

    @Test("Contents that were kept as digests cannot be held against each other: no pass")
    func digests() {
        var histories = history(1, answer: Self.right)
        for index in histories.indices {
            for place in histories[index].records.indices {
                histories[index].records[place].content = .digest(UInt64(place), length: 100_000)
            }
        }
        #expect(!check(histories).notes.isEmpty)
    }

    @Test("A fault on the program explains what it did not answer")
    func explained() {
        var scope = DeliveryScope()
        scope.proxies = ["core"]
        scope.promises = ["echo": [Promise(request: "ping", answer: "echo")]]
        scope.faults = [
            FaultWindow(
                id: "kill-1", kind: "kill", target: "echo", started: Self.start, healed: nil,
                reach: .agents(["echo"]))
        ]
        let report = Delivery.check(history(10) { $0 == 4 ? [] : Self.right($0) }, in: scope)
        #expect(report.counts.explained == DeviationCounts(lost: 1))
    }

    @Test(
        "What a watcher missed matters where there was somebody to watch for",
        arguments: [true, false])
    func blind(isWatching: Bool) {
        var histories = history(10, answer: Self.right)
        histories[1].annotations = [.blind(reason: "5 not seen", by: "core", at: Self.start)]
        var scope = DeliveryScope()
        scope.proxies = ["core"]
        scope.isWatching = isWatching
        #expect(
            Delivery.check(histories, in: scope).notes == (isWatching ? ["core: 5 not seen"] : []))
    }

    @Test("Latency is that of envelopes whose whole way was recorded by agents")
    func latency() {
        let histories = history(10, answer: Self.right)
        #expect(Latency.measure(histories).transports["zmq"]?.count == 20)
        #expect(Latency.measure(histories, proxies: ["core"]).transports.isEmpty)
    }
}
