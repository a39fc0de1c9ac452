import JSON
import Messaging
import TestSupport
import Testing
import Wire

private let second: UInt64 = 1_000_000_000
private let flow = Flow(source: "a", destination: .agent("b"))
private let topicFlow = Flow(source: "a", destination: .topic("t.u"))

private func arrival(
    _ sequence: UInt64, _ flow: Flow = flow, incarnation: UInt32 = 1, transport: String = "zmq"
) -> Arrival {
    Arrival(
        Envelope(
            identity: Identity(flow: flow, incarnation: incarnation, sequence: sequence),
            type: "x", sent: 0, content: [1, 2, 3]),
        transport: transport)
}

/// Outcomes as short texts: `+3` delivered, `=3` repeated, `~3` late, `-3...4` given up.
private func brief(_ outcomes: [Receiver.Outcome]) -> [String] {
    outcomes.map { outcome in
        switch outcome {
        case .deliver(let arrival): "+\(arrival.envelope.sequence)"
        case .repeated(let arrival): "=\(arrival.envelope.sequence)"
        case .late(let arrival): "~\(arrival.envelope.sequence)"
        case .gap(_, _, let from, let through, _): "-\(from)...\(through)"
        case .refused(let arrival): "!\(arrival.envelope.sequence)"
        case .deferred(let arrival): "?\(arrival.envelope.sequence)"
        case .missing(_, _, let from, let through): "?\(from)...\(through)"
        case .noticeRefused(_, _, let from, let through): "!\(from)...\(through)"
        }
    }
}

@Suite("The receiver's rule") struct ReceiverTests {
    enum Step: Sendable {
        case come(UInt64)
        case notice(UInt64, UInt64)
        /// Seconds since the start.
        case time(Double)
    }

    @Test(
        "Each row: what comes, and what is decided",
        arguments: [
            ("in order", [.come(1), .come(2), .come(3)], ["+1", "+2", "+3"]),
            ("repeat", [.come(1), .come(1), .come(2), .come(1)], ["+1", "=1", "+2", "=1"]),
            ("swap", [.come(2), .come(1)], ["+1", "+2"]),
            ("repeat of a held one", [.come(2), .come(2), .come(1)], ["=2", "+1", "+2"]),
            ("reversed", [.come(4), .come(3), .come(2), .come(1)], ["+1", "+2", "+3", "+4"]),
            ("gap not yet given up", [.come(1), .come(3), .time(1.9)], ["+1"]),
            ("gap given up", [.come(1), .come(4), .time(2)], ["+1", "-2...3", "+4"]),
            (
                "late is not delivered, and then a repeat",
                [.come(1), .come(4), .time(2), .come(3), .come(3), .come(2), .come(4)],
                ["+1", "-2...3", "+4", "~3", "=3", "~2", "=4"]
            ),
            (
                "two gaps, each with its own time",
                [.come(2), .time(1), .come(4), .time(2), .time(2.5), .time(3)],
                ["-1...1", "+2", "-3...3", "+4"]
            ),
            ("notice before", [.notice(1, 2), .come(3)], ["-1...2", "+3"]),
            ("notice of the gap", [.come(1), .come(4), .notice(2, 3)], ["+1", "-2...3", "+4"]),
            (
                "notice of a part", [.come(4), .notice(2, 2), .come(1), .come(3)],
                ["+1", "-2...2", "+3", "+4"]
            ),
            ("notice of what came", [.come(1), .notice(1, 1), .come(2)], ["+1", "+2"]),
            (
                "notice around what is held", [.come(3), .notice(1, 5), .come(6)],
                ["-1...2", "+3", "-4...5", "+6"]
            ),
            (
                "announced missing, and comes nevertheless", [.notice(2, 4), .come(3), .come(1)],
                ["+1", "-2...2", "+3", "-4...4"]
            ),
            ("notice upside down", [.notice(3, 1), .come(1)], ["+1"]),
            ("two notices", [.notice(2, 3), .notice(2, 5), .come(1)], ["+1", "-2...3", "-4...5"]),
        ] as [(String, [Step], [String])])
    func decides(name: String, steps: [Step], expected: [String]) {
        var receiver = Receiver()
        var now: UInt64 = 1_000 * second
        let start = now
        var decided: [String] = []
        for step in steps {
            switch step {
            case .come(let sequence):
                decided += brief(receiver.accept(arrival(sequence), at: now))
            case .notice(let from, let through):
                decided += brief(
                    receiver.accept(
                        gapIn: flow, incarnation: 1, from: from, through: through, reason: "full",
                        at: now))
            case .time(let seconds):
                now = start + UInt64(seconds * 1e9)
                decided += brief(receiver.expire(at: now))
            }
        }
        #expect(decided == expected)
    }

    @Test(
        "Where a flow begins that was never seen",
        arguments: [
            (Receiver.Base.one, flow, []), (.firstSeen, flow, ["+5"]), (.one, topicFlow, ["+5"]),
            (.firstSeen, topicFlow, ["+5"]),
        ] as [(Receiver.Base, Flow, [String])])
    func base(base: Receiver.Base, flow: Flow, expected: [String]) {
        var receiver = Receiver(base: base)
        #expect(brief(receiver.accept(arrival(5, flow), at: second)) == expected)
    }

    @Test("What is before a first-seen base is late, not a repeat")
    func beforeBase() {
        var receiver = Receiver()
        #expect(brief(receiver.accept(arrival(5, topicFlow), at: 1)) == ["+5"])
        #expect(brief(receiver.accept(arrival(4, topicFlow), at: 1)) == ["~4"])
        #expect(brief(receiver.accept(arrival(5, topicFlow), at: 1)) == ["=5"])
    }

    @Test("Incarnations and flows do not know of each other")
    func independent() {
        var receiver = Receiver()
        #expect(brief(receiver.accept(arrival(1), at: 1)) == ["+1"])
        #expect(brief(receiver.accept(arrival(1, incarnation: 2), at: 1)) == ["+1"])
        let other = Flow(source: "c", destination: .agent("b"))
        #expect(brief(receiver.accept(arrival(2, other), at: 1)) == [])
        #expect(brief(receiver.accept(arrival(2), at: 1)) == ["+2"])
    }

    @Test("What is held is bounded in messages and in bytes")
    func bounded() {
        var limits = Receiver.Limits()
        limits.messages = 3
        var receiver = Receiver(limits: limits)
        for sequence in [2, 4, 6] as [UInt64] {
            #expect(receiver.accept(arrival(sequence), at: 1).isEmpty)
        }
        #expect(receiver.heldCount == 3)
        #expect(brief(receiver.accept(arrival(8), at: 1)) == ["-1...1", "+2"])
        #expect(receiver.heldCount == 3)
        limits = Receiver.Limits()
        limits.bytes = 7
        receiver = Receiver(limits: limits)
        #expect(receiver.accept(arrival(2), at: 1).isEmpty)
        #expect(receiver.accept(arrival(3), at: 1).isEmpty)
        #expect(brief(receiver.accept(arrival(5), at: 1)) == ["-1...1", "+2", "+3"])
    }

    @Test("The deadline is that of the longest wait, and none when nothing is held")
    func deadline() {
        var receiver = Receiver()
        #expect(receiver.deadline == nil)
        _ = receiver.accept(arrival(2), at: 10 * second)
        _ = receiver.accept(arrival(9), at: 11 * second)
        #expect(receiver.deadline == 12 * second)
        _ = receiver.accept(arrival(1), at: 11 * second)
        #expect(receiver.deadline == 13 * second)
        _ = receiver.expire(at: 13 * second)
        #expect(receiver.deadline == nil)
    }

    @Test("After a topic was left, its flows begin anew, and repeats are still repeats")
    func rebase() {
        var receiver = Receiver()
        _ = receiver.accept(arrival(1, topicFlow), at: 1)
        _ = receiver.accept(arrival(3, topicFlow), at: 1)
        // What was held is handed out, what it waited for is told.
        #expect(brief(receiver.rebase { $0 == "t.u" }) == ["-2...2", "+3"])
        #expect(receiver.heldCount == 0)
        #expect(brief(receiver.accept(arrival(1, topicFlow), at: 1)) == ["=1"])
        #expect(brief(receiver.accept(arrival(9, topicFlow), at: 1)) == ["+9"])
        #expect(brief(receiver.accept(arrival(11, topicFlow), at: 1)) == [])
        #expect(brief(receiver.accept(arrival(10, topicFlow), at: 1)) == ["+10", "+11"])
    }

    @Test("Marks, gaps given up and what is held survive a restart")
    func restore() throws {
        var first = Receiver()
        _ = first.accept(arrival(1), at: second)
        _ = first.accept(arrival(3), at: second)
        _ = first.expire(at: 3 * second)
        _ = first.accept(arrival(5), at: 3 * second)
        let bytes = Array(first.state.canonical.utf8)
        var next = Receiver()
        let outcomes = try next.restore(Value(parsing: bytes), topics: [], at: 4 * second)
        #expect(outcomes.isEmpty)
        #expect(next.heldCount == 1)
        #expect(brief(next.accept(arrival(3), at: 4 * second)) == ["=3"])
        #expect(brief(next.accept(arrival(2), at: 4 * second)) == ["~2"])
        let delivered = next.accept(arrival(4), at: 4 * second)
        #expect(brief(delivered) == ["+4", "+5"])
        #expect(delivered.last == .deliver(arrival(5)))
    }

    @Test("Right after a restore, the first of an unknown topic flow waits for earlier ones")
    func settling() throws {
        func restored() throws -> Receiver {
            var receiver = Receiver()
            _ = try receiver.restore(Receiver().state, topics: ["t"], at: second)
            return receiver
        }
        var receiver = try restored()
        #expect(receiver.accept(arrival(7, topicFlow), at: second).isEmpty)
        #expect(receiver.accept(arrival(6, topicFlow), at: second).isEmpty)
        // No gap: there may never have been earlier ones.
        #expect(brief(receiver.expire(at: 3 * second)) == ["+6", "+7"])
        receiver = try restored()
        #expect(brief(receiver.accept(arrival(1, topicFlow), at: second)) == ["+1"])
        receiver = try restored()
        #expect(brief(receiver.accept(arrival(7, topicFlow), at: 12 * second)) == ["+7"])
    }

    @Test("Senders that do not exist fill no memory: what is beyond the limit is refused by name")
    func flowsAreBounded() {
        var limits = Receiver.Limits()
        limits.flows = 2
        var receiver = Receiver(limits: limits)
        func flow(_ source: String) -> Flow { Flow(source: source, destination: .agent("b")) }
        for source in ["a1", "a2"] {
            #expect(brief(receiver.accept(arrival(1, flow(source)), at: second)) == ["+1"])
        }
        #expect(brief(receiver.accept(arrival(1, flow("a3")), at: second)) == ["!1"])
        let notice = receiver.accept(
            gapIn: flow("a3"), incarnation: 1, from: 1, through: 5, reason: "", at: second)
        #expect(brief(notice) == ["!1...5"])
        // Those that are known go on.
        #expect(brief(receiver.accept(arrival(2, flow("a1")), at: second)) == ["+2"])
    }

    @Test("Notices are held within the limit; what is beyond it is refused by name")
    func noticesAreBounded() {
        var limits = Receiver.Limits()
        limits.messages = 3
        var receiver = Receiver(limits: limits)
        var outcomes: [Receiver.Outcome] = []
        for start in stride(from: UInt64(10), to: 60, by: 10) {
            outcomes += receiver.accept(
                gapIn: flow, incarnation: 1, from: start, through: start, reason: "x", at: second)
        }
        #expect(brief(outcomes) == ["!40...40", "!50...50"])
        #expect(receiver.heldCount == 3)
        // One that is about what comes next takes no room.
        let next = receiver.accept(
            gapIn: flow, incarnation: 1, from: 1, through: 9, reason: "x", at: second)
        #expect(brief(next) == ["-1...9", "-10...10"])
    }

    @Test("What is held beyond the handover's limit is named")
    func handoverIsBounded() {
        var limits = Receiver.Limits()
        limits.handoverBytes = 7
        var receiver = Receiver(limits: limits)
        for sequence: UInt64 in 2...4 { _ = receiver.accept(arrival(sequence), at: second) }
        #expect(receiver.state["held"]?.array?.count == 2)
        #expect(receiver.leftBehind.lost == [arrival(4).envelope.identity])
    }

    @Test("A notice about a topic that is subscribed to anew begins its flow")
    func noticeAfterRebase() {
        var receiver = Receiver()
        _ = receiver.accept(arrival(1, topicFlow), at: second)
        _ = receiver.rebase { _ in true }
        let notice = receiver.accept(
            gapIn: topicFlow, incarnation: 1, from: 7, through: 8, reason: "", at: second)
        #expect(brief(notice) == ["-7...8"])
        #expect(brief(receiver.accept(arrival(9, topicFlow), at: second)) == ["+9"])
    }

    @Test(
        "A malformed state is refused with its reason, and changes nothing",
        arguments: [
            "{}", "{\"marks\":[{}]}", "{\"marks\":[],\"held\":[{\"header\":\"!\"}]}",
            "{\"marks\":[{\"source\":\"a\",\"destination\":\"b\",\"incarnation\":-1,\"next\":1}]}",
            "{\"marks\":[{\"source\":\"a\",\"destination\":\"b\",\"incarnation\":1,\"next\":0}]}",
        ])
    func malformedState(text: String) throws {
        var receiver = Receiver()
        _ = receiver.accept(arrival(1), at: 1)
        let value = try Value(parsing: Array(text.utf8))
        #expect(throws: MessagingError.self) { try receiver.restore(value, topics: [], at: 1) }
        #expect(brief(receiver.accept(arrival(2), at: 1)) == ["+2"])
    }

    @Test("Any order with any repeats: each once, in order", arguments: 0..<200 as Range<UInt64>)
    func permutations(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let count = UInt64.random(in: 1...60, using: &random)
        let lost = Set((1...count).filter { _ in Int.random(in: 0..<10, using: &random) == 0 })
        let flows = [flow, Flow(source: "c", destination: .agent("b"))]
        var pending: [Arrival] = []
        for flow in flows {
            for sequence in 1...count where !lost.contains(sequence) {
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    pending.append(arrival(sequence, flow))
                }
            }
        }
        pending.shuffle(using: &random)
        var receiver = Receiver()
        var delivered: [Flow: [UInt64]] = [:]
        var repeated = 0
        var given: [Flow: Set<UInt64>] = [:]
        func take(_ outcomes: [Receiver.Outcome]) {
            for outcome in outcomes {
                switch outcome {
                case .deliver(let arrival):
                    delivered[arrival.envelope.identity.flow, default: []].append(
                        arrival.envelope.sequence)
                case .repeated: repeated += 1
                case .late(let arrival): Issue.record("late: \(arrival.envelope.identity)")
                case .refused, .noticeRefused, .deferred, .missing:
                    Issue.record("refused: \(outcome)")
                case .gap(let flow, _, let from, let through, _):
                    given[flow, default: []].formUnion(from...through)
                }
            }
        }
        for arrival in pending { take(receiver.accept(arrival, at: second)) }
        take(receiver.expire(at: 10 * second))
        for flow in flows {
            let expected = (1...count).filter { !lost.contains($0) }
            #expect(delivered[flow, default: []] == expected)
            let last = expected.last ?? 0
            #expect(given[flow, default: []] == lost.filter { $0 < last })
        }
        #expect(repeated == pending.count - delivered.values.reduce(0) { $0 + $1.count })
        #expect(receiver.heldCount == 0)
        #expect(receiver.deadline == nil)
    }

    @Test(
        "Whatever comes whenever: never twice, never backwards, nothing held for ever",
        arguments: 0..<200 as Range<UInt64>)
    func anySchedule(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &+ 1_000)
        var limits = Receiver.Limits()
        limits.messages = 8
        limits.abandonedGaps = 4
        var receiver = Receiver(limits: limits)
        var now = second
        var last: UInt64 = 0
        func check(_ outcomes: [Receiver.Outcome]) {
            for outcome in outcomes {
                switch outcome {
                case .deliver(let arrival):
                    #expect(arrival.envelope.sequence > last)
                    last = arrival.envelope.sequence
                case .gap(_, _, let from, let through, _):
                    #expect(from == last + 1)
                    #expect(through >= from)
                    last = through
                case .repeated, .late, .noticeRefused: break
                case .refused, .deferred, .missing: Issue.record("refused: \(outcome)")
                }
            }
        }
        for _ in 0..<300 {
            now += UInt64.random(in: 0...second / 2, using: &random)
            let sequence = last + UInt64.random(in: 0...12, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                check(
                    receiver.accept(
                        gapIn: flow, incarnation: 1, from: max(1, sequence),
                        through: sequence + 3, reason: "test", at: now))
            case 1: check(receiver.expire(at: now))
            case 2:
                var restored = Receiver(limits: limits)
                check(try restored.restore(receiver.state, topics: [], at: now))
                receiver = restored
            default: if sequence > 0 { check(receiver.accept(arrival(sequence), at: now)) }
            }
            #expect(receiver.heldCount <= limits.messages + 8)
        }
        check(receiver.expire(at: now + 3 * second))
        #expect(receiver.heldCount == 0)
        #expect(receiver.deadline == nil)
    }
}
