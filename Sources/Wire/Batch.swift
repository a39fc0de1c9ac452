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
        /// The sequence that continues it.
        public private(set) var nextSequence: UInt64 = 0
        /// The incarnation of those that are in it.
        public private(set) var incarnation: UInt32 = 0
        private var hops: UInt8 = 0

        /// Makes an empty one.
        public init() {}

        /// What the batch's content takes until now.
        public var byteCount: Int { content.count }

        /// What an envelope without a cause adds to the content, at most.
        public static func byteCount(ofContent size: Int) -> Int { itemLength + size + 65 }

        /// What an envelope adds to the content, at most.
        public static func byteCount(of envelope: Envelope) -> Int {
            byteCount(ofContent: envelope.contentSize)
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
                nextSequence = envelope.sequence
            }
            envelope.withContent {
                append($0, envelope.type, envelope.sent, envelope.contentEncoding, envelope.cause)
            }
        }

        /// Adds the envelope that follows the last one, of which nothing else is needed than this.
        ///
        /// - Parameters:
        ///   - bytes: Its content.
        ///   - type: Its type.
        ///   - sent: When its sender sent it.
        ///   - encoding: How its content is to be read.
        public mutating func append(
            next bytes: UnsafeRawBufferPointer, type: String, sent: UInt64,
            encoding: Envelope.ContentEncoding
        ) {
            precondition(count > 0, "the first one is added as a whole")
            append(bytes, type, sent, encoding, nil)
        }

        private mutating func append(
            _ bytes: UnsafeRawBufferPointer, _ type: String, _ sent: UInt64,
            _ encoding: Envelope.ContentEncoding, _ cause: Identity?
        ) {
            count += 1
            nextSequence &+= 1
            var flags: Flags = []
            if type != self.type { flags.insert(.type) }
            if let cause {
                flags.insert(.cause)
                if case .topic = cause.flow.destination { flags.insert(.causeOnTopic) }
            }
            withUnsafeTemporaryAllocation(byteCount: itemLength, alignment: 8) { item in
                item[0] = flags.rawValue
                item[1] = encoding.rawValue
                item.storeBytes(of: sent.littleEndian, toByteOffset: 2, as: UInt64.self)
                item.storeBytes(
                    of: UInt32(bytes.count).littleEndian, toByteOffset: 10, as: UInt32.self)
                content.append(contentsOf: UnsafeRawBufferPointer(item))
            }
            if flags.contains(.type) {
                self.type = type
                append(name: type)
            }
            if let cause {
                withUnsafeBytes(of: cause.incarnation.littleEndian) {
                    content.append(contentsOf: $0)
                }
                withUnsafeBytes(of: cause.sequence.littleEndian) { content.append(contentsOf: $0) }
                append(name: cause.flow.source)
                append(name: cause.flow.destination.name)
            }
            content.append(contentsOf: bytes)
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
            return try Batch.Items(of: self).all
        }
    }
}
