public import JSON
internal import Recording
internal import Wire

/// What goes together in one message: contents of one flow, until there are so many or so much of
/// them, or the first has waited for so long.
///
/// It pays above a thousand messages a second; below that it only makes them late.
public struct Batching: Hashable, Sendable {
    /// The most envelopes of a batch.
    public var messages: Int
    /// The most bytes of a batch; an envelope that alone takes more goes by itself.
    public var bytes: Int
    /// The longest that an envelope waits for others.
    public var latency: Duration
    /// Agents that take no batches.
    public var singles: Set<String>
    /// Whether somebody may be subscribed to topics who takes no batches.
    public var areTopicsSingle: Bool

    /// Says what goes together.
    public init(
        messages: Int = 50, bytes: Int = 65_536, latency: Duration = .milliseconds(5),
        singles: Set<String> = [], areTopicsSingle: Bool = false
    ) {
        self.messages = messages
        self.bytes = bytes
        self.latency = latency
        self.singles = singles
        self.areTopicsSingle = areTopicsSingle
    }

    /// Reads `{"messages", "bytes", "latency_us", "single": [names], "single_topics": flag}`, the
    /// variable `SYNMESH_BATCH`; nil where that is something else.
    public init?(_ value: Value) {
        guard let members = value.object,
            let messages = members["messages"]?.integer,
            (1...Int64(Batch.messagesMax)).contains(messages),
            let bytes = members["bytes"]?.integer, (1...Int64(Batch.bytesMax)).contains(bytes),
            let latency = members["latency_us"]?.integer, (1...60_000_000).contains(latency),
            let singles = (members["single"] ?? []).array?.map(\.string), !singles.contains(nil),
            let areTopicsSingle = (members["single_topics"] ?? false).bool
        else { return nil }
        self.init(
            messages: Int(messages), bytes: Int(bytes), latency: .microseconds(latency),
            singles: Set(singles.compactMap(\.self)), areTopicsSingle: areTopicsSingle)
    }
}

/// The same in numbers.
struct BatchLimits {
    let messages: Int
    let bytes: Int
    let latency: UInt64

    init(_ batching: Batching) {
        messages = batching.messages
        bytes = batching.bytes
        latency = batching.latency.nanoseconds
    }
}

/// One destination of an agent's: its place in the flow, and what waits to leave together.
final class Outflow {
    let flow: Flow
    /// Sequence of the last envelope.
    var sequence: UInt64 = 0
    /// The last type that was looked at and is legal: mostly it is the same.
    var type = ""
    /// Whether the destination takes batches.
    let takesBatches: Bool
    var draft = Batch.Draft()
    /// The most bytes of the draft.
    var bytesMax = 0
    /// How many of the class `at_least_once` wait to leave together, which are kept elsewhere, and
    /// their bytes.
    var keptCount = 0
    var keptBytes = 0
    /// When the draft is to leave.
    var deadline: UInt64 = .max
    /// How those that follow in the draft are recorded; nil until the first of them was.
    var strand: Strand?

    init(_ flow: Flow, takesBatches: Bool) {
        self.flow = flow
        self.takesBatches = takesBatches
    }
}

extension AgentClient {
    /// The place of a flow; names are looked at when they are new.
    func outflow(
        to destination: Address, _ type: String
    ) throws(MessagingError) -> Outflow {
        if let last = lastOutflow, last.flow.destination == destination, last.type == type {
            return last
        }
        if let known = outflows[destination] {
            lastOutflow = known
            if known.type == type { return known }
            guard Names.isLegal(type) else {
                throw try refuse(destination, type, .illegalName(type))
            }
            known.type = type
            known.strand = nil
            return known
        }
        let isLegal =
            switch destination {
            case .agent(let name): Names.isLegal(name)
            case .topic(let topic): Names.isLegalTopic(topic)
            }
        guard isLegal else {
            throw try refuse(destination, type, .illegalName(destination.name))
        }
        guard Names.isLegal(type) else { throw try refuse(destination, type, .illegalName(type)) }
        let takesBatches =
            switch destination {
            case .agent(let name): options.batching?.singles.contains(name) == false
            case .topic: options.batching?.areTopicsSingle == false
            }
        try tellClass(of: destination)
        let outflow = Outflow(
            Flow(source: name, destination: destination), takesBatches: takesBatches)
        outflow.type = type
        outflows[destination] = outflow
        return outflow
    }

    /// Sends an envelope, or puts it to those that leave together.
    ///
    /// - Throws: `MessagingError` where this envelope could not be sent.
    func dispatch(
        _ envelope: Envelope, _ outflow: Outflow, _ patience: Duration?
    ) throws(MessagingError) {
        guard let limits = batchLimits, outflow.takesBatches else {
            return try transmit(envelope, patience: patience)
        }
        if outflow.draft.count == 0 {
            outflow.bytesMax = min(limits.bytes, transport.batchBytesMax)
        }
        let size = Batch.Draft.byteCount(of: envelope)
        // A slot in shared memory is waited for by others, and frees its place sooner by itself.
        guard size < outflow.bytesMax, envelope.contentEncoding != .descriptor else {
            try flush(outflow, patience: patience)
            return try transmit(envelope, patience: patience)
        }
        let continues =
            outflow.draft.isContinued(by: envelope)
            && outflow.draft.byteCount + size <= outflow.bytesMax
        if !continues { try flush(outflow, patience: patience) }
        if outflow.draft.count == 0 {
            outflow.deadline = envelope.sent + limits.latency
            filling.append(outflow)
            nextFlush = min(nextFlush, outflow.deadline)
        }
        outflow.draft.append(envelope)
        if outflow.strand?.contentEncoding != envelope.contentEncoding {
            outflow.strand = recorder?.strand(
                of: envelope, .sent, transport: transport.name, lane: .primary)
        }
        if outflow.draft.count >= limits.messages {
            try flush(outflow, patience: patience, blaming: envelope.identity)
        }
        // Agents that send without ever waiting have other destinations, too.
        if envelope.sent >= nextFlush { try flushDue() }
    }

    /// Sends what waits for one destination.
    ///
    /// - Parameters:
    ///   - outflow: The destination.
    ///   - patience: The longest wait for room.
    ///   - last: The envelope whose sender is told where it could not be sent; that of the others was
    ///     told that they were.
    /// - Throws: `MessagingError` where `last` was not sent, or nothing ever will be.
    func flush(
        _ outflow: Outflow, patience: Duration? = nil, blaming last: Identity? = nil
    ) throws(MessagingError) {
        if outflow.keptCount > 0 { return try flushKept(outflow, blaming: last) }
        let count = outflow.draft.count
        guard let batch = outflow.draft.take() else { return }
        filling.removeAll { $0 === outflow }
        nextFlush = filling.lazy.map(\.deadline).min() ?? .max
        do throws(MessagingError) {
            try transmit(batch, patience: isBatchStuck ? .zero : patience)
            isBatchStuck = false
        } catch {
            if case .noRoom = error.reason { isBatchStuck = true }
            unsentInBatches += UInt64(last == nil ? count : count - 1)
            // Each of them is on record.
            if last != nil || error.isFatal { throw error }
        }
    }

    /// The same of what is kept: where there is no room, it is tried again.
    private func flushKept(_ outflow: Outflow, blaming last: Identity?) throws(MessagingError) {
        outflow.keptCount = 0
        filling.removeAll { $0 === outflow }
        nextFlush = filling.lazy.map(\.deadline).min() ?? .max
        do throws(MessagingError) {
            try sendKept(
                Unacknowledged.Key(
                    destination: outflow.flow.destination.name, incarnation: incarnation))
        } catch {
            if last == nil { unsentInBatches += 1 }
            // It is on record.
            if last != nil || error.isFatal { throw error }
        }
    }

    /// How much earlier a batch leaves than it must: waits are counted in whole milliseconds.
    private static let flushSlack: UInt64 = 1_000_000

    /// Sends what has waited for long enough.
    ///
    /// Whatever waits in the client does it too; only who neither sends nor waits must.
    public func flushDue() throws(MessagingError) {
        guard !filling.isEmpty else { return }
        let due = clock.now + min(Self.flushSlack, (batchLimits?.latency ?? 0) / 4)
        guard due >= nextFlush else { return }
        for outflow in filling where outflow.deadline <= due { try flush(outflow) }
    }

    /// Sends all that waits for others to leave with.
    public func flush() throws(MessagingError) {
        for outflow in filling { try flush(outflow) }
    }

    /// Sends an envelope that only has to join others of its kind, which wait to leave together.
    ///
    /// Of these, nothing is needed but content, number and time: no envelope is made of them.
    ///
    /// - Returns: Its identity; nil where it takes the way that all others take.
    /// - Throws: `MessagingError` where it could not be recorded, or could not be sent.
    func postNext(
        _ content: [UInt8], _ encoding: Envelope.ContentEncoding, _ outflow: Outflow,
        _ patience: Duration?
    ) throws(MessagingError) -> Identity? {
        let sequence = outflow.sequence + 1
        guard let limits = batchLimits, !isDual, !hasDefects, untoldGaps.isEmpty,
            options.delivery == .atMostOnce, encoding != .descriptor,
            outflow.draft.nextSequence == sequence, outflow.draft.incarnation == incarnation,
            outflow.draft.byteCount + Batch.Draft.byteCount(ofContent: content.count)
                <= outflow.bytesMax
        else { return nil }
        let sent = clock.now
        if let recorder {
            guard let strand = outflow.strand, strand.contentEncoding == encoding else {
                return nil
            }
            do throws(HistoryError) {
                // Sent and recorded in one breath: the clock need not be looked at twice.
                let isRecorded = try content.withUnsafeBufferPointer {
                    bytes throws(HistoryError) in
                    try recorder.record(
                        UnsafeRawBufferPointer(bytes), sequence: sequence, sent: sent,
                        observed: sent, on: strand)
                }
                guard isRecorded else { return nil }
            } catch {
                throw MessagingError(.record, .history(error))
            }
        }
        outflow.sequence = sequence
        sentCount += 1
        content.withUnsafeBytes {
            outflow.draft.append(next: $0, type: outflow.type, sent: sent, encoding: encoding)
        }
        let identity = Identity(flow: outflow.flow, incarnation: incarnation, sequence: sequence)
        if outflow.draft.count >= limits.messages {
            try flush(outflow, patience: patience, blaming: identity)
        }
        if sent >= nextFlush { try flushDue() }
        return identity
    }
}
