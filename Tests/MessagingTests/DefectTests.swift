import JSON
import Messaging
import Recording
import Testing
import Wire

/// The controls: what is planted happens, exactly there.
@Suite("Planted faults") struct DefectTests {
    private func sequences(_ defects: Defects, sending count: Int) throws -> (
        sent: [UInt64], received: [UInt64], b: TestAgent
    ) {
        let mesh = try TestMesh(.inProcess)
        let a = try mesh.agent("a", defects: defects)
        let b = try mesh.agent("b")
        for index in 0..<count {
            try a.client.send(
                to: b.client.name, type: "x", content: Array("{\"n\":\(index)}".utf8),
                encoding: .json)
        }
        let other = try mesh.agent("c")
        try other.client.send(to: b.client.name, type: "fence", content: [])
        var received: [UInt64] = []
        while let envelope = try b.client.receive(timeout: .milliseconds(2_500)) {
            if envelope.type == "x" { received.append(envelope.sequence) }
            if received.count == count { break }
        }
        return (a.recorder.envelopes(.sent).map(\.sequence), received, b)
    }

    @Test("A lost one is recorded as sent, never comes, and its receiver says that it gave up")
    func lose() throws {
        let (sent, received, b) = try sequences(Defects(lose: 3), sending: 7)
        #expect(sent == Array(1...7))
        #expect(received == [1, 2, 4, 5, 7])
        #expect(b.client.counters.gaps == 2)
        let gaps = b.recorder.annotations.compactMap { annotation -> UInt64? in
            guard case .gap(_, _, let from, let through, _, _, _) = annotation else { return nil }
            #expect(from == through)
            return from
        }
        #expect(gaps == [3, 6])
    }

    @Test("A repeated one is handed out once, and the repeat is noted")
    func repeats() throws {
        let (sent, received, b) = try sequences(Defects(repeat: 2), sending: 5)
        #expect(sent == Array(1...5))
        #expect(received == Array(1...5))
        let repeats = b.recorder.annotations.compactMap { annotation -> UInt64? in
            guard case .repeatDropped(let identity, _, _, _) = annotation else { return nil }
            return identity.sequence
        }
        #expect(repeats == [2, 4])
    }

    @Test("A swapped one comes after its successor, and is put in its place")
    func swap() throws {
        let (sent, received, b) = try sequences(Defects(swap: 2), sending: 5)
        #expect(sent == Array(1...5))
        #expect(received == Array(1...5))
        // 3 overtook 2, and 5 overtook 4.
        #expect(b.client.counters.ahead == 2)
        #expect(b.client.counters.gaps == 0)
    }

    @Test("A swapped one without a successor still comes")
    func swapLast() throws {
        let mesh = try TestMesh(.inProcess)
        let a = try mesh.agent("a", defects: Defects(swap: 1))
        let b = try mesh.agent("b")
        try a.client.send(to: b.client.name, type: "x", content: [1])
        #expect(try b.client.receive(timeout: .zero) == nil)
        // While it waits for something else, its time comes.
        #expect(try a.client.receive(timeout: .milliseconds(300)) == nil)
        #expect(try b.client.receive(timeout: .seconds(10))?.content == [1])
    }

    @Test(
        "An altered one differs in one place and is recorded as it was",
        arguments: [
            ("{\"a\":1,\"b\":[true,null],\"c\":{}}", Envelope.ContentEncoding.json),
            ("[1.5,\"x\",[]]", .json), ("7", .json), ("not json", .json), ("bytes", .binary),
            ("", .binary),
        ])
    func alter(text: String, encoding: Envelope.ContentEncoding) throws {
        let mesh = try TestMesh(.inProcess)
        let a = try mesh.agent("a", defects: Defects(alter: 1))
        let b = try mesh.agent("b")
        let original = Array(text.utf8)
        // Each time another place.
        for _ in 0..<5 {
            try a.client.send(
                to: b.client.name, type: "x", content: original, encoding: encoding)
            let content = try #require(try b.client.receive(timeout: .seconds(10))).content
            #expect(content != original)
            if encoding == .json, let before = try? Value(parsing: original) {
                #expect(differences(before, try Value(parsing: content)) == 1)
            } else {
                let changed = zip(original, content).filter { $0 != $1 }.count
                #expect(changed + abs(original.count - content.count) == 1)
            }
        }
        #expect(a.recorder.envelopes(.sent).allSatisfy { $0.content == original })
        #expect(b.recorder.envelopes(.delivered).allSatisfy { $0.content != original })
    }

    private func differences(_ one: Value, _ two: Value) -> Int {
        switch (one, two) {
        case (.array(let one), .array(let two)) where one.count == two.count && !one.isEmpty:
            zip(one, two).reduce(0) { $0 + differences($1.0, $1.1) }
        case (.object(let one), .object(let two)) where one.keys == two.keys && !one.isEmpty:
            one.reduce(0) { $0 + differences($1.value, two[$1.key] ?? .null) }
        default: one == two ? 0 : 1
        }
    }

    @Test(
        "Only on the transport and the lane that are named",
        arguments: [
            (Defects(lose: 1, transport: "inproc"), true), (Defects(lose: 1), true),
            (Defects(lose: 1, transport: "nats"), false), (Defects(lose: 1, lane: .shadow), false),
        ])
    func place(defects: Defects, isLost: Bool) throws {
        let mesh = try TestMesh(.inProcess)
        let a = try mesh.agent("a", defects: defects)
        let b = try mesh.agent("b")
        try a.client.send(to: b.client.name, type: "x", content: [1])
        #expect((try b.client.receive(timeout: .zero) == nil) == isLost)
    }

    @Test(
        "The setting is read, or refused",
        arguments: [
            ("{\"lose\":3}", Defects(lose: 3)),
            ("{\"repeat\":2,\"on\":\"any\"}", Defects(repeat: 2)),
            (
                "{\"alter\":1000,\"on\":\"nats\",\"lane\":\"shadow\"}",
                Defects(alter: 1_000, transport: "nats", lane: .shadow)
            ),
            ("{\"swap\":5,\"on\":\"zmq\"}", Defects(swap: 5, transport: "zmq")), ("{}", Defects()),
            ("{\"lose\":0}", nil), ("{\"lose\":-1}", nil), ("{\"lose\":\"3\"}", nil), ("3", nil),
            ("{\"on\":\"pigeon\"}", nil), ("{\"lane\":\"third\"}", nil), ("{\"loose\":3}", nil),
        ] as [(String, Defects?)])
    func setting(text: String, expected: Defects?) throws {
        #expect(Defects(try Value(parsing: Array(text.utf8))) == expected)
    }
}
