internal import CNATS
internal import Glibc

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

    /// Looks headers up where they are.
    ///
    /// - Parameter body: Gets what finds a header by its name: text that ends with a zero, as it is
    ///   while `body` runs, or nil where there is none.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    public borrowing func withHeaders<Result: ~Copyable, Failure: Error>(
        _ body: ((StaticString) -> UnsafePointer<CChar>?) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let handle = handle
        return try body { Self.value(of: $0, in: handle) }
    }

    private func value(of name: StaticString) -> UnsafePointer<CChar>? {
        Self.value(of: name, in: handle)
    }

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

// Nobody else refers to the message: it was taken out of its subscription, and its owner gave it
// away. Its bytes are the library's one allocation for it, which nothing changes until it is freed,
// and that any thread may do.
extension ReceivedMessage: @unchecked Sendable {}
