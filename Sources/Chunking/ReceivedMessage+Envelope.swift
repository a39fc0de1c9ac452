public import NATS
public import Wire

extension ReceivedMessage {
    /// Whether it is one piece of a content that was too large for one message.
    public var isChunk: Bool { hasHeader(Chunk.offsetName) }

    /// Contents of at least so many bytes stay where the library received them.
    ///
    /// Below it a copy costs less than what keeps the message: its headers, and an object.
    private static let keptSize = 16_384

    /// The envelope with this message's content; a large one keeps the message's own bytes.
    public consuming func giveContent(to envelope: consuming Envelope) -> Envelope {
        guard contentSize >= Self.keptSize else {
            envelope.content = content
            return envelope
        }
        return envelope.keeping(MessageOwner(self))
    }

    /// The envelope in its headers, without the content.
    ///
    /// - Throws: `WireError` that names the header which is missing or malformed.
    public func attributes() throws(WireError) -> Envelope {
        try withHeaders { header throws(WireError) in try Envelope(headersInPlace: header) }
    }
}

/// Keeps a message of the library for the content in it.
private final class MessageOwner: ContentOwner {
    private let message: ReceivedMessage

    init(_ message: consuming ReceivedMessage) { self.message = message }

    // At the same place for as long as the message is there, which is as long as its owner.
    var bytes: UnsafeRawBufferPointer { message.withContent { $0 } }
}
