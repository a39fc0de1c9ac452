/// CRC-32 as MCAP has it (the one of zlib), eight bytes a step.
struct Checksum {
    private var state: UInt32 = 0xFFFF_FFFF

    /// The checksum of everything that was added.
    var value: UInt32 { ~state }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        state = Self.tables.withUnsafeBufferPointer { tables in
            var crc = state
            var index = 0
            let aligned = bytes.count & ~7
            while index < aligned {
                let word = UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                let mixed = word ^ UInt64(crc)
                crc =
                    tables[0x700 + Int(mixed & 0xFF)]
                    ^ tables[0x600 + Int(mixed >> 8 & 0xFF)]
                    ^ tables[0x500 + Int(mixed >> 16 & 0xFF)]
                    ^ tables[0x400 + Int(mixed >> 24 & 0xFF)]
                    ^ tables[0x300 + Int(mixed >> 32 & 0xFF)]
                    ^ tables[0x200 + Int(mixed >> 40 & 0xFF)]
                    ^ tables[0x100 + Int(mixed >> 48 & 0xFF)]
                    ^ tables[Int(mixed >> 56)]
                index += 8
            }
            while index < bytes.count {
                crc = crc >> 8 ^ tables[Int((crc ^ UInt32(bytes[index])) & 0xFF)]
                index += 1
            }
            return crc
        }
    }

    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var checksum = Checksum()
        checksum.add(bytes)
        return checksum.value
    }

    static func of(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { of($0) }
    }

    // Table k at 256 × k: what a byte does to the checksum k bytes later.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 2048)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? 0xEDB8_8320 ^ crc >> 1 : crc >> 1 }
            tables[byte] = crc
        }
        for index in 256..<2048 {
            let before = tables[index - 256]
            tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()
}
