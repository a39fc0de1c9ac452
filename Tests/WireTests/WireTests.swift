import JSON
import Testing
import Wire

@Suite struct WireTests {
    static let flow = Flow(source: "camera-1", destination: .agent("mesh"))
    static let topic = Flow(source: "claude", destination: .topic("tot.p1.b2"))
    static let envelopes = [
        Envelope(
            identity: Identity(flow: flow, incarnation: 1, sequence: 1), type: "ping", sent: 1,
            content: [0x68, 0x69]),
        Envelope(
            identity: Identity(flow: topic, incarnation: .max, sequence: .max), kind: .gap,
            type: "thought", sent: .max,
            cause: Identity(flow: flow, incarnation: 7, sequence: 1 << 40), hops: 3,
            contentEncoding: .json, content: Array("{}".utf8)),
        Envelope(
            identity: Identity(flow: flow, incarnation: 2, sequence: 3), type: "t", sent: 5,
            cause: Identity(flow: topic, incarnation: 1, sequence: 9)),
    ]

    @Test("the header's bytes are those of the protocol's description")
    func vector() {
        #expect(
            Self.envelopes[0].header == [
                1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
            ] + [8] + Array("camera-1".utf8) + [4] + Array("mesh".utf8) + [4] + Array("ping".utf8))
    }

    @Test("what the ZeroMQ header carries comes back", arguments: envelopes)
    func header(envelope: Envelope) throws {
        #expect(try Envelope(header: envelope.header, content: envelope.content) == envelope)
    }

    @Test("what the NATS headers carry comes back", arguments: envelopes)
    func headers(envelope: Envelope) throws {
        let fields = Dictionary(uniqueKeysWithValues: envelope.headers.map { ($0.name, $0.value) })
        let back = try Envelope(headers: { fields[$0] }, content: envelope.content)
        #expect(back == envelope)
        #expect(fields["ce-specversion"] == "1.0")
        #expect(fields["ce-sequence"]?.count == 20)
    }

    @Test(
        "a missing or malformed NATS header is named", arguments: envelopes[1].headers.map(\.name))
    func missing(name: String) {
        let envelope = Self.envelopes[1]
        var fields = Dictionary(uniqueKeysWithValues: envelope.headers.map { ($0.name, $0.value) })
        fields[name] = nil
        let optional = [
            "ce-specversion", "ce-id", "ce-causationid", "ce-datacontenttype",
        ]
        guard !optional.contains(name) else { return }
        #expect(throws: WireError.missing(field: name)) {
            try Envelope(headers: { fields[$0] }, content: [])
        }
    }

    @Test("every prefix of a header is refused", arguments: envelopes)
    func truncated(envelope: Envelope) {
        for count in 0..<envelope.header.count {
            #expect(throws: WireError.self) {
                try Envelope(header: envelope.header.prefix(count), content: [])
            }
        }
        #expect(throws: WireError.trailingBytes(1)) {
            try Envelope(header: envelope.header + [0], content: [])
        }
    }

    @Test("random bytes are refused or read, never a crash")
    func random() {
        var state: UInt64 = 20_251_128
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        for _ in 0..<20_000 {
            var bytes = Self.envelopes[Int(next() % 3)].header
            for _ in 0...(next() % 4) {
                bytes[Int(next()) % bytes.count] = UInt8(truncatingIfNeeded: next())
            }
            _ = try? Envelope(header: bytes, content: [])
        }
    }

    @Test("an identity's token is reversible")
    func causation() {
        for envelope in Self.envelopes {
            #expect(Identity(causationID: envelope.identity.causationID) == envelope.identity)
        }
        #expect(Identity(causationID: "a/b") == nil)
    }

    @Test(
        "a subscription matches whole tokens",
        arguments: [
            ("tot.a", "tot.a", true), ("tot.a.b", "tot.a", true), ("tot.ab", "tot.a", false),
            ("tot", "tot.a", false), ("tot.a", "", false),
        ])
    func tokens(topic: String, subscription: String, matches: Bool) {
        #expect(Names.topic(topic, isUnder: subscription) == matches)
    }

    @Test(
        "names legal on every wire",
        arguments: [
            ("camera-1", true), ("a_b", true), ("", false), ("a.b", false), ("a b", false),
            ("*", false), (">", false), ("_a", false), ("é", false),
            (String(repeating: "a", count: 65), false),
        ])
    func names(name: String, isLegal: Bool) {
        #expect(Names.isLegal(name) == isLegal)
    }

    @Test("a reserved root is no topic", arguments: ["agent.x", "shadow.r", "", "a..b", "_x.y"])
    func topics(topic: String) { #expect(!Names.isLegalTopic(topic)) }

    @Test("the seed's message is read as its agents write it")
    func seed() throws {
        let text = #"{"from":"claude","to":"gemini","type":"ping","content":{"n":1},"extra":0}"#
        let message = try SeedMessage(parsing: Array(text.utf8))
        #expect(
            message == SeedMessage(from: "claude", to: "gemini", type: "ping", content: ["n": 1]))
        #expect(try SeedMessage(parsing: message.bytes) == message)
        #expect(throws: WireError.self) { try SeedMessage(parsing: Array("{}".utf8)) }
    }

    @Test(
        "binary content goes to a seed agent as base64",
        arguments: [
            ([], ""), ([0x66], "Zg=="), ([0x66, 0x6F], "Zm8="), ([0x66, 0x6F, 0x6F], "Zm9v"),
        ])
    func base64(bytes: [UInt8], text: String) {
        var envelope = Self.envelopes[0]
        envelope.content = bytes
        #expect(SeedMessage(envelope).content == ["encoding": "base64", "data": .string(text)])
    }

    @Test("the run's clock never runs backwards")
    func clock() {
        let clock = RunClock.starting()
        var last = clock.now
        for _ in 0..<1_000 {
            let now = clock.now
            #expect(now >= last)
            last = now
        }
    }
}
