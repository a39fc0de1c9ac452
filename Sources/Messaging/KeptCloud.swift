public import JSON
public import Wire

/// A point cloud that an agent holds on to after it has handled the envelope that brought it.
///
/// In shared memory its slot is not written to again while this object lives; it belongs to the
/// thread of its client.
public final class KeptCloud {
    private let content: [UInt8]

    init(content: [UInt8]) {
        self.content = content
    }

    /// The cloud's size in bytes.
    public var byteCount: Int { content.count }

    /// Hands the cloud's bytes to `body`, as often as one likes.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        content.withUnsafeBytes { body($0) }
    }

    /// What the agent's next incarnation restores the cloud from; part of what `state()` returns.
    ///
    /// To be asked for when the agent is drained, not before: in shared memory the cloud is then
    /// held for one more reader.
    public var state: Value { ["content": .string(Base64.encode(content))] }
}

extension AgentClient {
    /// Holds on to the point cloud that an envelope carries or points to.
    ///
    /// - Throws: `MessagingError`, as `receivePointCloud` does.
    public func keepPointCloud(_ envelope: Envelope) throws(MessagingError) -> KeptCloud {
        KeptCloud(content: envelope.content)
    }

    /// Holds on to the point cloud that the former incarnation held on to.
    ///
    /// - Throws: `MessagingError` where it is not there any more.
    public func keptPointCloud(restoring state: Value) throws(MessagingError) -> KeptCloud {
        guard let content = state["content"]?.string.flatMap(Base64.decode) else {
            throw MessagingError(.restore, .malformedState("a kept cloud has no content"))
        }
        return KeptCloud(content: content)
    }

    /// Sends a point cloud that is kept on to others; in shared memory without a copy.
    ///
    /// - Parameters:
    ///   - cloud: The cloud.
    ///   - destinations: Agents and topics.
    ///   - cause: The envelope that the cloud answers.
    ///   - patience: The longest wait for room; nil is the option `sendTimeout`.
    /// - Returns: The identities of what was sent, and why the rest was not.
    /// - Throws: `MessagingError` where the history cannot be written.
    public func forwardPointCloud(
        _ cloud: KeptCloud, to destinations: [Address], cause: Identity? = nil,
        patience: Duration? = nil
    ) throws(MessagingError) -> CloudSending {
        let content = cloud.withBytes { [UInt8]($0) }
        return try postCloud(
            to: destinations, PointCloudType.direct, content, .binary, cause, patience)
    }
}
