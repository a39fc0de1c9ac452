public import NATS
public import Wire

/// A planted fault of a chunk on its way out, for controls.
public enum ChunkDefect: Sendable {
    /// It is not sent.
    case lose
    /// One byte of it is altered.
    case alter
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
        let room = maxPayload - headerBytes - Chunk.headerBytesMax
        return room < Self.chunkBytesMin ? nil : min(room, Self.chunkBytesMax)
    }

    /// Publishes an envelope: in one message where it fits into one.
    ///
    /// - Parameters:
    ///   - envelope: The envelope.
    ///   - subject: The subject.
    ///   - lines: Room for its headers, to be used again with the next one.
    ///   - isChunking: Whether it goes in several messages where it does not fit into one.
    ///   - defect: A fault that is planted in the chunk that is asked for, for controls.
    /// - Throws: `NATSError`, with code `.oversize` where it does not fit.
    public func publish(
        _ envelope: Envelope, on subject: String, lines: inout [UInt8], isChunking: Bool,
        defect: () -> ChunkDefect? = { nil }
    ) throws(NATSError) {
        lines.removeAll(keepingCapacity: true)
        envelope.appendHeaderLines(to: &lines)
        if isChunking, envelope.contentSize + lines.count + Self.headerOverhead > maxPayload {
            return try publishInChunks(envelope, on: subject, defect: defect)
        }
        try envelope.withContent { content throws(NATSError) in
            try publish(subject, headerLines: &lines, content: content)
        }
    }

    /// Publishes a content in chunks, each with the envelope's headers and where it belongs.
    ///
    /// - Parameters:
    ///   - envelope: The envelope; its content is not empty.
    ///   - subject: The subject of them all.
    ///   - defect: A fault that is planted in the chunk that is asked for, for controls.
    /// - Throws: `NATSError`; what was sent until then is of no use to anybody, and sending all of it
    ///   again does no harm.
    public func publishInChunks(
        _ envelope: Envelope, on subject: String, defect: () -> ChunkDefect? = { nil }
    ) throws(NATSError) {
        ChunkMemory.keep()
        // Not `ce-specversion`: a chunk is no event.
        var lines: [UInt8] = []
        envelope.appendAttributeLines(to: &lines)
        let bytes = envelope.contentSize
        guard bytes <= Self.chunkedContentMax, let size = chunkBytes(besides: lines.count) else {
            throw NATSError(.publish(subject: subject, bytes: bytes), .oversize, limit: maxPayload)
        }
        try envelope.withContent { content throws(NATSError) in
            let digest = RunningDigest()
            var unflushed = 0
            for offset in stride(from: 0, to: bytes, by: size) {
                let piece = UnsafeRawBufferPointer(
                    rebasing: content[offset..<min(offset + size, bytes)])
                digest.add(piece)
                let isLast = offset + size >= bytes
                let own = Chunk.lines(
                    offset: offset, size: bytes, digest: isLast ? digest.text : nil)
                guard try publish(piece, on: subject, lines + own.utf8, defect()) else { continue }
                unflushed += piece.count
                guard unflushed >= Self.unflushedMax, !isLast else { continue }
                try flush(timeout: .seconds(10))
                unflushed = 0
            }
        }
    }

    /// Publishes one chunk, or what a fault leaves of it; whether anything was.
    private func publish(
        _ piece: UnsafeRawBufferPointer, on subject: String, _ lines: [UInt8],
        _ defect: ChunkDefect?
    ) throws(NATSError) -> Bool {
        var lines = lines
        switch defect {
        case nil: try publish(subject, headerLines: &lines, content: piece)
        case .lose: return false
        case .alter:
            var altered = [UInt8](piece)
            altered[altered.count / 2] ^= 0xFF
            try altered.withUnsafeBufferPointer { altered throws(NATSError) in
                try publish(subject, headerLines: &lines, content: UnsafeRawBufferPointer(altered))
            }
        }
        return true
    }
}
