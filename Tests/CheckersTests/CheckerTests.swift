import Analysis
import Checkers
import JSON
import PointClouds
import Recording
import Testing
import Wire

/// A run of two agents and a subscriber, to be spoilt.
private struct Scene {
    var alpha = History(process: "alpha")
    var beta = History(process: "beta")
    var gamma = History(process: "gamma")
    var heals: [UInt64] = []
    static let start: UInt64 = 1_000_000_000_000

    var evidence: Evidence {
        Evidence(histories: [alpha, beta, gamma], heals: heals)
    }

    static func identity(
        _ source: String, _ destination: Address, _ sequence: UInt64
    ) -> Identity {
        Identity(
            flow: Flow(source: source, destination: destination), incarnation: 1,
            sequence: sequence)
    }

    static func record(
        _ agent: String, _ identity: Identity, _ direction: Direction, _ type: String,
        at time: UInt64, sent: UInt64? = nil, _ content: [UInt8] = [],
        _ encoding: Envelope.ContentEncoding = .binary
    ) -> HistoryRecord {
        HistoryRecord(
            agent: agent, identity: identity, type: type, transport: "zmq", direction: direction,
            sent: start + (sent ?? time), observed: start + time, contentEncoding: encoding,
            content: .bytes(content))
    }

    /// Ten orders of alpha to beta, each answered by an invoice to alpha and a broadcast that follows
    /// from it.
    static let good: Scene = {
        var scene = Scene()
        for annotation in [
            Annotation.subscribed(agent: "alpha", topic: "news", at: 0),
            .subscribed(agent: "gamma", topic: "news", at: 0),
        ] {
            scene.gamma.annotations.append(annotation)
        }
        for number in 1...UInt64(10) {
            let time = number * 1_000_000
            let order = identity("alpha", .agent("beta"), number)
            let invoice = identity("beta", .agent("alpha"), number)
            let news = identity("beta", .topic("news"), number)
            scene.alpha.records.append(record("alpha", order, .sent, "order", at: time))
            scene.beta.records.append(
                record("beta", order, .delivered, "order", at: time + 100_000, sent: time))
            scene.beta.records.append(
                record("beta", invoice, .sent, "invoice", at: time + 200_000))
            scene.beta.records.append(record("beta", news, .sent, "news", at: time + 300_000))
            scene.beta.annotations.append(.cause(of: invoice, by: order, at: time))
            scene.beta.annotations.append(.cause(of: news, by: invoice, at: time))
            scene.alpha.records.append(
                record(
                    "alpha", invoice, .delivered, "invoice", at: time + 400_000,
                    sent: time + 200_000))
            for agent in ["alpha", "gamma"] {
                let delivery = record(
                    agent, news, .delivered, "news", at: time + 500_000, sent: time + 300_000)
                if agent == "alpha" {
                    scene.alpha.records.append(delivery)
                } else {
                    scene.gamma.records.append(delivery)
                }
            }
        }
        scene.heals = [start + 4_500_000]
        return scene
    }()
}

private struct Case: CustomTestStringConvertible, Sendable {
    let checker: String
    let name: String
    let verdict: Judgement
    let spoil: @Sendable (inout Scene) -> Void
    var testDescription: String { "\(checker): \(name)" }
}

private func index(
    _ history: History, _ type: String, _ sequence: UInt64, _ direction: Direction
) -> Int {
    history.records.firstIndex {
        $0.type == type && $0.identity.sequence == sequence && $0.direction == direction
    } ?? 0
}

@Suite struct CheckerTests {
    fileprivate static let cases: [Case] = [
        Case(checker: "delivery", name: "all is well", verdict: .pass) { _ in },
        Case(checker: "delivery", name: "one is lost", verdict: .fail) {
            $0.beta.records.remove(at: index($0.beta, "order", 4, .delivered))
        },
        Case(checker: "delivery", name: "nothing was sent", verdict: .inconclusive) {
            $0 = Scene()
        },
        Case(checker: "delivery", name: "a history is damaged", verdict: .inconclusive) {
            $0.gamma.notes = ["it ends early"]
        },
        Case(checker: "order", name: "all is well", verdict: .pass) { _ in },
        Case(checker: "order", name: "two change places", verdict: .fail) {
            let (one, other) = (
                index($0.gamma, "news", 5, .delivered), index($0.gamma, "news", 6, .delivered)
            )
            let (first, second) = ($0.gamma.records[one].observed, $0.gamma.records[other].observed)
            $0.gamma.records[one].observed = second
            $0.gamma.records[other].observed = first
        },
        Case(checker: "order", name: "a repeat of an old one is no disorder", verdict: .pass) {
            var again = $0.gamma.records[index($0.gamma, "news", 2, .delivered)]
            again.observed += 9_000_000
            $0.gamma.records.append(again)
        },
        Case(checker: "order", name: "nothing came", verdict: .inconclusive) { $0 = Scene() },
        Case(checker: "causal", name: "all is well", verdict: .pass) { _ in },
        Case(checker: "causal", name: "an answer before its question came", verdict: .fail) {
            $0.beta.records[index($0.beta, "invoice", 3, .sent)].observed -= 150_000
        },
        Case(checker: "causal", name: "an answer to what never came", verdict: .fail) {
            $0.beta.records.remove(at: index($0.beta, "order", 3, .delivered))
        },
        Case(checker: "causal", name: "what follows came first", verdict: .fail) {
            $0.alpha.records[index($0.alpha, "news", 3, .delivered)].observed -= 200_000
        },
        Case(checker: "causal", name: "nobody answers", verdict: .inconclusive) {
            $0.beta.annotations = []
        },
        Case(checker: "latency:p99=1ms", name: "all is well", verdict: .pass) { _ in },
        Case(checker: "latency:p99=1ms", name: "one of forty is slow", verdict: .fail) {
            $0.gamma.records[0].observed += 5_000_000
        },
        Case(checker: "latency:p50=1ms", name: "the median is not the slowest", verdict: .pass) {
            $0.gamma.records[0].observed += 5_000_000
        },
        Case(checker: "latency:p99=1ms,type=order", name: "of ten", verdict: .inconclusive) { _ in
        },
        Case(
            checker: "latency:p99=1ms,type=order,min=10", name: "of ten, if that is enough",
            verdict: .pass
        ) { _ in },
        Case(
            checker: "latency:p99=1ms,transport=nats", name: "nothing over NATS",
            verdict: .inconclusive
        ) { _ in },
        Case(checker: "liveness:1ms", name: "all is well", verdict: .pass) { _ in },
        Case(checker: "liveness:1ms", name: "a flow does not come back", verdict: .fail) { scene in
            let late = scene.gamma.records.filter { $0.identity.sequence < 5 }
            scene.gamma.records = HistoryRecords(late)
        },
        Case(checker: "liveness:1ms", name: "nothing was healed", verdict: .inconclusive) {
            $0.heals = []
        },
        Case(checker: "once:order->invoice", name: "all is well", verdict: .pass) { _ in },
        Case(checker: "once:order->invoice", name: "an effect is missing", verdict: .fail) {
            $0.beta.records.remove(at: index($0.beta, "invoice", 9, .sent))
        },
        Case(checker: "once:order->invoice", name: "an effect comes twice", verdict: .fail) {
            let identity = Scene.identity("beta", .agent("alpha"), 11)
            $0.beta.records.append(
                Scene.record("beta", identity, .sent, "invoice", at: 99_000_000))
            $0.beta.annotations.append(
                .cause(of: identity, by: Scene.identity("alpha", .agent("beta"), 2), at: 0))
        },
        Case(checker: "once:order->invoice", name: "the order came twice", verdict: .pass) {
            $0.beta.records.append($0.beta.records[index($0.beta, "order", 2, .delivered)])
        },
        Case(checker: "once:wish->gift", name: "there are none", verdict: .inconclusive) { _ in },
    ]

    @Test("Each checker decides as its table says", arguments: cases)
    fileprivate func table(_ one: Case) throws {
        var scene = Scene.good
        one.spoil(&scene)
        let checker = try #require(try Checkers.named(one.checker))
        let outcome = checker.outcome(of: scene.evidence)
        #expect(outcome.verdict == one.verdict, "\(outcome.reason)")
        #expect(
            outcome.findings.isEmpty == (one.verdict != .fail) || one.checker.hasPrefix("latency"))
        #expect(!outcome.reason.isEmpty)
        // The same evidence says the same.
        #expect(checker.outcome(of: scene.evidence) == outcome)
    }

    @Test(
        "Answers are right or none",
        arguments: [
            (#"{"numbers":[4,9,10,13],"answer":"(10-4)*(13-9)"}"#, Judgement.pass),
            (#"{"numbers":[4,9,10,13],"answer":"(10-4)*(13-8)"}"#, .fail),
            (#"{"numbers":[4,9,10,13],"answer":"10+4+9+1"}"#, .fail),
            (#"{"numbers":[4,9,10,13],"answer":null}"#, .fail),
            (#"{"numbers":[1,1,1,1],"answer":null}"#, .pass), (#"{"answer":"24"}"#, .fail),
            ("no JSON", .fail),
        ])
    func answers(content: String, verdict: Judgement) {
        var scene = Scene()
        scene.alpha.records.append(
            Scene.record(
                "alpha", Scene.identity("alpha", .topic("puzzles"), 1), .sent, "answer", at: 1,
                Array(content.utf8), .json))
        #expect(AnswerChecker().outcome(of: scene.evidence).verdict == verdict)
    }

    @Test("Answers need not be there")
    func noAnswers() {
        #expect(AnswerChecker().outcome(of: Scene.good.evidence).verdict == .inconclusive)
    }

    @Test(
        "Clouds are the same, or near enough",
        arguments: [
            ("clouds", 0.0, Judgement.pass), ("clouds", 0.001, .fail),
            ("clouds:scan,tolerance=0.01", 0.001, .pass),
            ("clouds:scan,tolerance=0.01", 0.1, .fail),
            ("clouds:other", 0.0, .inconclusive),
        ])
    func clouds(name: String, off: Float, verdict: Judgement) throws {
        func content(_ off: Float) -> [UInt8] {
            PointCloud(.single([0, 0, 0, 1, 2, 3 + off, 4, 5, 6])).content()
        }
        var scene = Scene()
        let identity = Scene.identity("alpha", .agent("beta"), 1)
        scene.alpha.records.append(
            Scene.record("alpha", identity, .sent, "scan", at: 1, content(0)))
        scene.beta.records.append(
            Scene.record("beta", identity, .delivered, "scan", at: 2, content(off)))
        let checker = try #require(try Checkers.named(name))
        let outcome = checker.outcome(of: scene.evidence)
        #expect(outcome.verdict == verdict, "\(outcome.reason)")
    }

    @Test("A checker that crashes is inconclusive")
    func crash() {
        struct Broken: Checker {
            let name = "broken"
            struct Failure: Error {}
            func check(_ evidence: Evidence) throws -> CheckOutcome { throw Failure() }
        }
        #expect(Broken().outcome(of: Scene.good.evidence).verdict == .inconclusive)
    }

    @Test(
        "A name that is none says how they are written",
        arguments: [
            "delivery:x", "latency", "latency:p99", "latency:p0=1ms", "latency:p99=fast",
            "liveness", "liveness:-1s", "once", "once:a", "once:->b", "clouds:tolerance=-1",
            "command", "command:", "", "nothing",
        ])
    func names(text: String) {
        #expect(throws: CheckerNameError.self) { try Checkers.named(text) }
    }
}
