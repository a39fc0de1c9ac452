public import NATS
public import Wire

/// Puts contents together that came in chunks, bounded in bytes, number and time.
///
/// For one thread: that of the subscription on which they come. The chunks of one content come in
/// order or not at all, since one connection publishes them on one subject.
public struct ChunkAssembly {
    /// What is bounded.
    public struct Limits: Sendable {
        /// All contents that are being put together, in bytes.
        public var bytes = 1 << 30
        /// How many of them.
        public var contents = 64
        /// The longest wait for the next chunk of one.
        public var time: Duration = .seconds(10)

        /// The defaults.
        public init() {}
    }

    /// An envelope whose content did not come together.
    public struct Loss: Sendable {
        /// The envelope, without its content.
        public let envelope: Envelope
        /// Why not.
        public let reason: String
    }

    /// What a chunk led to.
    public enum Outcome: Sendable {
        /// More are to come, or nobody waits for it any more.
        case none
        /// The content is whole, and is what was sent.
        case whole(Envelope)
        /// It will never be.
        case lost(Loss)
        /// The message is no chunk.
        case unreadable(String)
    }

    private struct Key: Hashable {
        let identity: Identity
        // The same envelope may come from its sender and, later, from a bridge.
        let hops: UInt8
    }

    private struct Partial {
        let envelope: Envelope
        let buffer: ChunkBuffer
        let digest = RunningDigest()
        var filled = 0
        var latest: ContinuousClock.Instant

        /// Copies and digests a little at a time, so that the one finds in the cache what the other
        /// brought there.
        mutating func add(_ piece: UnsafeRawBufferPointer) {
            for start in stride(from: 0, to: piece.count, by: Self.step) {
                let part = UnsafeRawBufferPointer(
                    rebasing: piece[start..<min(start + Self.step, piece.count)])
                buffer.write(part, at: filled)
                digest.add(part)
                filled += part.count
            }
        }

        private static let step = 128 << 10
    }

    private let limits: Limits
    private let began: ContinuousClock.Instant
    private var partials: [Key: Partial] = [:]
    /// Bytes that have come: what a first chunk says of the rest takes nobody's room.
    private var bytes = 0
    /// Given up for others, and not told yet.
    private var evicted: [Loss] = []
    /// Given up: what still comes of them is nobody's.
    private var ended: [Key] = []

    /// Makes one with nothing in it.
    ///
    /// - Parameters:
    ///   - limits: What is bounded.
    ///   - began: When the subscription did; of what was sent before it the rest alone comes.
    public init(limits: Limits = Limits(), began: ContinuousClock.Instant = .now) {
        self.limits = limits
        self.began = began
    }

    /// Whether no content lacks a chunk, and no loss is to be told.
    public var isEmpty: Bool { partials.isEmpty && evicted.isEmpty }

    /// Takes in a message that is a chunk.
    public mutating func take(
        _ message: borrowing ReceivedMessage, at now: ContinuousClock.Instant = .now
    ) -> Outcome {
        let chunk: Chunk
        do throws(WireError) {
            chunk = try message.withHeaders { header throws(WireError) in
                try Chunk(headersInPlace: header)
            }
        } catch {
            return .unreadable("\(error)")
        }
        return message.withContent { take(chunk, $0, at: now) }
    }

    /// Takes in a chunk and its piece of the content.
    public mutating func take(
        _ chunk: Chunk, _ piece: UnsafeRawBufferPointer, at now: ContinuousClock.Instant = .now
    ) -> Outcome {
        guard !piece.isEmpty else { return .unreadable("a chunk of nothing") }
        let key = Key(identity: chunk.envelope.identity, hops: chunk.envelope.hops)
        if chunk.offset == 0, let loss = begin(key, chunk, at: now) { return .lost(loss) }
        guard var partial = partials.removeValue(forKey: key) else {
            return missed(key, chunk.envelope, at: now)
        }
        let size = partial.buffer.bytes.count
        guard chunk.offset == partial.filled, chunk.size == size,
            piece.count <= size - partial.filled
        else {
            return .lost(end(key, partial, "a chunk of its content is missing"))
        }
        while bytes + piece.count > limits.bytes, evictStalest() {}
        guard bytes + piece.count <= limits.bytes else {
            return .lost(end(key, partial, tooMuch))
        }
        partial.latest = now
        partial.add(piece)
        bytes += piece.count
        guard partial.filled == size else {
            partials[key] = partial
            return .none
        }
        guard chunk.digest == partial.digest.text else {
            return .lost(end(key, partial, "its content, put together, is not what was sent"))
        }
        bytes -= size
        return .whole(chunk.envelope.keeping(partial.buffer))
    }

    /// Gives up what waited for its next chunk for too long.
    public mutating func expire(at now: ContinuousClock.Instant = .now) -> [Loss] {
        defer { evicted = [] }
        guard !partials.isEmpty else { return evicted }
        let time = limits.time
        return evicted
            + giveUp("the rest of its content did not come within \(time)") { partial in
                partial.latest + time <= now
            }
    }

    /// Gives up everything: nothing more will come.
    public mutating func finish() -> [Loss] {
        defer { evicted = [] }
        return evicted
            + giveUp("its subscription ended before the rest of its content came") { _ in true }
    }

    private mutating func giveUp(
        _ reason: String, where isOver: (Partial) -> Bool
    ) -> [Loss] {
        let over = partials.filter { isOver($0.value) }
        return over.sorted { $0.key.identity < $1.key.identity }.map { key, partial in
            partials[key] = nil
            return end(key, partial, reason)
        }
    }

    /// The first chunk of a content; what came of it before is of an attempt that was given up.
    private mutating func begin(
        _ key: Key, _ chunk: Chunk, at now: ContinuousClock.Instant
    ) -> Loss? {
        let size = chunk.size
        if let former = partials.removeValue(forKey: key) { bytes -= former.filled }
        ended.removeAll { $0 == key }
        while partials.count >= limits.contents, evictStalest() {}
        guard size > 0, size <= limits.bytes, let buffer = ChunkBuffer(size: size) else {
            forget(key)
            return Loss(envelope: chunk.envelope, reason: "\(size) bytes in chunks; \(tooMuch)")
        }
        partials[key] = Partial(
            envelope: chunk.envelope, buffer: buffer, latest: now)
        return nil
    }

    /// A chunk whose first was never seen, or whose content was given up.
    private mutating func missed(
        _ key: Key, _ envelope: Envelope, at now: ContinuousClock.Instant
    ) -> Outcome {
        guard !ended.contains(key) else { return .none }
        forget(key)
        // Who subscribes in the middle has not lost what was sent to others before him.
        guard began + limits.time <= now else { return .none }
        return .lost(Loss(envelope: envelope, reason: "a chunk of its content is missing"))
    }

    private mutating func end(_ key: Key, _ partial: Partial, _ reason: String) -> Loss {
        bytes -= partial.filled
        forget(key)
        return Loss(
            envelope: partial.envelope,
            reason: "\(reason) (\(partial.filled) of \(partial.buffer.bytes.count) bytes)")
    }

    private var tooMuch: String {
        "at most \(limits.contents) contents and \(limits.bytes) bytes are put together at a time"
    }

    /// Gives up what has waited longest for its next chunk; whether there was one.
    ///
    /// Not what comes last: who begins contents and does not go on must not keep others from theirs.
    private mutating func evictStalest() -> Bool {
        guard let (key, partial) = partials.min(by: { $0.value.latest < $1.value.latest }) else {
            return false
        }
        partials[key] = nil
        evicted.append(end(key, partial, "more came than there is room for: \(tooMuch)"))
        return true
    }

    private mutating func forget(_ key: Key) {
        if ended.count >= 256 { ended.removeFirst() }
        ended.append(key)
    }
}
