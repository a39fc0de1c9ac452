internal import CXXHash

/// The headers of a chunk: one piece of a content that is too large for one message.
enum ChunkHeader {
    /// Where in the content the piece begins; its presence makes a message a chunk.
    static let offsetName: StaticString = "synmesh-chunk"
    /// The whole content's length.
    static let sizeName: StaticString = "synmesh-size"
    /// The whole content's digest, on the last chunk.
    static let digestName: StaticString = "synmesh-digest"

    /// More than these headers and the status line ever take.
    static let bytesMax = 192

    /// A digest as text.
    static func text(_ digest: UInt64) -> String {
        let digits = String(digest, radix: 16)
        return "xxh3:" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// A planted fault of a chunk on its way out, for controls.
public enum ChunkDefect: Sendable {
    /// It is not sent.
    case lose
    /// One byte of it is altered.
    case alter
}

/// XXH3 of bytes that come one piece after another.
final class RunningDigest {
    private let state: OpaquePointer?

    init() {
        state = XXH3_createState()
        XXH3_64bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    func add(_ bytes: UnsafeRawBufferPointer) {
        XXH3_64bits_update(state, bytes.baseAddress, bytes.count)
    }

    var value: UInt64 { XXH3_64bits_digest(state) }
}

extension Connection {
    /// The most content of one chunk; larger ones are slower.
    public static let chunkBytesMax = 8_000_000
    /// The largest content that goes in chunks at all.
    public static let chunkedContentMax = 1 << 30
    /// How much is published before the server is asked whether it has it: it ends a connection to
    /// a receiver that lets too much wait.
    private static let unflushedMax = 32 << 20
    /// Less room than this in one message is none.
    private static let chunkBytesMin = 64

    /// How much content one chunk carries beside the envelope's own headers.
    ///
    /// - Parameter headerBytes: What those take.
    /// - Returns: The bytes, or nil where the server's messages are too small for any.
    public func chunkBytes(besides headerBytes: Int) -> Int? {
        let room = maxPayload - headerBytes - ChunkHeader.bytesMax
        return room < Self.chunkBytesMin ? nil : min(room, Self.chunkBytesMax)
    }

    /// Publishes a content in chunks, each with the envelope's headers and where it belongs.
    ///
    /// - Parameters:
    ///   - subject: The subject of them all.
    ///   - lines: The envelope's headers, `ce-specversion` not among them: a chunk is no event.
    ///   - content: The whole content, not empty.
    ///   - defect: A fault that is planted in the chunk that is asked for, for controls.
    /// - Throws: `NATSError`; what was sent until then is of no use to anybody, and sending all of it
    ///   again does no harm.
    public func publishInChunks(
        _ subject: String, attributeLines lines: [UInt8], content: UnsafeRawBufferPointer,
        defect: () -> ChunkDefect? = { nil }
    ) throws(NATSError) {
        let bytes = content.count
        guard bytes <= Self.chunkedContentMax, let size = chunkBytes(besides: lines.count) else {
            throw NATSError(.publish(subject: subject, bytes: bytes), .oversize, limit: maxPayload)
        }
        let digest = RunningDigest()
        var unflushed = 0
        for offset in stride(from: 0, to: bytes, by: size) {
            let piece = UnsafeRawBufferPointer(
                rebasing: content[offset..<min(offset + size, bytes)])
            digest.add(piece)
            var own = lines
            own += "\r\nsynmesh-chunk: \(offset)\r\nsynmesh-size: \(bytes)".utf8
            if offset + size >= bytes {
                own += "\r\nsynmesh-digest: \(ChunkHeader.text(digest.value))".utf8
            }
            switch defect() {
            case nil: try publish(subject, headerLines: &own, content: piece)
            case .lose: continue
            case .alter:
                var altered = [UInt8](piece)
                altered[altered.count / 2] ^= 0xFF
                try altered.withUnsafeBufferPointer { altered throws(NATSError) in
                    try publish(
                        subject, headerLines: &own, content: UnsafeRawBufferPointer(altered))
                }
            }
            unflushed += piece.count
            guard unflushed >= Self.unflushedMax, offset + size < bytes else { continue }
            try flush(timeout: .seconds(10))
            unflushed = 0
        }
    }
}
