import JSON
import Wire

/// Good messages of every kind, of which bad ones are made.
enum Corpus {
    static func envelope(
        _ kind: Envelope.Kind, from source: String, to destination: Address, _ sequence: UInt64,
        type: String = "test", encoding: Envelope.ContentEncoding = .json, cause: Bool = false,
        _ content: [UInt8]
    ) -> Envelope {
        let identity = Identity(
            flow: Flow(source: source, destination: destination), incarnation: 1,
            sequence: sequence)
        return Envelope(
            identity: identity, kind: kind, type: type, sent: 1, cause: cause ? identity : nil,
            contentEncoding: encoding, content: content)
    }

    /// What is said once everything is well: it must get through.
    static func good(_ number: Int, to destination: Address) -> Envelope {
        envelope(
            .content, from: "good-\(number)", to: destination, 1, type: "good",
            Array("\(number)".utf8))
    }

    static let descriptor = PointCloudDescriptor(
        pool: "clouds", slot: 1, generation: 7, size: 1_000, digest: 1, points: 10)

    static let gap = Array(#"{"from": 5, "through": 9, "reason": "queue full"}"#.utf8)

    static let largestGap = Array(
        #"{"from": 1, "through": 9223372036854775807, "reason": "queue full"}"#.utf8)

    /// Envelopes of every kind.
    static func envelopes(from source: String, to destination: Address) -> [Envelope] {
        func make(
            _ kind: Envelope.Kind, _ sequence: UInt64, type: String = "test",
            encoding: Envelope.ContentEncoding = .json, cause: Bool = false, _ content: [UInt8]
        ) -> Envelope {
            envelope(
                kind, from: source, to: destination, sequence, type: type, encoding: encoding,
                cause: cause, content)
        }
        let json = Array(#"{"n": 17, "text": "some"}"#.utf8)
        var all = [
            make(.content, 1, json), make(.content, 2, cause: true, json),
            make(.content, 3, encoding: .binary, [0, 1, 2, 255]),
            make(
                .content, 4, type: PointCloudType.shared, encoding: .descriptor,
                Array(descriptor.json.canonical.utf8)),
            make(.gap, 5, type: "gap", gap), make(.gap, 1, type: "gap", largestGap),
            make(.credit, 0, type: "credit", Array("500".utf8)),
            make(.marker, 0, type: "last", Array("12".utf8)),
            make(.hello, 0, type: "hello", Array(#"{"incarnation": 1, "window": 1000}"#.utf8)),
            make(
                .hello, 0, type: "hello",
                Array(#"{"branch": "core", "incarnation": 1, "registered": true}"#.utf8)),
        ]
        all += [batch(from: source, to: destination, 2), batch(from: source, to: destination, 9)]
        // Kinds that came later are tried with what they carry like any.
        for kind in Envelope.Kind.allCases where !all.contains(where: { $0.kind == kind }) {
            all.append(make(kind, 6, Array(#"{"incarnation": 1, "through": 9}"#.utf8)))
        }
        return all
    }

    /// So many envelopes in one message.
    static func batch(from source: String, to destination: Address, _ count: Int) -> Envelope {
        var draft = Batch.Draft()
        for number in 1...UInt64(count) {
            draft.append(
                envelope(
                    .content, from: source, to: destination, 10 + number,
                    Array("content \(number)".utf8)))
        }
        return draft.take()
            ?? envelope(.batch, from: source, to: destination, 11, type: Batch.type, [])
    }

    static func seed(from source: String, to receiver: String) -> [UInt8] {
        SeedMessage(from: source, to: receiver, type: "ping", content: ["n": 1]).bytes
    }

    /// Everything that stands in one frame of the seed's wire.
    static func seedFrames(from source: String, to receiver: String) -> [[UInt8]] {
        [seed(from: source, to: receiver)]
            + envelopes(from: source, to: .agent(receiver)).map { SeedFrame.bytes(of: $0) }
    }
}
