import Chunking
import Testing
import Wire

/// A content as its sender cuts it.
private struct Cut {
    let envelope: Envelope
    let content: [UInt8]
    let piece: Int

    init(_ sequence: UInt64, bytes: Int = 1_000, piece: Int = 300, hops: UInt8 = 0) {
        let flow = Flow(source: "a", destination: .agent("b"))
        envelope = Envelope(
            identity: Identity(flow: flow, incarnation: 1, sequence: sequence), type: "cloud",
            sent: 1, hops: hops, contentEncoding: .binary, content: [])
        content = (0..<bytes).map { UInt8(truncatingIfNeeded: ($0 &* 31 >> 3) ^ Int(sequence)) }
        self.piece = piece
    }

    var count: Int { (content.count + piece - 1) / piece }

    func chunk(_ index: Int) -> Chunk {
        let isLast = index == count - 1
        return Chunk(
            of: envelope, offset: index * piece, size: content.count,
            digest: isLast ? Chunk.digest(of: content) : nil)
    }

    func bytes(_ index: Int) -> [UInt8] {
        Array(content[index * piece..<min((index + 1) * piece, content.count)])
    }
}

extension ChunkAssembly {
    /// Takes one chunk of a content.
    @discardableResult
    fileprivate mutating func take(
        _ cut: Cut, _ index: Int, at now: ContinuousClock.Instant = .now
    ) -> Outcome {
        take(cut.chunk(index), cut.bytes(index), at: now)
    }

    fileprivate mutating func take(
        _ chunk: Chunk, _ bytes: [UInt8], at now: ContinuousClock.Instant = .now
    ) -> Outcome {
        bytes.withUnsafeBytes { take(chunk, $0, at: now) }
    }
}

extension ChunkAssembly.Outcome {
    fileprivate var whole: Envelope? {
        if case .whole(let envelope) = self { envelope } else { nil }
    }
    fileprivate var loss: ChunkAssembly.Loss? {
        if case .lost(let loss) = self { loss } else { nil }
    }
    fileprivate var isNone: Bool { if case .none = self { true } else { false } }
}

@Suite("Chunks put together") struct ChunkAssemblyTests {
    private let start = ContinuousClock.now

    @Test(
        "pieces in order are the content, whatever its size",
        arguments: [1, 299, 300, 301, 5_000_000])
    func whole(bytes: Int) {
        let cut = Cut(1, bytes: bytes, piece: max(300, bytes / 7))
        var chunks = ChunkAssembly()
        for index in 0..<cut.count - 1 { #expect(chunks.take(cut, index).isNone) }
        let envelope = chunks.take(cut, cut.count - 1).whole
        #expect(envelope?.identity == cut.envelope.identity)
        #expect(envelope?.content == cut.content)
        #expect(chunks.isEmpty)
    }

    @Test("contents between each other's pieces are each whole")
    func interleaved() {
        let cuts = (1...8).map { Cut($0) } + [Cut(1, hops: 1)]
        var chunks = ChunkAssembly()
        var whole: [[UInt8]] = []
        for index in 0..<4 {
            for cut in cuts {
                if let envelope = chunks.take(cut, index).whole { whole.append(envelope.content) }
            }
        }
        #expect(whole == cuts.map(\.content))
        #expect(chunks.isEmpty)
    }

    @Test(
        "a piece that is missing, comes twice, or is of another length ends the content by name, once"
    )
    func outOfOrder() {
        for order in [[0, 2, 3], [0, 1, 1, 2, 3], [0, 3], [0, 2, 1, 3]] {
            let cut = Cut(1)
            var chunks = ChunkAssembly()
            let outcomes = order.map { chunks.take(cut, $0) }
            #expect(outcomes.compactMap(\.loss?.envelope.identity) == [cut.envelope.identity])
            #expect(outcomes.allSatisfy { $0.whole == nil })
            #expect(chunks.isEmpty)
            // All of it again is as good as the first time.
            for index in 0..<3 { chunks.take(cut, index) }
            #expect(chunks.take(cut, 3).whole?.content == cut.content)
        }
        let cut = Cut(1)
        var other = cut.chunk(1)
        other.size += 1
        var chunks = ChunkAssembly()
        chunks.take(cut, 0)
        #expect(chunks.take(other, cut.bytes(1)).loss != nil)
        // More than there is room for.
        chunks.take(cut, 0)
        #expect(chunks.take(cut.chunk(1), [UInt8](repeating: 1, count: 701)).loss != nil)
        #expect(chunks.isEmpty)
    }

    @Test("one altered bit, or no digest at all, and it is not what was sent")
    func altered() {
        let cut = Cut(1)
        for index in 0..<4 {
            var chunks = ChunkAssembly()
            var outcome = ChunkAssembly.Outcome.none
            for other in 0..<4 {
                var bytes = cut.bytes(other)
                if other == index { bytes[bytes.count / 2] ^= 1 }
                outcome = chunks.take(cut.chunk(other), bytes)
            }
            #expect(outcome.loss?.reason.contains("not what was sent") == true)
            #expect(chunks.isEmpty)
        }
        var chunks = ChunkAssembly()
        for index in 0..<3 { chunks.take(cut, index) }
        var last = cut.chunk(3)
        last.digest = nil
        #expect(chunks.take(last, cut.bytes(3)).loss != nil)
    }

    @Test("contents, bytes and time are bounded; what is given up leaves its room to others")
    func bounds() {
        var limits = ChunkAssembly.Limits()
        (limits.bytes, limits.contents, limits.time) = (3_500, 3, .seconds(10))
        var chunks = ChunkAssembly(limits: limits, began: start)
        for number in 1...3 {
            let time = start + .seconds(number)
            #expect(chunks.take(Cut(UInt64(number)), 0, at: time).isNone)
        }
        // Who begins one more is not refused: what has waited longest makes room.
        #expect(chunks.take(Cut(4), 0, at: start + .seconds(4)).isNone)
        #expect(chunks.expire(at: start + .seconds(4)).map(\.envelope.sequence) == [1])
        // What still comes of it is nobody's, and is not named twice.
        #expect(chunks.take(Cut(1), 1, at: start + .seconds(4)).isNone)
        for index in 1...3 { chunks.take(Cut(4), index, at: start + .seconds(4)) }
        // What is only announced takes no room, what comes does.
        let large = Cut(5, bytes: 3_500, piece: 3_000)
        #expect(chunks.take(large, 0, at: start + .seconds(5)).loss == nil)
        #expect(chunks.expire(at: start + .seconds(5)).map(\.envelope.sequence) == [2])
        #expect(chunks.take(Cut(6, bytes: 3_501), 0, at: start).loss != nil)
        #expect(chunks.expire(at: start + .seconds(13)).map(\.envelope.sequence) == [3])
        #expect(chunks.finish().map(\.envelope.sequence) == [5])
        #expect(chunks.isEmpty)
    }

    @Test("sizes that no content has are refused without room being made for them")
    func absurd() {
        var chunks = ChunkAssembly()
        // One that has begun: what is left for others is less than the largest number.
        chunks.take(Cut(2), 0)
        for size in [0, -1, Int.min, Int.max, 1 << 40] {
            var chunk = Cut(1).chunk(0)
            chunk.size = size
            #expect(chunks.take(chunk, [1]).loss != nil, "\(size)")
        }
        for offset in [-1, Int.min, Int.max] {
            var chunk = Cut(1).chunk(0)
            chunk.offset = offset
            #expect(chunks.take(chunk, [1]).whole == nil)
        }
        guard case .unreadable = chunks.take(Cut(1).chunk(0), []) else {
            Issue.record("a chunk of nothing was taken")
            return
        }
        #expect(chunks.finish().map(\.envelope.sequence) == [2])
    }

    @Test("who begins to listen in the middle has lost nothing; later the same is a loss")
    func middle() {
        var chunks = ChunkAssembly(began: start)
        #expect(chunks.take(Cut(1), 2, at: start + .seconds(9)).isNone)
        #expect(chunks.take(Cut(2), 2, at: start + .seconds(10)).loss?.envelope.sequence == 2)
        #expect(chunks.take(Cut(2), 3, at: start + .seconds(10)).isNone)
    }
}
