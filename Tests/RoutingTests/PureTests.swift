import JSON
import TestSupport
import Testing
import Wire

@testable import Routing

@Suite("Routing, without sockets")
struct PureTests {
    @Test("The routing report has the seed's shape, most frequent first")
    func report() {
        var statistics = RouteStatistics()
        func count(_ source: String, _ destination: String, _ times: Int, _ bytes: Int) {
            let from = statistics.number(of: Array(source.utf8))
            let to = statistics.number(of: Array(destination.utf8))
            for _ in 0..<times { statistics.count(from: from, to: to, bytes: bytes) }
        }
        count("capture", "mesh", 250, 1_024)
        count("probe", "echo", 1_000, 4_096)
        count("echo", "probe", 250, 16)
        #expect(
            statistics.report(
                title: "core", deadLetters: [("queue full", 1_200), ("malformed", 3)])
                == [
                    "======================================================================",
                    "Routing Report - core",
                    "Total Messages: 1,500",
                    "Total Bytes: 4,356,000 (4.15 MB)",
                    "======================================================================",
                    "probe -> echo                              1000 msgs ( 66.7%)    4096000 bytes",
                    "capture -> mesh                             250 msgs ( 16.7%)     256000 bytes",
                    "echo -> probe                               250 msgs ( 16.7%)       4000 bytes",
                    "Dead Letters: 1,203 (queue full 1,200, malformed 3)",
                ])
    }

    @Test("A report without traffic divides by nothing")
    func emptyReport() {
        let lines = RouteStatistics().report(title: "core", deadLetters: [])
        #expect(lines[2...3] == ["Total Messages: 0", "Total Bytes: 0 (0.00 MB)"])
    }

    @Test("Made-up names share one row instead of filling memory")
    func boundedNames() {
        var statistics = RouteStatistics()
        for number in 0..<(RouteStatistics.namesMax * 2) {
            let source = statistics.number(of: Array("s\(number)".utf8))
            statistics.count(from: source, to: 0, bytes: 1)
        }
        #expect(statistics.rows.count == RouteStatistics.namesMax)
        #expect(statistics.rows.first?.source == "(other)")
        #expect(statistics.messages == RouteStatistics.namesMax * 2)
    }

    @Test(
        "A header is read in place exactly as the codec reads it",
        arguments: [
            agentEnvelope("a", "b", 7, incarnation: 3, hops: 2),
            topicEnvelope("camera", "tot.x", .max),
            Envelope(
                identity: agentEnvelope("a", "b", 1).identity, kind: .gap, type: "t", sent: 9,
                cause: topicEnvelope("x", "tot.y", 4).identity, contentEncoding: .json),
        ])
    func headerView(envelope: Envelope) throws {
        let header = envelope.header
        let view = try #require(HeaderView(header))
        #expect(view.identity(in: header) == envelope.identity)
        #expect(view.kind == envelope.kind)
        #expect(view.hops == envelope.hops)
        #expect(String(decoding: header[view.type], as: UTF8.self) == envelope.type)
        for count in 0..<header.count { #expect(HeaderView(Array(header.prefix(count))) == nil) }
    }

    @Test("What the view accepts, the codec accepts")
    func headerViewIsNoLooser() {
        var generator = SeededGenerator(seed: 1)
        let good = agentEnvelope("alpha", "beta", 7).header
        for _ in 0..<20_000 {
            var header = good
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                header[Int.random(in: 0..<header.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            guard HeaderView(header) != nil else { continue }
            #expect(throws: Never.self) { try Envelope(header: header, content: []) }
        }
    }

    private func parcel(_ sequence: UInt64, bytes: Int = 0) -> Parcel {
        Parcel(agentEnvelope("a", "b", sequence, content: [UInt8](repeating: 0, count: bytes)))
    }

    @Test("An outlet is bounded in messages and in bytes, but one message always fits")
    func outletBounds() {
        var outlet = Outlet(limits: QueueLimits(messages: 2, bytes: 1_000))
        var taken = [outlet.offer(parcel(1, bytes: 5_000)), outlet.offer(parcel(2))]
        #expect(taken == [true, false])
        outlet.sent()
        taken = [
            outlet.offer(parcel(2)), outlet.offer(parcel(3, bytes: 990)), outlet.offer(parcel(3)),
            outlet.offer(parcel(4)),
        ]
        #expect(taken == [true, false, true, false])
    }

    @Test("Credit is spent by content alone and never exceeds the window")
    func outletCredit() throws {
        var outlet = Outlet(limits: QueueLimits(messages: 10, bytes: 10_000))
        outlet.attach(window: 1)
        for sequence in 1...3 { _ = outlet.offer(parcel(UInt64(sequence))) }
        #expect(outlet.count == 3)
        #expect(outlet.next != nil)
        outlet.sent()
        #expect(outlet.next == nil)
        outlet.isFlushing = true
        #expect(outlet.next != nil)
        outlet.isFlushing = false
        outlet.replenish(.max)
        #expect(outlet.credit == 1)
        var gaps = GapLedger()
        gaps.add(agentEnvelope("a", "b", 9).identity, reason: "x")
        let notice = try #require(gaps.take(clock: RunClock(offset: 0)).first)
        #expect(!notice.takesCredit)
    }

    @Test("Losses in a row are told as one range, each reason and flow for itself")
    func gaps() throws {
        var ledger = GapLedger()
        for sequence in [1, 2, 3, 7, 8] as [UInt64] {
            ledger.add(agentEnvelope("a", "b", sequence).identity, reason: "queue full")
            ledger.add(agentEnvelope("x", "b", sequence).identity, reason: "queue full")
        }
        ledger.add(agentEnvelope("a", "b", 9).identity, reason: "oversize")
        let told = try ledger.take(clock: RunClock(offset: 0)).map { parcel in
            let envelope = try #require(parcel.envelope)
            let content = try Value(parsing: envelope.content)
            return "\(envelope.source) \(content["from"]?.integer ?? 0)-"
                + "\(content["through"]?.integer ?? 0) \(content["reason"]?.string ?? "")"
        }
        #expect(
            told == [
                "a 1-3 queue full", "x 1-3 queue full", "a 7-8 queue full", "x 7-8 queue full",
                "a 9-9 oversize",
            ])
        #expect(ledger.isEmpty)
        for sequence in 1...3_000 as ClosedRange<UInt64> {
            ledger.add(agentEnvelope("a", "b", sequence * 2).identity, reason: "x")
        }
        #expect(ledger.take(clock: RunClock(offset: 0)).count == GapLedger.rangesMax)
        #expect(ledger.untold == 3_000 - GapLedger.rangesMax)
    }

    @Test("A message that does not come back in time is lost, and an equal one is another's again")
    func returning() {
        var messages = ReturningMessages()
        let start = ContinuousClock.now
        let (one, two): ([[UInt8]], [[UInt8]]) = ([[1], [1]], [[1], [2]])
        func send(_ message: [[UInt8]], at seconds: Int) {
            messages.insert(message, at: start + .seconds(seconds))
        }
        func isExpected(_ message: [[UInt8]], at seconds: Int) -> Bool {
            messages.remove(message, at: start + .seconds(seconds))
        }
        func lost(before seconds: Int) -> Int {
            messages.takeLost(before: start + .seconds(seconds))
        }
        #expect(!isExpected(one, at: 0))
        for message in [one, two, one] { send(message, at: 0) }
        // In whatever order, each as often as it was sent.
        #expect(isExpected(two, at: 1))
        #expect(isExpected(one, at: 1))
        #expect(!isExpected(two, at: 1))
        #expect(lost(before: -1) == 0)
        send(two, at: 3)
        #expect(!isExpected(one, at: 6))
        #expect(lost(before: 1) == 1)
        #expect(lost(before: 1) == 0)
        #expect(isExpected(two, at: 6))
        #expect(lost(before: 9) == 0)
        for _ in 1...3 { send(one, at: 10) }
        #expect(lost(before: 11) == 3)
        #expect(!isExpected(one, at: 11))
    }

    @Test("Somebody without room holds the others up once, then loses until it reads")
    func stallPolicy() {
        var policy = StallPolicy()
        let start = ContinuousClock.now
        let timeout = Duration.seconds(5)
        func isOver(at seconds: Int) -> Bool {
            policy.isOver(timeout: timeout, now: start + .seconds(seconds))
        }
        func hadRoom(at seconds: Int) {
            policy.hadRoom(timeout: timeout, now: start + .seconds(seconds))
        }
        #expect([0, 4, 5].map { isOver(at: $0) } == [false, false, true])
        policy.lost(now: start + .seconds(5))
        hadRoom(at: 6)
        #expect(isOver(at: 7))
        hadRoom(at: 13)
        #expect(!isOver(at: 14))
        hadRoom(at: 15)
        #expect(!isOver(at: 19))
    }

    @Test("A seed message gets its flow's next sequence, or nothing when a name is not legal")
    func stamper() {
        var stamper = SeedStamper(incarnation: 2)
        func stamp(_ from: String, _ to: String, sender: String) -> Identity? {
            let message = SeedMessage(from: from, to: to, type: "x", content: nil)
            return stamper.stamp(message, message.bytes, sender: sender, now: 1)?.identity
        }
        let first = stamp("", "b", sender: "a")
        #expect(first == agentEnvelope("a", "b", 1, incarnation: 2).identity)
        #expect(stamp("", "b", sender: "a")?.sequence == 2)
        #expect(stamp("", "c", sender: "a")?.sequence == 1)
        #expect(stamp("z", "b", sender: "\u{0}\u{1}")?.flow.source == "z")
        #expect(stamp("", "b", sender: "\u{0}") == nil)
        #expect(stamp("", "b c", sender: "a") == nil)
    }

    @Test(
        "A configuration with a mistake says which",
        arguments: [
            (#"[]"#, "no JSON object"), (#"{}"#, "'name' is missing"),
            (#"{"name":"a b","endpoint":"x"}"#, "'name' must be"),
            (#"{"name":"a"}"#, "'endpoint' is missing"),
            (#"{"name":"a","endpoint":"x","queue_messages":0}"#, "at least 1"),
            (#"{"name":"a","endpoint":"x","what":0}"#, "unknown key 'what'"),
            (
                #"{"name":"a","endpoint":"x","agents":[{"name":"b","transport":"tcp"}]}"#,
                "zmq or nats"
            ),
            (#"{"name":"a","endpoint":"x","agents":[{"name":"b"},{"name":"b"}]}"#, "stands twice"),
            (
                #"{"name":"a","endpoint":"x","agents":[{"name":"b","wired":1}]}"#,
                "agents[0]: unknown"
            ),
        ])
    func configuration(text: String, reason: String) throws {
        let value = try Value(parsing: text)
        let error = #expect(throws: RoutingError.self) { try BranchConfiguration(value) }
        #expect(error?.description.contains(reason) == true)
    }

    @Test("A complete configuration is read as it stands")
    func goodConfiguration() throws {
        let branch = try BranchConfiguration(
            Value(
                parsing: #"""
                    {"name":"core","endpoint":"tcp://127.0.0.1:*","nats":null,
                     "routing_report_ms":50,"queue_messages":7,"queue_bytes":8,
                     "agents":[{"name":"a","transport":"nats","wire":"json"}]}
                    """#))
        #expect(
            branch
                == BranchConfiguration(
                    name: "core", routingReport: .milliseconds(50), queueMessages: 7,
                    queueBytes: 8,
                    agents: [.init(name: "a", transport: .nats, wire: .json)]))
        let topics = try TopicConfiguration(
            Value(
                parsing: #"""
                    {"name":"tot","publish_endpoint":"x","subscribe_endpoint":"y",
                     "nats":"nats://h","prefixes":["tot"],"stall_timeout_ms":9}
                    """#))
        #expect(
            topics
                == TopicConfiguration(
                    name: "tot", publishEndpoint: "x", subscribeEndpoint: "y", nats: "nats://h",
                    prefixes: ["tot"], stallTimeout: .milliseconds(9)))
    }
}
