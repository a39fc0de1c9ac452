internal import CNATS
internal import Glibc
public import Wire

/// A message where the library has it: looked at without copies, freed with its one owner.
public struct ReceivedMessage: ~Copyable {
    private let handle: OpaquePointer

    init(taking handle: OpaquePointer) { self.handle = handle }

    deinit { natsMsg_Destroy(handle) }

    /// The subject that it was published to.
    public var subject: String { String(cString: natsMsg_GetSubject(handle)) }

    /// Whether the subject is this one.
    public func isOn(_ subject: String) -> Bool {
        strcmp(natsMsg_GetSubject(handle), subject) == 0
    }

    /// Whether the subject begins so.
    public func isBelow(_ prefix: String) -> Bool {
        strncmp(natsMsg_GetSubject(handle), prefix, prefix.utf8.count) == 0
    }

    /// Whether it has a header of this name.
    public func hasHeader(_ name: StaticString) -> Bool { value(of: name) != nil }

    /// A copy of a header's value.
    public func header(_ name: StaticString) -> String? {
        value(of: name).map(String.init(cString:))
    }

    /// The content's length in bytes.
    public var contentSize: Int { Int(natsMsg_GetDataLength(handle)) }

    /// A copy of the content.
    public var content: [UInt8] { withContent { [UInt8]($0) } }

    /// The content's bytes, which are there only while `body` runs.
    public func withContent<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(start: natsMsg_GetData(handle), count: contentSize))
    }

    /// A copy of it all.
    public var copy: Message { Message(copying: handle) }

    /// Whether it is one piece of a content that was too large for one message.
    public var isChunk: Bool { hasHeader(ChunkHeader.offsetName) }

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
        let handle = handle
        return try Envelope(headersInPlace: { Self.value(of: $0, in: handle) })
    }

    func value(of name: StaticString) -> UnsafePointer<CChar>? { Self.value(of: name, in: handle) }

    private static func value(
        of name: StaticString, in handle: OpaquePointer
    ) -> UnsafePointer<CChar>? {
        var value: UnsafePointer<CChar>?
        let status = name.utf8Start.withMemoryRebound(
            to: CChar.self, capacity: name.utf8CodeUnitCount + 1
        ) { natsMsgHeader_Get(handle, $0, &value) }
        return status == NATS_OK ? value : nil
    }
}

/// Keeps a message of the library for the content in it.
private final class MessageOwner: ContentOwner {
    private let message: ReceivedMessage

    init(_ message: consuming ReceivedMessage) { self.message = message }

    var bytes: UnsafeRawBufferPointer { message.withContent { $0 } }
}

// Nobody else refers to the message: it was taken out of its subscription, and its owner gave it
// away. Its bytes are the library's one allocation for it, which nothing changes until it is freed,
// and that any thread may do.
extension ReceivedMessage: @unchecked Sendable {}
