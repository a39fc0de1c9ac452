internal import JSON
public import Recording
public import Wire

/// One envelope of a recording, and its place in a conversation.
public struct Turn: Sendable {
    /// What names it.
    public let identity: Identity
    /// Message type.
    public let type: String
    /// The process that recorded it.
    public let agent: String
    /// Sent or delivered.
    public let direction: Direction
    /// What carried it.
    public let transport: String
    /// When its sender sent it, in nanoseconds since 1970.
    public let sent: UInt64
    /// When it was recorded.
    public let recorded: UInt64
    /// What it answers.
    public let cause: Identity?
    /// The first envelope of the conversation that it belongs to; its own where it answers nothing.
    public let conversation: Identity
    /// How many answers lie between that one and this.
    public let depth: Int
    /// How the content is to be read.
    public let contentEncoding: Envelope.ContentEncoding
    /// The content, after redaction.
    public let content: Content
    /// Whether it belongs to the validation part.
    public let isValidation: Bool
}

/// What a content is after redaction.
extension Turn {
    /// The content as JSON, where it is that.
    var json: Value? {
        guard contentEncoding.isJSON, case .bytes(let bytes) = content else { return nil }
        return try? Value(parsing: bytes)
    }
}
