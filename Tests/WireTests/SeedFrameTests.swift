import JSON
import Testing
import Wire

/// Envelopes on the seed's wire, through proxies that pass a frame on or write it again.
struct SeedFrameTests {
    private func envelope(
        _ content: [UInt8], _ encoding: Envelope.ContentEncoding = .json,
        destination: Address = .agent("b"), cause: Identity? = nil
    ) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: "a", destination: destination), incarnation: 3,
                sequence: 1 << 60),
            type: "ping", sent: 1_800_000_000_123_456_789, cause: cause, hops: 2,
            contentEncoding: encoding, content: content)
    }

    @Test("the frame is the seed's, with one further member")
    func shape() throws {
        let bytes = SeedFrame.bytes(of: envelope(Array("{\"n\":1}".utf8)))
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(
            text == #"{"from":"a","to":"b","type":"ping","content":{"n":1},"synmesh":"#
                + #"{"encoding":"json","hops":2,"id":"a/3/b/1152921504606846976","kind":1,"#
                + #""sent":"1800000000123456789"}}"#)
        let seed = try SeedMessage(parsing: bytes)
        #expect(seed == SeedMessage(from: "a", to: "b", type: "ping", content: ["n": 1]))
    }

    static let contents: [([UInt8], Envelope.ContentEncoding)] = [
        (Array("{\"n\":1}".utf8), .json), (Array("null".utf8), .json),
        // Not as this library writes it: goes as base64, and comes out byte for byte.
        (Array("{ \"n\" : 1.0 }".utf8), .json), (Array("no json".utf8), .json), ([], .json),
        ([], .binary), ([0, 1, 255], .binary), (Array(0...255), .binary),
        (Array("{\"pool\":\"p\"}".utf8), .descriptor),
    ]

    @Test(
        "an envelope comes out as it went in, also where the JSON was written again",
        arguments: contents)
    func roundTrip(content: [UInt8], encoding: Envelope.ContentEncoding) throws {
        let cause = Identity(
            flow: Flow(source: "c", destination: .topic("t.u")), incarnation: 1, sequence: 9)
        for cause in [nil, cause] {
            let sent = envelope(content, encoding, cause: cause)
            let bytes = SeedFrame.bytes(of: sent)
            #expect(try SeedFrame(parsing: bytes) == .envelope(sent))
            let again = Array(try Value(parsing: bytes).canonical.utf8)
            #expect(try SeedFrame(parsing: again) == .envelope(sent))
        }
    }

    @Test("what a proxy does to the content is in the envelope that comes out")
    func alteration() throws {
        let text = String(
            decoding: SeedFrame.bytes(of: envelope(Array("{\"n\":1}".utf8))), as: UTF8.self)
        let altered = text.replacing("\"n\":1", with: "\"n\":2")
        guard case .envelope(let envelope) = try SeedFrame(parsing: Array(altered.utf8)) else {
            Issue.record("no envelope")
            return
        }
        #expect(envelope.content == Array("{\"n\":2}".utf8))
    }

    @Test("a topic's envelope can be addressed to one agent")
    func kept() throws {
        let sent = envelope([1], .binary, destination: .topic("t"))
        let bytes = SeedFrame.bytes(of: sent, to: "b")
        #expect(try SeedMessage(parsing: bytes).to == "b")
        #expect(try SeedFrame(parsing: bytes) == .envelope(sent))
    }

    @Test("a message without the member is one of a program that knows no identities")
    func message() throws {
        let seed = SeedMessage(from: "a", to: "b", type: "ping", content: nil)
        #expect(try SeedFrame(parsing: seed.bytes) == .message(seed))
    }

    @Test(
        "a member that says something else than the message, or nothing that can be read, is an error",
        arguments: [
            (#""from":"a""#, #""from":"x""#), (#""to":"b""#, #""to":"x""#),
            (#""kind":1"#, #""kind":99"#), (#""sent":"1800000000123456789""#, #""sent":1.8e18"#),
            (#""hops":2"#, #""hops":256"#), (#""encoding":"binary""#, #""encoding":"x""#),
            (#""id":"a/3/b/"#, #""id":"a/3/"#), (#""data":"AQ==""#, #""data":"A===""#),
            (#""content":{"#, #""content":[{"#),
        ])
    func malformed(old: String, new: String) throws {
        let text = String(decoding: SeedFrame.bytes(of: envelope([1], .binary)), as: UTF8.self)
        try #require(text.contains(old))
        #expect(throws: WireError.self) {
            try SeedFrame(parsing: Array(text.replacing(old, with: new).utf8))
        }
    }
}
