/// Contents of one flow that follow each other, on their way as one message.
///
/// The header of a batch is that of its first envelope, but for kind and type, and names the flow of
/// all of them: a batch that is lost is one gap, and whoever only passes it on looks at no more than
/// the header and the number in front. Little-endian:
///
///     offset size
///          0    4  number of envelopes, at least 1
///          4       each envelope: flags (1), content encoding (1), sent (8), size of content (4)
///                  flags: bit 0 a cause follows, bit 1 the cause's destination is a topic,
///                  bit 2 the type follows; without it the type is that of the one before
///                  with bit 2: type (a length byte and UTF-8)
///                  with a cause: incarnation (4), sequence (8), source, destination
///                  then the content
///
/// Sequences count on from the header's.
public enum Batch {
    /// The message type of every batch.
    public static let type = "batch"
    /// The most envelopes of one batch.
    public static let messagesMax = 10_000
    /// The most bytes of one batch.
    public static let bytesMax = 16 << 20

    static let countLength = 4
    static let itemLength = 14

    /// How many envelopes a batch holds, by its first bytes; nil where they cannot be those of one.
    public static func count(of content: UnsafeRawBufferPointer) -> Int? {
        guard content.count >= countLength + itemLength else { return nil }
        let count = Int(UInt32(littleEndian: content.loadUnaligned(as: UInt32.self)))
        guard (1...messagesMax).contains(count),
            countLength + count * itemLength <= content.count
        else { return nil }
        return count
    }

    /// What each of the flags says.
    struct Flags: OptionSet {
        let rawValue: UInt8
        static let cause = Flags(rawValue: 1)
        static let causeOnTopic = Flags(rawValue: 2)
        static let type = Flags(rawValue: 4)
        static let known: Flags = [.cause, .causeOnTopic, .type]
    }
}

extension Batch {
    /// Collects the envelopes of one flow until they leave together.
    public struct Draft: Sendable {
        /// The first envelope; nil where there is none.
        public private(set) var first: Envelope?
        /// How many there are.
        public private(set) var count = 0
        private var content: [UInt8] = []
        private var type = ""
        private var nextSequence: UInt64 = 0
        private var incarnation: UInt32 = 0
        private var hops: UInt8 = 0

        /// Makes an empty one.
        public init() {}

        /// What the batch's content takes until now.
        public var byteCount: Int { content.count }

        /// What an envelope adds to the content, at most.
        public static func byteCount(of envelope: Envelope) -> Int {
            itemLength + envelope.contentSize + 65
                + (envelope.cause.map {
                    14 + $0.flow.source.utf8.count + $0.flow.destination.name.utf8.count
                } ?? 0)
        }

        /// Whether an envelope of the same flow is the next.
        public func isContinued(by envelope: Envelope) -> Bool {
            count == 0
                || nextSequence == envelope.sequence && incarnation == envelope.incarnation
                    && hops == envelope.hops
        }

        /// Adds an envelope of kind content and of the same flow, for which `isContinued` is true.
        public mutating func append(_ envelope: Envelope) {
            if count == 0 {
                first = envelope
                (incarnation, hops) = (envelope.incarnation, envelope.hops)
                content.removeAll(keepingCapacity: true)
                content.append(contentsOf: [0, 0, 0, 0])
                type = ""
            }
            count += 1
            nextSequence = envelope.sequence &+ 1
            var flags: Flags = []
            if envelope.type != type { flags.insert(.type) }
            if let cause = envelope.cause {
                flags.insert(.cause)
                if case .topic = cause.flow.destination { flags.insert(.causeOnTopic) }
            }
            let size = envelope.contentSize
            withUnsafeTemporaryAllocation(byteCount: itemLength, alignment: 8) { item in
                item[0] = flags.rawValue
                item[1] = envelope.contentEncoding.rawValue
                item.storeBytes(of: envelope.sent.littleEndian, toByteOffset: 2, as: UInt64.self)
                item.storeBytes(
                    of: UInt32(size).littleEndian, toByteOffset: 10, as: UInt32.self)
                content.append(contentsOf: UnsafeRawBufferPointer(item))
            }
            if flags.contains(.type) {
                type = envelope.type
                append(name: type)
            }
            if let cause = envelope.cause {
                withUnsafeBytes(of: cause.incarnation.littleEndian) {
                    content.append(contentsOf: $0)
                }
                withUnsafeBytes(of: cause.sequence.littleEndian) { content.append(contentsOf: $0) }
                append(name: cause.flow.source)
                append(name: cause.flow.destination.name)
            }
            envelope.withContent { content.append(contentsOf: $0) }
        }

        private mutating func append(name: String) {
            precondition(name.utf8.count <= 255, "names are at most 255 bytes long")
            content.append(UInt8(name.utf8.count))
            content.append(contentsOf: name.utf8)
        }

        /// What is to be sent, and begins anew: the batch, or its envelope where that is alone.
        ///
        /// Nil where there is none.
        public mutating func take() -> Envelope? {
            guard let first else { return nil }
            defer {
                self.first = nil
                count = 0
            }
            guard count > 1 else { return first }
            withUnsafeBytes(of: UInt32(count).littleEndian) {
                content.replaceSubrange(0..<4, with: $0)
            }
            var batch = first
            batch.kind = .batch
            batch.type = Batch.type
            batch.cause = nil
            batch.contentEncoding = .binary
            batch.content = content
            content = []
            content.reserveCapacity(batch.content.count + 64)
            return batch
        }
    }
}

extension Envelope {
    /// How many envelopes it stands for: those of a batch, or itself.
    public var envelopeCount: Int {
        guard kind == .batch else { return 1 }
        return withContent { Batch.count(of: $0) } ?? 1
    }

    /// The names of all that it stands for: those of a batch, or its own.
    public var identities: [Identity] {
        (0..<UInt64(envelopeCount)).map { offset in
            Identity(
                flow: identity.flow, incarnation: incarnation, sequence: sequence &+ offset)
        }
    }

    /// The envelopes of a batch; any other is its own only one.
    ///
    /// - Throws: `WireError`; no input makes it crash.
    public var unbatched: [Envelope] {
        get throws(WireError) {
            guard kind == .batch else { return [self] }
            return try withContent { bytes throws(WireError) in try envelopes(in: bytes) }
        }
    }

    private func envelopes(in bytes: UnsafeRawBufferPointer) throws(WireError) -> [Envelope] {
        guard let count = Batch.count(of: bytes) else { throw .malformed(field: "batch") }
        guard sequence >= 1, sequence <= UInt64.max - UInt64(count) else {
            throw .malformed(field: "sequence")
        }
        var reader = ItemReader(bytes: bytes, position: Batch.countLength)
        var envelopes: [Envelope] = []
        envelopes.reserveCapacity(count)
        var item = self
        item.kind = .content
        item.type = ""
        item.content = []
        for offset in 0..<UInt64(count) {
            item.identity = Identity(
                flow: identity.flow, incarnation: incarnation, sequence: sequence + offset)
            let flags = Batch.Flags(rawValue: try reader.integer(UInt8.self))
            let encoding = try reader.integer(UInt8.self)
            item.sent = try reader.integer(UInt64.self)
            let size = Int(try reader.integer(UInt32.self))
            guard flags.isSubset(of: .known) else { throw .malformed(field: "batch flags") }
            guard let encoding = ContentEncoding(rawValue: encoding) else {
                throw .unknownContentEncoding(encoding)
            }
            item.contentEncoding = encoding
            if flags.contains(.type) { item.type = try reader.name() }
            guard !item.type.isEmpty else { throw .missing(field: "type") }
            item.cause =
                flags.contains(.cause)
                ? try reader.identity(isOnTopic: flags.contains(.causeOnTopic)) : nil
            item.content = Array(try reader.bytes(size))
            envelopes.append(item)
        }
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
        return envelopes
    }
}

private struct ItemReader {
    let bytes: UnsafeRawBufferPointer
    var position: Int

    var remaining: Int { bytes.count - position }

    mutating func integer<Integer: FixedWidthInteger & BitwiseCopyable>(
        _: Integer.Type
    ) throws(WireError) -> Integer {
        let size = MemoryLayout<Integer>.size
        guard remaining >= size else { throw .truncated }
        defer { position += size }
        return Integer(
            littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Integer.self))
    }

    mutating func bytes(_ count: Int) throws(WireError) -> UnsafeRawBufferPointer {
        guard remaining >= count else { throw .truncated }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    mutating func name() throws(WireError) -> String {
        let count = Int(try integer(UInt8.self))
        guard let name = String(validating: try bytes(count), as: UTF8.self) else {
            throw .notUTF8
        }
        return name
    }

    mutating func identity(isOnTopic: Bool) throws(WireError) -> Identity {
        let incarnation = try integer(UInt32.self)
        let sequence = try integer(UInt64.self)
        let source = try name()
        let destination = try name()
        return Identity(
            flow: Flow(
                source: source,
                destination: isOnTopic ? .topic(destination) : .agent(destination)),
            incarnation: incarnation, sequence: sequence)
    }
}
