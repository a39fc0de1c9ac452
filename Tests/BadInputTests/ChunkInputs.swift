import Chunking
import Messaging
import NATS
import TestSupport
import Testing
import Wire

/// Contents that come in pieces, whatever the pieces say of themselves.
@Suite("Bad input: chunks", .serialized, .timeLimit(.minutes(10)))
struct ChunkInputs {
    /// A content on its way, cut into pieces.
    private struct Cut {
        let envelope: Envelope
        let content: [UInt8]
        var pieces: [(chunk: Chunk, bytes: [UInt8])] = []

        init(_ sequence: Int, _ inputs: inout Mutator) {
            envelope = Corpus.envelope(
                .content, from: "a", to: .agent("b"), UInt64(sequence), encoding: .binary, [])
            let count = 1 + inputs.number(below: 2_000)
            content = (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31 >> 3) ^ sequence) }
            let size = 1 + inputs.number(below: count)
            for offset in stride(from: 0, to: count, by: size) {
                let end = min(offset + size, count)
                let digest = end == count ? Chunk.digest(of: content) : nil
                pieces.append(
                    (
                        Chunk(of: envelope, offset: offset, size: count, digest: digest),
                        Array(content[offset..<end])
                    ))
            }
        }
    }

    /// Numbers that no piece should have.
    private static let numbers = [
        Int.min, -1, 0, 1, 2, 1_000, 1 << 30, (1 << 30) + 1, 1 << 40, Int.max - 1, Int.max,
    ]

    private static func change(
        _ piece: (chunk: Chunk, bytes: [UInt8]), _ inputs: inout Mutator
    ) -> (chunk: Chunk, bytes: [UInt8]) {
        var (chunk, bytes) = piece
        switch inputs.number(below: 6) {
        case 0: chunk.offset = inputs.pick(numbers + [chunk.offset + 1, chunk.offset - 1])
        case 1: chunk.size = inputs.pick(numbers + [chunk.size + 1, chunk.size - 1])
        case 2: chunk.digest = chunk.digest.map { inputs.mutate($0) } ?? "xxh3:0000000000000000"
        case 3: chunk.digest = nil
        case 4: bytes = inputs.mutate(bytes)
        default: chunk.envelope.hops ^= 1
        }
        return (chunk, bytes)
    }

    @Test("Pieces in any order, of any size and with any digest: what is whole is what was sent")
    func assembly() throws {
        var (whole, lost) = (0, 0)
        try Plan(suite: "pieces", share: 8).play { round, name, inputs in
            var limits = ChunkAssembly.Limits()
            (limits.bytes, limits.contents) = (10_000, 8)
            var now = ContinuousClock.now
            var chunks = ChunkAssembly(limits: limits, began: now - limits.time)
            var sent: [UInt64: [UInt8]] = [:]
            var underway: [Cut] = []
            for number in 1...Plan.roundSize {
                if underway.isEmpty || inputs.number(below: 3) == 0 {
                    let cut = Cut(number, &inputs)
                    sent[cut.envelope.sequence] = cut.content
                    underway.append(cut)
                }
                let index = inputs.number(below: underway.count)
                var piece = underway[index].pieces.removeFirst()
                switch inputs.number(below: 8) {
                case 0: underway[index].pieces.insert(piece, at: 0)
                case 1 where !underway[index].pieces.isEmpty:
                    underway[index].pieces.append(piece)
                    piece = underway[index].pieces.removeFirst()
                case 2, 3: piece = Self.change(piece, &inputs)
                default: break
                }
                if underway[index].pieces.isEmpty { underway.remove(at: index) }
                let outcome = piece.bytes.withUnsafeBytes {
                    chunks.take(piece.chunk, $0, at: now)
                }
                switch outcome {
                case .none: break
                case .whole(let envelope):
                    whole += 1
                    #expect(envelope.content == sent[envelope.sequence], name)
                case .lost(let loss):
                    lost += 1
                    #expect(sent[loss.envelope.sequence] != nil && !loss.reason.isEmpty, name)
                case .unreadable: #expect(piece.bytes.isEmpty, name)
                }
                now += .milliseconds(inputs.number(below: 2_000))
                lost += chunks.expire(at: now).count
            }
            lost += chunks.finish().count
            #expect(chunks.isEmpty, name)
            // Nothing of it takes the room of the next good one.
            let good = Cut(1_000 + round, &inputs)
            var last: Envelope?
            for piece in good.pieces {
                let outcome = piece.bytes.withUnsafeBytes {
                    chunks.take(piece.chunk, $0, at: now)
                }
                if case .whole(let envelope) = outcome { last = envelope }
            }
            #expect(last?.content == good.content, name)
        }
        // Both happened, so that neither was tried by nothing.
        #expect(Plan.only != nil || whole > 0 && lost > 0)
    }

    @Test("Whatever the headers of chunks hold, the next content of several chunks arrives")
    func messages() throws {
        let server = try NATSServer()
        let url = server.url
        let agent = try AgentThread("n") { try NATSTransport(agent: "n", url: url) }
        try eventually("an attached agent") {
            agent.state.isAttached || agent.state.failure != nil ? () : nil
        }
        let connection = try Connection(to: url, options: ConnectionOptions(name: "stranger"))
        let subject = "agent.n.test"
        try Plan(suite: "chunks", share: 4).play { round, name, inputs in
            for _ in 0..<Plan.roundSize { try Self.publish(on: subject, by: connection, &inputs) }
            let good = Corpus.good(round, to: .agent("n"))
            let middle = good.contentSize / 2
            let attributes = good.headers.filter { $0.name != "ce-specversion" }
            for (offset, bytes) in [
                (0, good.content[..<middle]), (middle, good.content[middle...]),
            ] where !bytes.isEmpty {
                let own = [
                    ("synmesh-chunk", "\(offset)"), ("synmesh-size", "\(good.contentSize)"),
                    ("synmesh-digest", Chunk.digest(of: good.content)),
                ]
                try connection.publish(subject, headers: attributes + own, content: Array(bytes))
            }
            try eventually(name) { try agent.has(round) ? () : nil }
        }
        agent.stop()
        if Plan.only == nil { #expect(agent.state.malformed > 0) }
    }

    /// One message that is a chunk, or nearly.
    private static func publish(
        on subject: String, by connection: Connection, _ inputs: inout Mutator
    ) throws {
        let sequence = 1 + inputs.number(below: 6)
        let envelope = Corpus.envelope(
            .content, from: "a", to: .agent("n"), UInt64(sequence), encoding: .binary, [])
        let content = inputs.noise(upTo: 400)
        var headers = envelope.headers.filter { $0.name != "ce-specversion" }
        let offset = inputs.pick([0, 0, 0, content.count, 1, 400])
        let size = inputs.pick([content.count, 2 * content.count, 400, 1 << 30])
        headers += [("synmesh-chunk", "\(offset)"), ("synmesh-size", "\(size)")]
        if inputs.number(below: 2) == 0 {
            headers.append(("synmesh-digest", Chunk.digest(of: content)))
        }
        for _ in 0..<inputs.number(below: 3) {
            let index = inputs.number(below: headers.count)
            if inputs.number(below: 5) == 0 {
                headers.remove(at: index)
            } else {
                headers[index].value = inputs.mutate(headers[index].value)
            }
        }
        let clean = headers.filter { header in
            header.value.utf8.allSatisfy { $0 != 10 && $0 != 13 && $0 != 0 }
        }
        // What the library itself refuses does not get as far as a receiver.
        _ = try? connection.publish(subject, headers: clean, content: content)
    }
}
