/// Why bytes are not an envelope.
public enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
    case truncated
    case unknownVersion(UInt8)
    case unknownKind(UInt8)
    case unknownContentEncoding(UInt8)
    case notUTF8
    case trailingBytes(Int)
    case missing(field: String)
    case malformed(field: String)
    case notSeedWire(String)

    /// One line for a person.
    public var description: String {
        switch self {
        case .truncated: "the header ends early"
        case .unknownVersion(let version): "header version \(version), known is 1"
        case .unknownKind(let kind): "unknown envelope kind \(kind)"
        case .unknownContentEncoding(let encoding): "unknown content encoding \(encoding)"
        case .notUTF8: "a name is not UTF-8"
        case .trailingBytes(let count): "\(count) bytes after the header"
        case .missing(let field): "the field '\(field)' is missing"
        case .malformed(let field): "the field '\(field)' is malformed"
        case .notSeedWire(let reason): "not a seed message: \(reason)"
        }
    }
}

/// The binary header that stands before the content in a ZeroMQ message.
///
/// Little-endian:
///
///     offset size
///          0    1  version (1)
///          1    1  kind
///          2    1  content encoding
///          3    1  hops
///          4    1  flags: bit 0 destination is a topic, bit 1 a cause follows,
///                  bit 2 the cause's destination is a topic,
///                  bit 3 sent at least once: it is to be acknowledged
///          5    4  incarnation
///          9    8  sequence
///         17    8  sent, nanoseconds since 1970
///         25       source, destination, type: each a length byte and UTF-8
///                  then, with a cause: incarnation (4), sequence (8), source, destination
extension Envelope {
    private static let version: UInt8 = 1
    /// The flag of an envelope that is to be acknowledged.
    public static let atLeastOnceFlag: UInt8 = 8

    /// The header's bytes.
    ///
    /// Names longer than 255 bytes are a programming error.
    public var header: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(96)
        var flags: UInt8 = 0
        if case .topic = destination { flags |= 1 }
        if let cause {
            flags |= 2
            if case .topic = cause.flow.destination { flags |= 4 }
        }
        if delivery == .atLeastOnce { flags |= Envelope.atLeastOnceFlag }
        bytes.append(contentsOf: [
            Envelope.version, kind.rawValue, contentEncoding.rawValue, hops, flags,
        ])
        append(incarnation, to: &bytes)
        append(sequence, to: &bytes)
        append(sent, to: &bytes)
        append(source, to: &bytes)
        append(destination.name, to: &bytes)
        append(type, to: &bytes)
        if let cause {
            append(cause.incarnation, to: &bytes)
            append(cause.sequence, to: &bytes)
            append(cause.flow.source, to: &bytes)
            append(cause.flow.destination.name, to: &bytes)
        }
        return bytes
    }

    /// Reads a header and joins it with its content.
    ///
    /// - Throws: `WireError`; no input makes it crash.
    public init(
        header: some RandomAccessCollection<UInt8>, content: [UInt8]
    ) throws(WireError) {
        let bytes = Array(header)
        self = try bytes.withUnsafeBufferPointer { bytes throws(WireError) in
            try Envelope(header: UnsafeRawBufferPointer(bytes))
        }
        self.content = content
    }

    /// Reads a header and joins it with a content that stays where its owner keeps it.
    ///
    /// - Throws: `WireError`; no input makes it crash.
    public init(
        header: UnsafeRawBufferPointer, keeping owner: any ContentOwner
    ) throws(WireError) {
        try self.init(header: header)
        storage = .owned(owner)
    }

    /// Reads a header; the content is empty.
    ///
    /// - Throws: `WireError`; no input makes it crash.
    public init(header: UnsafeRawBufferPointer) throws(WireError) {
        var reader = HeaderReader(bytes: header)
        let version = try reader.byte()
        guard version == Envelope.version else { throw .unknownVersion(version) }
        let rawKind = try reader.byte()
        guard let kind = Kind(rawValue: rawKind) else { throw .unknownKind(rawKind) }
        let rawEncoding = try reader.byte()
        guard let encoding = ContentEncoding(rawValue: rawEncoding) else {
            throw .unknownContentEncoding(rawEncoding)
        }
        let hops = try reader.byte()
        let flags = try reader.byte()
        let incarnation = try reader.integer(UInt32.self)
        let sequence = try reader.integer(UInt64.self)
        let sent = try reader.integer(UInt64.self)
        let source = try reader.name()
        let destination = try reader.name()
        let type = try reader.name()
        var cause: Identity?
        if flags & 2 != 0 {
            let incarnation = try reader.integer(UInt32.self)
            let sequence = try reader.integer(UInt64.self)
            let source = try reader.name()
            let destination = try reader.name()
            cause = Identity(
                flow: Flow(
                    source: source,
                    destination: flags & 4 != 0 ? .topic(destination) : .agent(destination)),
                incarnation: incarnation, sequence: sequence)
        }
        guard reader.remaining == 0 else { throw .trailingBytes(reader.remaining) }
        self.init(
            identity: Identity(
                flow: Flow(
                    source: source,
                    destination: flags & 1 != 0 ? .topic(destination) : .agent(destination)),
                incarnation: incarnation, sequence: sequence),
            kind: kind, type: type, sent: sent, cause: cause, hops: hops,
            contentEncoding: encoding,
            delivery: flags & Envelope.atLeastOnceFlag != 0 ? .atLeastOnce : .atMostOnce)
    }

    private func append(_ integer: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: integer.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private func append(_ name: String, to bytes: inout [UInt8]) {
        precondition(name.utf8.count <= 255, "names are at most 255 bytes long")
        bytes.append(UInt8(name.utf8.count))
        bytes.append(contentsOf: name.utf8)
    }
}

private struct HeaderReader {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    mutating func byte() throws(WireError) -> UInt8 {
        guard remaining >= 1 else { throw .truncated }
        position += 1
        return bytes[position - 1]
    }

    mutating func integer<Integer: FixedWidthInteger>(
        _: Integer.Type
    ) throws(WireError) -> Integer {
        let size = MemoryLayout<Integer>.size
        guard remaining >= size else { throw .truncated }
        var value: Integer = 0
        for index in (0..<size).reversed() {
            value = value << 8 | Integer(truncatingIfNeeded: bytes[position + index])
        }
        position += size
        return value
    }

    mutating func name() throws(WireError) -> String {
        let count = Int(try byte())
        guard remaining >= count else { throw .truncated }
        defer { position += count }
        guard let name = String(validating: bytes[position..<position + count], as: UTF8.self)
        else { throw .notUTF8 }
        return name
    }
}
