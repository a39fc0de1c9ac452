internal import Glibc

extension Batch {
    /// The envelopes of a batch, taken out one after the other.
    ///
    /// All of it is checked before the first one is taken, so that a batch is read whole or not at
    /// all. What its envelopes have in common is read once.
    public struct Items: Sendable, Hashable {
        /// How many are left.
        public private(set) var count: Int
        /// The bytes of their contents, together.
        public private(set) var contentSize: Int

        /// What the next one has from the batch's header, and from the one before.
        private var item: Envelope
        private var sequence: UInt64
        private let storage: Envelope.Storage
        private var position = Batch.countLength

        /// Looks through a batch.
        ///
        /// - Throws: `WireError`; no input makes it crash.
        public init(of batch: Envelope) throws(WireError) {
            (count, contentSize) = try batch.withContent { bytes throws(WireError) in
                try Self.check(bytes, from: batch.sequence)
            }
            storage = batch.storage
            sequence = batch.sequence
            item = batch
            item.kind = .content
            item.type = ""
            item.cause = nil
            item.content = []
        }

        /// The next one's flow, incarnation and sequence.
        public var firstIdentity: Identity {
            Identity(flow: item.identity.flow, incarnation: item.incarnation, sequence: sequence)
        }

        /// What its sender does where one of them does not arrive.
        public var delivery: DeliveryClass { item.delivery }

        /// All that are left.
        public var all: [Envelope] {
            var items = self
            var envelopes: [Envelope] = []
            envelopes.reserveCapacity(count)
            while let envelope = items.popFirst() { envelopes.append(envelope) }
            return envelopes
        }

        /// Takes the next one out; nil where none is left.
        public mutating func popFirst() -> Envelope? {
            guard count > 0 else { return nil }
            switch storage {
            case .array(let array):
                return array.withUnsafeBytes { takeNext(in: $0) }
            case .owned(let owner):
                defer { withExtendedLifetime(owner) {} }
                return takeNext(in: owner.bytes)
            }
        }

        private mutating func takeNext(in bytes: UnsafeRawBufferPointer) -> Envelope? {
            var reader = ItemReader(bytes: bytes, position: position)
            // It was read before: nothing can be wrong with it.
            guard let fields = try? reader.fields() else { return nil }
            item.identity = Identity(
                flow: item.identity.flow, incarnation: item.incarnation, sequence: sequence)
            item.sent = fields.sent
            item.contentEncoding = fields.encoding
            if fields.flags.contains(.type) {
                guard let type = try? reader.name() else { return nil }
                item.type = type
            }
            if fields.flags.contains(.cause) {
                item.cause = try? reader.identity(
                    isOnTopic: fields.flags.contains(.causeOnTopic))
            } else if item.cause != nil {
                item.cause = nil
            }
            guard let content = try? reader.bytes(fields.size) else { return nil }
            position = reader.position
            sequence &+= 1
            count -= 1
            contentSize -= fields.size
            var envelope = item
            envelope.content = [UInt8](unsafeUninitializedCapacity: content.count) { place, count in
                UnsafeMutableRawBufferPointer(place).copyMemory(from: content)
                count = content.count
            }
            return envelope
        }

        /// - Returns: How many there are, and the bytes of their contents.
        private static func check(
            _ bytes: UnsafeRawBufferPointer, from sequence: UInt64
        ) throws(WireError) -> (count: Int, contentSize: Int) {
            guard let count = Batch.count(of: bytes) else { throw .malformed(field: "batch") }
            guard sequence >= 1, sequence <= UInt64.max - UInt64(count) else {
                throw .malformed(field: "sequence")
            }
            var reader = ItemReader(bytes: bytes, position: Batch.countLength)
            var contentSize = 0
            var hasType = false
            for _ in 0..<count {
                let fields = try reader.fields()
                if fields.flags.contains(.type) { hasType = try !reader.name().isEmpty }
                guard hasType else { throw .missing(field: "type") }
                if fields.flags.contains(.cause) { _ = try reader.identity(isOnTopic: false) }
                _ = try reader.bytes(fields.size)
                contentSize += fields.size
            }
            guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
            return (count, contentSize)
        }
    }
}

private struct ItemReader {
    /// What each envelope has.
    struct Fields {
        let flags: Batch.Flags
        let encoding: Envelope.ContentEncoding
        let sent: UInt64
        let size: Int
    }

    let bytes: UnsafeRawBufferPointer
    var position: Int

    var remaining: Int { bytes.count - position }

    mutating func fields() throws(WireError) -> Fields {
        guard remaining >= Batch.itemLength else { throw .truncated }
        let flags = Batch.Flags(rawValue: bytes[position])
        guard flags.isSubset(of: .known) else { throw .malformed(field: "batch flags") }
        guard let encoding = Envelope.ContentEncoding(rawValue: bytes[position + 1]) else {
            throw .unknownContentEncoding(bytes[position + 1])
        }
        let sent = UInt64(
            littleEndian: bytes.loadUnaligned(fromByteOffset: position + 2, as: UInt64.self))
        let size = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: position + 10, as: UInt32.self))
        position += Batch.itemLength
        return Fields(flags: flags, encoding: encoding, sent: sent, size: Int(size))
    }

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
