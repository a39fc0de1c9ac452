internal import CXXHash
internal import Glibc

/// The digest that stands for a content: XXH3, 64 bits.
///
/// Quick to compare; no proof against malice.
public enum ContentDigest {
    /// The digest of `bytes`.
    public static func xxh3(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { xxh3($0) }
    }

    /// The digest of bytes that are looked at where they are.
    public static func xxh3(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        XXH3_64bits(bytes.baseAddress, bytes.count)
    }

    /// Length and digest of a file, which is read a megabyte at a time.
    ///
    /// - Throws: `HistoryError` when it cannot be read.
    public static func ofFile(
        _ path: String
    ) throws(HistoryError) -> (bytes: Int, digest: UInt64) {
        let file = try OpenFile(path, O_RDONLY, attempt: .read)
        let state = XXH3_createState()
        defer { XXH3_freeState(state) }
        XXH3_64bits_reset(state)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var offset = 0
        while true {
            let count = try file.read(into: buffer, at: offset)
            XXH3_64bits_update(state, buffer.baseAddress, count)
            offset += count
            if count < buffer.count { return (offset, XXH3_64bits_digest(state)) }
        }
    }

    /// The digest as text: `xxh3:` and sixteen hexadecimal digits.
    public static func text(_ digest: UInt64) -> String {
        let digits = String(digest, radix: 16)
        return prefix + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Reads what `text` wrote.
    public static func value(of text: some StringProtocol) -> UInt64? {
        guard text.hasPrefix(prefix) else { return nil }
        let digits = text.dropFirst(prefix.count)
        guard digits.utf8.count == 16, digits.utf8.first != UInt8(ascii: "+") else { return nil }
        return UInt64(digits, radix: 16)
    }

    private static let prefix = "xxh3:"
}
