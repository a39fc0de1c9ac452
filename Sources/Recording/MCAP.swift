/// The constants of the MCAP format that histories use (https://mcap.dev/spec).
enum MCAP {
    /// First and last bytes of every file.
    static let magic: [UInt8] = [0x89, 0x4D, 0x43, 0x41, 0x50, 0x30, 0x0D, 0x0A]
    /// Opcode and length, before every record's body.
    static let recordHeaderLength = 9
    /// A message's fields before its data.
    static let messageFieldsLength = 22
    /// Channel ids are 16 bits, and we count from 1.
    static let channelsMax = 65_535
    /// DataEnd, a footer without summary, and the magic: how a file without summary ends.
    static let trailer: [UInt8] = {
        var bytes: [UInt8] = []
        bytes.appendRecord(.dataEnd) { $0.append(integer: UInt32(0)) }
        bytes.appendRecord(.footer) { body in
            body.append(integer: UInt64(0))
            body.append(integer: UInt64(0))
            body.append(integer: UInt32(0))
        }
        return bytes + magic
    }()

    /// What a record is.
    struct Opcode: RawRepresentable, Hashable, Sendable {
        let rawValue: UInt8

        static let header = Opcode(rawValue: 0x01)
        static let footer = Opcode(rawValue: 0x02)
        static let schema = Opcode(rawValue: 0x03)
        static let channel = Opcode(rawValue: 0x04)
        static let message = Opcode(rawValue: 0x05)
        static let chunk = Opcode(rawValue: 0x06)
        static let messageIndex = Opcode(rawValue: 0x07)
        static let chunkIndex = Opcode(rawValue: 0x08)
        static let attachment = Opcode(rawValue: 0x09)
        static let attachmentIndex = Opcode(rawValue: 0x0A)
        static let statistics = Opcode(rawValue: 0x0B)
        static let metadata = Opcode(rawValue: 0x0C)
        static let metadataIndex = Opcode(rawValue: 0x0D)
        static let summaryOffset = Opcode(rawValue: 0x0E)
        static let dataEnd = Opcode(rawValue: 0x0F)
        /// Private: the unused space of a live file, right before DataEnd.
        static let unused = Opcode(rawValue: 0x80)
        /// Private: a few bytes that make the next record start at a multiple of eight.
        static let filler = Opcode(rawValue: 0x81)

        /// Whether the specification of today knows the opcode.
        var isStandard: Bool { (0x01...0x0F).contains(rawValue) }
    }

    /// The first eight bytes of a record, as an integer.
    ///
    /// They are the opcode and the low seven bytes of the length, whose high byte is zero for every
    /// length that exists.
    static func head(_ opcode: Opcode, length: Int) -> UInt64 {
        UInt64(opcode.rawValue) | UInt64(length) << 8
    }
}

extension [UInt8] {
    mutating func append(integer: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: integer.littleEndian) { append(contentsOf: $0) }
    }

    /// A string with its length before it, as MCAP has them.
    mutating func append(prefixed text: String) {
        append(integer: UInt32(text.utf8.count))
        append(contentsOf: text.utf8)
    }

    /// MCAP's map of strings.
    mutating func append(map: [(name: String, value: String)]) {
        var bytes: [UInt8] = []
        for (name, value) in map {
            bytes.append(prefixed: name)
            bytes.append(prefixed: value)
        }
        append(integer: UInt32(bytes.count))
        append(contentsOf: bytes)
    }

    /// A record whose body the closure appends.
    mutating func appendRecord(_ opcode: MCAP.Opcode, body: (inout [UInt8]) -> Void) {
        let start = count
        append(opcode.rawValue)
        append(integer: UInt64(0))
        body(&self)
        let length = UInt64(count - start - MCAP.recordHeaderLength)
        Swift.withUnsafeBytes(of: length.littleEndian) { bytes in
            replaceSubrange(start + 1..<start + MCAP.recordHeaderLength, with: bytes)
        }
    }
}

/// Reads a record's fields; the first one that does not fit ends it.
struct FieldReader {
    private(set) var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    mutating func integer<Integer: FixedWidthInteger>(_: Integer.Type) -> Integer? {
        let size = MemoryLayout<Integer>.size
        guard rest.count >= size else { return nil }
        defer { rest = UnsafeRawBufferPointer(rebasing: rest[size...]) }
        return Integer(littleEndian: rest.loadUnaligned(as: Integer.self))
    }

    mutating func bytes(_ count: some BinaryInteger) -> UnsafeRawBufferPointer? {
        guard let count = Int(exactly: count), count >= 0, count <= rest.count else { return nil }
        defer { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
        return UnsafeRawBufferPointer(rebasing: rest[..<count])
    }

    mutating func text() -> String? {
        guard let count = integer(UInt32.self), let bytes = bytes(count) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    mutating func map() -> [String: String]? {
        guard let count = integer(UInt32.self), let bytes = bytes(count) else { return nil }
        var members: [String: String] = [:]
        var reader = FieldReader(bytes)
        while !reader.rest.isEmpty {
            guard let name = reader.text(), let value = reader.text() else { return nil }
            members[name] = value
        }
        return members
    }
}
