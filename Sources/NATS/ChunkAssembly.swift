internal import Glibc
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
    }

    private let limits: Limits
    private let began: ContinuousClock.Instant
    private var partials: [Key: Partial] = [:]
    private var bytes = 0
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

    /// Whether no content lacks a chunk.
    public var isEmpty: Bool { partials.isEmpty }

    /// Takes in a chunk.
    public mutating func take(
        _ message: borrowing ReceivedMessage, at now: ContinuousClock.Instant = .now
    ) -> Outcome {
        let envelope: Envelope
        do throws(WireError) {
            envelope = try message.attributes()
        } catch {
            return .unreadable("\(error)")
        }
        guard let offset = message.number(ChunkHeader.offsetName),
            let size = message.number(ChunkHeader.sizeName), message.contentSize > 0
        else { return .unreadable("no chunk") }
        let key = Key(identity: envelope.identity, hops: envelope.hops)
        if offset == 0, let loss = begin(key, envelope, size, at: now) { return .lost(loss) }
        guard var partial = partials.removeValue(forKey: key) else {
            return missed(key, envelope, at: now)
        }
        let room = partial.buffer.bytes.count - partial.filled
        guard offset == partial.filled, size == partial.buffer.bytes.count,
            message.contentSize <= room
        else {
            return .lost(end(key, partial, "a chunk of its content is missing"))
        }
        partial.latest = now
        message.withContent { piece in
            partial.buffer.write(piece, at: partial.filled)
            partial.digest.add(piece)
        }
        partial.filled += message.contentSize
        guard partial.filled == size else {
            partials[key] = partial
            return .none
        }
        guard message.header(ChunkHeader.digestName) == ChunkHeader.text(partial.digest.value)
        else {
            return .lost(end(key, partial, "its content, put together, is not what was sent"))
        }
        bytes -= size
        return .whole(envelope.keeping(partial.buffer))
    }

    /// Gives up what waited for its next chunk for too long.
    public mutating func expire(at now: ContinuousClock.Instant = .now) -> [Loss] {
        guard !partials.isEmpty else { return [] }
        let time = limits.time
        return giveUp("the rest of its content did not come within \(time)") { partial in
            partial.latest + time <= now
        }
    }

    /// Gives up everything: nothing more will come.
    public mutating func finish() -> [Loss] {
        giveUp("its subscription ended before the rest of its content came") { _ in true }
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
        _ key: Key, _ envelope: Envelope, _ size: Int, at now: ContinuousClock.Instant
    ) -> Loss? {
        if let former = partials.removeValue(forKey: key) { bytes -= former.buffer.bytes.count }
        ended.removeAll { $0 == key }
        guard partials.count < limits.contents, size > 0, bytes + size <= limits.bytes else {
            forget(key)
            let most = "\(limits.contents) contents and \(limits.bytes) bytes"
            return Loss(
                envelope: envelope,
                reason: "\(size) bytes in chunks, and at most \(most) are put together at a time")
        }
        bytes += size
        partials[key] = Partial(
            envelope: envelope, buffer: ChunkBuffer(size: size), latest: now)
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
        bytes -= partial.buffer.bytes.count
        forget(key)
        return Loss(
            envelope: partial.envelope,
            reason: "\(reason) (\(partial.filled) of \(partial.buffer.bytes.count) bytes)")
    }

    private mutating func forget(_ key: Key) {
        if ended.count >= 256 { ended.removeFirst() }
        ended.append(key)
    }
}

extension ReceivedMessage {
    fileprivate func number(_ name: StaticString) -> Int? {
        value(of: name).flatMap { UInt64(decimal: $0) }.flatMap { Int(exactly: $0) }
    }
}

/// The place where a content is put together.
private final class ChunkBuffer: ContentOwner {
    // Written by the one thread that puts it together, before anybody else hears of it; from then
    // on nobody writes. Freed with the last reference.
    nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer

    init(size: Int) {
        // Not filled: what is not there yet takes no memory.
        memory = .allocate(byteCount: size, alignment: 64)
    }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

    func write(_ piece: UnsafeRawBufferPointer, at offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: piece)
    }
}
