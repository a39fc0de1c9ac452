public import JSON
internal import Recording
internal import SharedMemory
public import Wire

/// A point cloud that an agent holds on to after it has handled the envelope that brought it.
///
/// In shared memory its slot is not written to again while this object lives; it belongs to the
/// thread of its client.
public class KeptCloud {
    /// The cloud's size in bytes.
    public let byteCount: Int

    fileprivate init(byteCount: Int) { self.byteCount = byteCount }

    /// Hands the cloud's bytes to `body`, as often as one likes.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// What the agent's next incarnation restores the cloud from; part of what `state()` returns.
    ///
    /// To be asked for when the agent is drained: in shared memory the cloud is then held for one
    /// more reader, until the pool's lease ends.
    public var state: Value { .null }
}

/// A cloud that came inside of the message.
private final class DirectCloud: KeptCloud {
    /// The message that brought it: the cloud stays where it is.
    let owner: any ContentOwner

    init(_ owner: any ContentOwner) {
        self.owner = owner
        super.init(byteCount: owner.bytes.count)
    }

    override func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withExtendedLifetime(owner) { body(owner.bytes) }
    }

    override var state: Value {
        withBytes { ["content": .string(Base64.encode([UInt8]($0)))] }
    }
}

/// A cloud in shared memory.
private final class SharedCloud: KeptCloud {
    let reading: Reading
    let pool: Pool
    let points: Int
    /// The envelope that brought it.
    let envelope: Identity?
    /// The slot as the next incarnation may read it, once somebody asked.
    private var inheritance: SlotReference?
    private var isInherited = false

    init(
        _ reading: consuming Reading, of pool: Pool, size: Int, points: Int, envelope: Identity?,
        isRestored: Bool
    ) {
        // Should this incarnation end before it is ready, the one after it finds the cloud too.
        inheritance = isRestored ? try? reading.share(readers: 1) : nil
        self.reading = reading
        self.pool = pool
        self.points = points
        self.envelope = envelope
        super.init(byteCount: size)
    }

    deinit {
        if let inheritance, !isInherited { try? pool.withdraw(inheritance, readers: 1) }
    }

    override func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        reading.withBytes { body($0) }
    }

    override var state: Value {
        // The lease starts now: what was shared when this incarnation began may have expired since.
        let readers = inheritance == nil ? 1 : 0
        guard let inheritance = try? reading.share(readers: readers) else {
            // A slot that can be shared no more can still be copied.
            return withBytes { ["content": .string(Base64.encode([UInt8]($0)))] }
        }
        self.inheritance = inheritance
        isInherited = true
        let descriptor = PointCloudDescriptor(
            pool: pool.name, slot: inheritance.slot, generation: inheritance.generation,
            size: inheritance.size, digest: inheritance.digest, points: points)
        var members = descriptor.json.object ?? [:]
        members["envelope"] = envelope.map { .string($0.causationID) }
        return .object(members)
    }
}

extension AgentClient {
    /// Holds on to the point cloud that an envelope carries or points to.
    ///
    /// - Throws: `MessagingError`, as `receivePointCloud` does.
    public func keepPointCloud(_ envelope: Envelope) throws(MessagingError) -> KeptCloud {
        guard envelope.pointsToCloud else { return DirectCloud(envelope.contentOwner) }
        let reading = try open(envelope)
        let attempt = MessagingError.Attempt.readCloud(envelope.identity)
        guard let descriptor = PointCloudDescriptor(parsing: envelope.content) else {
            throw MessagingError(attempt, .noDescriptor)
        }
        return SharedCloud(
            reading, of: try pools.pool(descriptor.pool, attempt), size: Int(descriptor.size),
            points: descriptor.points, envelope: envelope.identity, isRestored: false)
    }

    /// Holds on to the point cloud that the former incarnation held on to.
    ///
    /// - Throws: `MessagingError` where it is not there any more: that is annotated, as a content that
    ///   could not be read.
    public func keptPointCloud(restoring state: Value) throws(MessagingError) -> KeptCloud {
        if let content = state["content"]?.string.flatMap(Base64.decode) {
            return DirectCloud(ArrayOwner(content))
        }
        guard let descriptor = PointCloudDescriptor(state) else {
            throw MessagingError(.restore, .malformedState("this is no kept cloud"))
        }
        let envelope = state["envelope"]?.string.flatMap { Identity(causationID: $0) }
        let pool: Pool
        let reading: Reading
        do throws(MessagingError) {
            pool = try pools.pool(descriptor.pool, .restore)
            reading = try sharedMemory(.restore) { () throws(SharedMemoryError) in
                try pool.read(descriptor.slotReference)
            }
        } catch {
            // What the former incarnation read, and did not use yet, is lost.
            if let envelope {
                counts.unreadable += 1
                try annotate(
                    .contentUnreadable(
                        envelope, pool: descriptor.pool, reason: error.reason.description,
                        by: name, at: clock.now))
            }
            throw error
        }
        return SharedCloud(
            reading, of: pool, size: Int(descriptor.size), points: descriptor.points,
            envelope: envelope, isRestored: true)
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
        guard let shared = cloud as? SharedCloud else {
            return try postCloud(
                to: destinations, PointCloudType.direct, [], .binary, cause, patience,
                keeping: (cloud as? DirectCloud)?.owner
            ).sending
        }
        let attempt = MessagingError.Attempt.sendCloud(
            bytes: cloud.byteCount, pool: shared.pool.name)
        let reference: SlotReference
        do throws(SharedMemoryError) {
            reference = try shared.reading.share(readers: Self.readers(of: destinations))
        } catch {
            for destination in destinations {
                _ = try refuse(destination, PointCloudType.shared, .sharedMemory(error))
            }
            throw MessagingError(attempt, .sharedMemory(error))
        }
        return try post(
            reference, shared.pool, points: shared.points, to: destinations, cause, patience)
    }
}
