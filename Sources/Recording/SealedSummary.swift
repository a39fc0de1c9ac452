internal import Glibc

/// What a sealed file says of itself at its end; nothing else of it is read.
public struct SealedSummary: Sendable {
    /// How many messages stand in the file.
    public let messageCount: UInt64
    /// The metadata of the name that was asked for; nil where there is none.
    public let metadata: [String: String]?

    /// Reads a file's summary; nil where the file is not sealed, or its summary is damaged.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - name: Which metadata to read.
    /// - Throws: `HistoryError` when the file cannot be read.
    public init?(path: String, metadata name: String) throws(HistoryError) {
        let file = try OpenFile(path, O_RDONLY, attempt: .read)
        guard try HistorySealer.isSealed(file) else { return nil }
        let size = Int(try file.status(.read).st_size)
        let footer = size - MCAP.magic.count - MCAP.recordHeaderLength - 20
        let fields = try file.bytes(at: footer + MCAP.recordHeaderLength, count: 20)
        let (start, checksum) = fields.withUnsafeBytes { bytes in
            (
                UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
            )
        }
        guard let start = Int(exactly: start), start < footer else { return nil }
        let end = size - MCAP.magic.count - 4
        let summary = try file.bytes(at: start, count: end - start)
        guard checksum == 0 || checksum == Checksum.of(summary) else { return nil }
        var count: UInt64?
        var place: (offset: Int, length: Int)?
        summary.withUnsafeBytes { bytes in
            var reader = FieldReader(bytes)
            while let opcode = reader.integer(UInt8.self),
                let length = reader.integer(UInt64.self), let body = reader.bytes(length)
            {
                var fields = FieldReader(body)
                switch MCAP.Opcode(rawValue: opcode) {
                case .statistics: count = fields.integer(UInt64.self)
                case .metadataIndex:
                    if let offset = fields.integer(UInt64.self).flatMap({ Int(exactly: $0) }),
                        let length = fields.integer(UInt64.self).flatMap({ Int(exactly: $0) }),
                        fields.text() == name
                    {
                        place = (offset, length)
                    }
                default: break
                }
            }
        }
        guard let count else { return nil }
        messageCount = count
        guard let place, place.offset >= 0, place.length >= MCAP.recordHeaderLength,
            place.offset <= start, place.length <= start - place.offset
        else {
            metadata = nil
            return
        }
        let record = try file.bytes(at: place.offset, count: place.length)
        metadata = record.withUnsafeBytes { bytes in
            guard bytes[0] == MCAP.Opcode.metadata.rawValue else { return nil }
            var reader = FieldReader(
                UnsafeRawBufferPointer(rebasing: bytes[MCAP.recordHeaderLength...]))
            guard reader.text() == name else { return nil }
            return reader.map()
        }
    }
}
