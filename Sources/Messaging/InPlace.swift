public import Wire
public import ZeroMQ

/// From which length on contents are not copied on their way through an agent.
public enum InPlace {
    /// Where not copying begins to pay, by `synmesh bench --only zero-copy`; Documentation/zero-copy.md
    /// has the figures.
    public static let threshold = 65_536
}

// A frame's bytes are libzmq's own, which neither move nor change while it lives.
extension MessageFrame: ContentOwner {}

extension MultipartMessage {
    /// The envelope whose header is in one frame and whose content is in the next.
    ///
    /// - Parameters:
    ///   - index: Which frame the header is in; the next one is there too.
    ///   - keepFrom: A content of at least this many bytes is taken out of the message, a shorter
    ///     one copied.
    /// - Returns: The envelope.
    /// - Throws: `WireError` where the header is none.
    mutating func takeEnvelope(
        at index: Int, keepingFrom keepFrom: Int
    ) throws(WireError) -> Envelope {
        let decoded = withFrame(index) { bytes in
            Result { () throws(WireError) in try Envelope(header: bytes) }
        }
        var envelope = try decoded.get()
        if byteCount(ofFrame: index + 1) >= keepFrom {
            envelope.keep(take(index + 1))
        } else {
            envelope.content = withFrame(index + 1) { [UInt8]($0) }
        }
        return envelope
    }
}

extension Socket {
    /// Sends an envelope behind other frames, its content from where it is if it is long.
    ///
    /// - Returns: Whether there was room.
    mutating func send(
        _ frames: [[UInt8]], _ envelope: Envelope, keepingFrom keepFrom: Int
    ) throws(ZeroMQError) -> Bool {
        guard envelope.contentSize >= keepFrom else {
            return try send(frames + [envelope.header, envelope.content]) == .sent
        }
        let owner = envelope.contentOwner
        return try send(
            frames + [envelope.header], keeping: KeptBytes(owner.bytes, keptBy: owner)) == .sent
    }
}
