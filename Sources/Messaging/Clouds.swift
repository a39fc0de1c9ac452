internal import Recording
public import Wire

/// Point clouds: sent inside of the message, or through shared memory where they are large.
extension AgentClient {
    /// What came of sending one cloud to several destinations.
    public struct CloudSending: Sendable {
        /// The envelopes that were sent.
        public var identities: [Identity] = []
        /// Why there are fewer of them than destinations.
        public var failures: [MessagingError] = []
    }

    /// Sends a point cloud.
    ///
    /// - Parameters:
    ///   - destinations: Agents and topics; the cloud is made once for all of them.
    ///   - byteCount: The cloud's size in bytes.
    ///   - points: The cloud's points.
    ///   - cause: The envelope that the cloud answers.
    ///   - patience: The longest wait for room; nil is the option `sendTimeout`.
    ///   - fill: Writes every byte of the cloud.
    /// - Returns: The identities of what was sent, and why the rest was not.
    /// - Throws: `MessagingError` where the history cannot be written.
    public func sendPointCloud(
        to destinations: [Address], byteCount: Int, points: Int, cause: Identity? = nil,
        patience: Duration? = nil, fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(MessagingError) -> CloudSending {
        let content = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            fill(UnsafeMutableRawBufferPointer(buffer))
            count = byteCount
        }
        return try postCloud(
            to: destinations, PointCloudType.direct, content, .binary, cause, patience)
    }

    /// Sends one content to each destination; where one fails, the others are still sent to.
    func postCloud(
        to destinations: [Address], _ type: String, _ content: [UInt8],
        _ encoding: Envelope.ContentEncoding, _ cause: Identity?, _ patience: Duration?
    ) throws(MessagingError) -> CloudSending {
        var patience = patience
        var sending = CloudSending()
        for destination in destinations {
            do throws(MessagingError) {
                sending.identities.append(
                    try post(to: destination, type, content, encoding, cause, patience))
            } catch {
                if error.isFatal { throw error }
                // One wait is enough: the way is the same for all of them, or nearly.
                if case .noRoom = error.reason { patience = .zero }
                sending.failures.append(error)
            }
        }
        return sending
    }

    /// The bytes of the point cloud that an envelope carries or points to.
    ///
    /// - Parameters:
    ///   - envelope: An envelope of type `pointcloud_direct` or `pointcloud_shm`.
    ///   - body: What is done with the bytes, which are there only while it runs.
    /// - Returns: What `body` returns.
    /// - Throws: `MessagingError` where the bytes are not there any more, or not what was sent.
    public func receivePointCloud<Result>(
        _ envelope: Envelope, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(MessagingError) -> Result {
        envelope.content.withUnsafeBytes { body($0) }
    }
}
