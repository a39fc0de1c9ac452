internal import JSON
internal import Recording
internal import SharedMemory
public import Wire

/// Point clouds: sent inside of the message, or through shared memory where they are large.
extension AgentClient {
    /// What came of sending one cloud to several destinations.
    public struct CloudSending: Sendable {
        /// The envelopes that were sent.
        public var identities: [Identity] = []
        /// Why there are fewer of them than destinations.
        public var failures: [MessagingError] = []
        /// Whether no slot was got in time.
        public var wasPoolFull = false
    }

    /// Sends a point cloud.
    ///
    /// With the option `pool`, one of at least `threshold` bytes is written to a slot of it, once,
    /// and each destination gets a descriptor; every other goes inside of the message.
    ///
    /// - Parameters:
    ///   - destinations: Agents and topics.
    ///   - byteCount: The cloud's size in bytes.
    ///   - points: The cloud's points.
    ///   - cause: The envelope that the cloud answers.
    ///   - patience: The longest wait for room; nil is the option `sendTimeout`.
    ///   - fill: Writes every byte of the cloud; called at most once.
    /// - Returns: The identities of what was sent, and why the rest was not.
    /// - Throws: `MessagingError` where the history cannot be written.
    public func sendPointCloud(
        to destinations: [Address], byteCount: Int, points: Int, cause: Identity? = nil,
        patience: Duration? = nil, fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(MessagingError) -> CloudSending {
        guard let name = options.pool, byteCount >= options.threshold else {
            return try sendDirect(to: destinations, byteCount, cause, patience, fill)
        }
        let attempt = MessagingError.Attempt.sendCloud(bytes: byteCount, pool: name)
        let shortage: MessagingError
        do throws(MessagingError) {
            let pool = try pools.pool(name, attempt)
            let access = pools.access(name)
            let wait = access?.wait ?? .zero
            if let loan = try slot(of: pool, byteCount: byteCount, wait: wait, attempt) {
                return try share(
                    loan, pool, to: destinations, byteCount: byteCount, points: points, cause,
                    patience, fill)
            }
            // Evidence, and no reason to fail.
            try? pool.countRefusal()
            shortage = MessagingError(attempt, .poolFull(name, waited: wait))
        } catch {
            if error.isFatal { throw error }
            shortage = error
        }
        guard pools.access(name)?.overflow == .direct else {
            for destination in destinations {
                _ = try refuse(destination, PointCloudType.shared, shortage.reason)
            }
            return CloudSending(
                failures: destinations.map { _ in shortage }, wasPoolFull: shortage.isPoolFull)
        }
        var sending = try sendDirect(to: destinations, byteCount, cause, patience, fill)
        // The way that is left may be too narrow: then both reasons are needed to understand it.
        sending.failures = sending.failures.map { failure in
            guard case .oversize(let bytes, let limit) = failure.reason else { return failure }
            return MessagingError(
                attempt,
                .noWay(shortage: shortage.reason.description, bytes: bytes, limit: limit))
        }
        return sending
    }

    private func sendDirect(
        to destinations: [Address], _ byteCount: Int, _ cause: Identity?, _ patience: Duration?,
        _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(MessagingError) -> CloudSending {
        let content = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            fill(UnsafeMutableRawBufferPointer(buffer))
            count = byteCount
        }
        return try postCloud(
            to: destinations, PointCloudType.direct, content, .binary, cause, patience
        ).sending
    }

    /// A slot to write to, or nil where none was free for the whole time; receives meanwhile.
    private func slot(
        of pool: Pool, byteCount: Int, wait: Duration, _ attempt: MessagingError.Attempt
    ) throws(MessagingError) -> Loan? {
        let end = clock.now + wait.nanoseconds
        while true {
            let loan = try sharedMemory(attempt) { () throws(SharedMemoryError) in
                try pool.loan(byteCount: byteCount)
            }
            if let loan { return loan }
            let now = clock.now
            guard now < end else { return nil }
            // No slot says when it is free; looking again costs microseconds.
            try idle(for: min(end - now, 1_000_000))
        }
    }

    /// Writes to a slot and sends its descriptor to each destination.
    private func share(
        _ loan: consuming Loan, _ pool: Pool, to destinations: [Address], byteCount: Int,
        points: Int, _ cause: Identity?, _ patience: Duration?,
        _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(MessagingError) -> CloudSending {
        let attempt = MessagingError.Attempt.sendCloud(bytes: byteCount, pool: pool.name)
        loan.withBytes { slot in
            fill(UnsafeMutableRawBufferPointer(rebasing: slot[..<byteCount]))
        }
        let readers = Self.readers(of: destinations)
        let reference: SlotReference
        do throws(SharedMemoryError) {
            reference = try loan.publish(size: byteCount, readers: readers)
        } catch {
            throw MessagingError(attempt, .sharedMemory(error))
        }
        alterIfPlanted(reference, pool)
        return try post(reference, pool, points: points, to: destinations, cause, patience)
    }

    /// Sends the descriptor of a slot that is held for as many readers as there are destinations.
    func post(
        _ reference: SlotReference, _ pool: Pool, points: Int, to destinations: [Address],
        _ cause: Identity?, _ patience: Duration?
    ) throws(MessagingError) -> CloudSending {
        let descriptor = PointCloudDescriptor(
            pool: pool.name, slot: reference.slot, generation: reference.generation,
            size: reference.size, digest: reference.digest, points: points)
        let (sending, unsent) = try postCloud(
            to: destinations, PointCloudType.shared, Array(descriptor.json.canonical.utf8),
            .descriptor, cause, patience)
        let absent = Self.readers(of: unsent)
        // Nobody will read for those to whom it did not go. Where that fails, the lease ends it.
        if absent > 0 { try? pool.withdraw(reference, readers: absent) }
        return sending
    }

    /// How many readers a content is held for.
    ///
    /// Who subscribes to a topic its publisher does not know: such a content stays until its lease
    /// ends, which more readers than there are agents make sure of.
    static func readers(of destinations: [Address]) -> Int {
        destinations.reduce(0) { count, destination in
            if case .topic = destination { count + topicReaders } else { count + 1 }
        }
    }

    /// More than any topic has subscribers.
    private static let topicReaders = 1 << 20

    private func alterIfPlanted(_ reference: SlotReference, _ pool: Pool) {
        guard let defects = options.defects, let every = defects.alterMemory,
            defects.transport == nil || defects.transport == transport.name
        else { return }
        pools.published += 1
        if pools.published.isMultiple(of: every) { pool.plantAlteration(of: reference) }
    }

    /// Sends one content to each destination; where one fails, the others are still sent to.
    func postCloud(
        to destinations: [Address], _ type: String, _ content: [UInt8],
        _ encoding: Envelope.ContentEncoding, _ cause: Identity?, _ patience: Duration?,
        keeping owner: (any ContentOwner)? = nil
    ) throws(MessagingError) -> (sending: CloudSending, unsent: [Address]) {
        var patience = patience
        var sending = CloudSending()
        var unsent: [Address] = []
        for destination in destinations {
            do throws(MessagingError) {
                sending.identities.append(
                    try post(
                        to: destination, type, content, encoding, cause, patience, keeping: owner))
            } catch {
                if error.isFatal { throw error }
                // One wait is enough: the way is the same for all of them, or nearly.
                if case .noRoom = error.reason { patience = .zero }
                sending.failures.append(error)
                unsent.append(destination)
            }
        }
        return (sending, unsent)
    }

    // MARK: Receiving

    /// The bytes of the point cloud that an envelope carries or points to.
    ///
    /// - Parameters:
    ///   - envelope: An envelope of type `pointcloud_direct` or `pointcloud_shm`.
    ///   - body: What is done with the bytes, which are there only while it runs.
    /// - Returns: What `body` returns.
    /// - Throws: `MessagingError` where the bytes are not there any more, or not what was sent: that
    ///   is annotated.
    public func receivePointCloud<Result>(
        _ envelope: Envelope, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(MessagingError) -> Result {
        guard envelope.pointsToCloud else { return envelope.withContent(body) }
        let reading = try open(envelope)
        return reading.withBytes { body($0) }
    }

    /// Opens the content that an envelope points to, for the first and only time.
    func open(_ envelope: Envelope) throws(MessagingError) -> Reading {
        let attempt = MessagingError.Attempt.readCloud(envelope.identity)
        guard pools.consume(envelope.identity) else { throw MessagingError(attempt, .alreadyRead) }
        let descriptor = PointCloudDescriptor(parsing: envelope.content)
        let pool: Pool
        let reading: Reading
        do throws(MessagingError) {
            guard let descriptor else { throw MessagingError(attempt, .noDescriptor) }
            pool = try pools.pool(descriptor.pool, attempt)
            reading = try sharedMemory(attempt) { () throws(SharedMemoryError) in
                try pool.read(descriptor.slotReference)
            }
        } catch {
            counts.unreadable += 1
            try annotate(
                .contentUnreadable(
                    envelope.identity, pool: descriptor?.pool ?? "",
                    reason: error.reason.description, by: name, at: clock.now))
            throw error
        }
        try annotate(
            .contentRead(
                envelope.identity, pool: pool.name,
                isVerified: pool.layout.checksum == .verify && descriptor?.digest != nil, by: name,
                at: clock.now))
        return reading
    }
}

extension Envelope {
    /// Whether the cloud is not in the envelope itself.
    var pointsToCloud: Bool { type == PointCloudType.shared || contentEncoding == .descriptor }
}

extension PointCloudDescriptor {
    var slotReference: SlotReference {
        SlotReference(slot: slot, generation: generation, size: size, digest: digest)
    }
}
