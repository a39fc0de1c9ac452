import Foundation
import Testing
import Wire

@Suite struct BatchTests {
    static let flow = Flow(source: "camera-1", destination: .agent("mesh"))

    static func envelope(
        _ sequence: UInt64, type: String = "ping", cause: Identity? = nil,
        _ content: [UInt8] = [0x68, 0x69]
    ) -> Envelope {
        Envelope(
            identity: Identity(flow: flow, incarnation: 1, sequence: sequence), type: type,
            sent: sequence, cause: cause, content: content)
    }

    static func batch(_ envelopes: [Envelope]) -> Envelope? {
        var draft = Batch.Draft()
        for envelope in envelopes { draft.append(envelope) }
        return draft.take()
    }

    static var repository: String {
        String(#filePath.split(separator: "/").dropLast(3).joined(separator: "/"))
    }

    /// The vector that Documentation/wire-protocol.md shows, line by line.
    static func documented() throws -> [UInt8] {
        let text = try String(
            contentsOfFile: "/\(repository)/Documentation/wire-protocol.md", encoding: .utf8)
        let begin = try #require(text.range(of: "\n## Batches\n"))
        let section = text[begin.upperBound...].components(separatedBy: "\n## ")[0]
        let lines = section.components(separatedBy: "\n").filter { $0.hasPrefix("    ") }
        return lines.flatMap { line in
            line.dropFirst(4).components(separatedBy: "  ")[0]
                .components(separatedBy: " ").compactMap { UInt8($0, radix: 16) }
        }
    }

    static let three = [
        envelope(7), envelope(8, type: "pong", cause: envelope(1).identity, []),
        envelope(9, type: "pong"),
    ]

    @Test("the content of a batch is that of the protocol's description")
    func vector() throws {
        let batch = try #require(Self.batch(Self.three))
        #expect(batch.content == (try Self.documented()))
        #expect(batch.kind == .batch && batch.type == "batch" && batch.sequence == 7)
        #expect(batch.envelopeCount == 3)
        #expect(batch.identities == Self.three.map(\.identity))
        #expect(try batch.unbatched == Self.three)
    }

    @Test("Python reads the same from the same bytes")
    func python() throws {
        let hex = try Self.documented().map { String(format: "%02x", $0) }.joined()
        let program = """
            import sys
            sys.path.insert(0, "/\(Self.repository)/agents/python")
            from synmesh_wire import BATCH, Message
            batch = Message("camera-1", "mesh", 1, 7, BATCH, "batch", 7, 0, bytes.fromhex("\(hex)"))
            for part in batch.parts():
                print(part.sequence, part.kind, part.type, part.sent, part.encoding,
                      part.content.hex(), part.cause)
            batch.content = batch.content[:-1]
            print(batch.parts())
            """
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", program]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(
            text == """
                7 1 ping 7 0 6869 None
                8 1 pong 8 0  ('camera-1', 1, 'mesh', 1)
                9 1 pong 9 0 6869 None
                []

                """)
    }

    @Test("one envelope alone is no batch")
    func alone() throws {
        #expect(Self.batch([Self.envelope(3)]) == Self.envelope(3))
        #expect(Self.batch([]) == nil)
    }

    @Test("envelopes are taken out one by one, and counted down")
    func items() throws {
        let batch = try #require(Self.batch(Self.three))
        var items = try Batch.Items(of: batch)
        #expect(items.count == 3 && items.contentSize == 4)
        #expect(items.firstIdentity == Self.three[0].identity && items.all == Self.three)
        for (index, envelope) in Self.three.enumerated() {
            #expect(items.firstIdentity == envelope.identity)
            let next = items.popFirst()
            #expect(next == envelope)
            #expect(items.count == 2 - index)
        }
        let none = items.popFirst()
        #expect(none == nil && items.contentSize == 0)
        let kept = batch.keeping(ArrayOwner(batch.content))
        #expect(try Batch.Items(of: kept).all == Self.three)
    }

    @Test("what is added without an envelope is as if it had been one")
    func next() throws {
        let envelopes = (7..<20).map {
            Self.envelope($0, type: $0 % 4 == 0 ? "pong" : "ping", [UInt8($0)])
        }
        var draft = Batch.Draft()
        draft.append(envelopes[0])
        for envelope in envelopes.dropFirst() {
            #expect(draft.nextSequence == envelope.sequence)
            envelope.withContent {
                draft.append(
                    next: $0, type: envelope.type, sent: envelope.sent,
                    encoding: envelope.contentEncoding)
            }
        }
        #expect(draft.isContinued(by: Self.envelope(20)))
        #expect(draft.take() == Self.batch(envelopes))
    }

    @Test("only what follows continues a batch")
    func continues() {
        var draft = Batch.Draft()
        draft.append(Self.envelope(4))
        #expect(draft.isContinued(by: Self.envelope(5)))
        #expect(!draft.isContinued(by: Self.envelope(4)))
        #expect(!draft.isContinued(by: Self.envelope(6)))
    }

    @Test("no part of a batch, and nothing that was altered in one, makes it crash")
    func hostile() throws {
        let batch = try #require(Self.batch(Self.three))
        var other = batch
        for length in 0..<batch.content.count {
            other.content = Array(batch.content.prefix(length))
            #expect(throws: WireError.self) { try other.unbatched }
        }
        var state: UInt64 = 1
        for _ in 0..<20_000 {
            var content = batch.content
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                content[Int(state >> 33) % content.count] = UInt8(truncatingIfNeeded: state >> 25)
            }
            other.content = content
            if let envelopes = try? other.unbatched { #expect(envelopes.count <= 4) }
        }
        // A number that no content can keep.
        other.content = [0xFF, 0xFF, 0xFF, 0x7F] + [UInt8](repeating: 0, count: 100)
        #expect(throws: WireError.self) { try other.unbatched }
        #expect(other.envelopeCount == 1)
    }
}
