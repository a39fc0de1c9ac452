internal import JSON
internal import Recording
internal import Wire
public import ZeroMQ

/// The delivery class `at_least_once`: what is sent of it is kept until its receiver says that it
/// has recorded it, and what comes of it is acknowledged once it is recorded.
extension AgentClient {
    /// What is owed to the sender of a flow.
    struct Owed {
        /// Since when.
        var since: UInt64
        /// Envelopes since the last acknowledgement.
        var count = 0
        /// What a proxy said that it dropped.
        var missing: [ClosedRange<UInt64>] = []
    }

    /// How many envelopes, and for how long, may wait for one acknowledgement.
    private static let acknowledgedAtOnce = 64
    private static let acknowledgedWithin: UInt64 = 50_000_000
    /// How long to wait where there is no room to send, before looking again.
    private static let lookAgain: UInt64 = 5_000_000

    /// The class of what is sent there.
    ///
    /// Topics have no one who could say for all subscribers that it was recorded.
    func deliveryClass(to destination: Address) -> DeliveryClass {
        guard options.delivery == .atLeastOnce, case .agent(let name) = destination,
            options.acknowledging?.contains(name) ?? true
        else { return .atMostOnce }
        return .atLeastOnce
    }

    /// Says once of each agent that does not acknowledge that it is sent to at most once.
    func tellClass(of destination: Address) throws(MessagingError) {
        guard options.delivery == .atLeastOnce, case .agent(let receiver) = destination,
            deliveryClass(to: destination) == .atMostOnce
        else { return }
        try annotate(
            .note("sends at most once to '\(receiver)', which acknowledges nothing", at: clock.now))
    }

    /// Whether one more envelope of the class may be kept; true where the agent sends none.
    public var hasOutboxRoom: Bool { unacknowledged.hasRoom(for: 0) }

    /// Goes on receiving for a time, or until another item is ready; hands out nothing.
    public func linger(
        _ time: Duration, also items: inout [PollItem]
    ) throws(MessagingError) {
        items = try waitInbound(until: clock.now + time.nanoseconds, also: items)
        try pump()
    }

    // MARK: Sending

    /// Waits until one more envelope may be kept, and goes on receiving.
    ///
    /// - Throws: `MessagingError` with `.noRoom` where there is no room in time; the message has got
    ///   no identity then, and that it was refused is on record.
    func waitForOutbox(
        _ size: Int, _ destination: Address, _ type: String, _ patience: Duration?
    ) throws(MessagingError) {
        let patience = patience ?? options.sendTimeout
        let end = clock.now + patience.nanoseconds
        while !unacknowledged.hasRoom(for: size) {
            try pump()
            if unacknowledged.hasRoom(for: size) { return }
            let now = clock.now
            guard now < end else {
                throw try refuse(destination, type, .noRoom(waited: patience))
            }
            try idle(for: min(end - now, Self.lookAgain))
        }
    }

    /// Keeps an envelope that is on record as sent, and sends it where that is possible now, or when
    /// others have come to leave with it.
    ///
    /// - Throws: `MessagingError` where it can never be sent: it is on record as dropped.
    func keep(_ envelope: Envelope, _ outflow: Outflow) throws(MessagingError) {
        if unacknowledged.isEmpty { knownReconnections = transport.reconnections }
        unacknowledged.add(envelope, at: envelope.sent)
        guard let limits = batchLimits, outflow.takesBatches else {
            return try sendKept(
                Unacknowledged.Key(
                    destination: envelope.destination.name, incarnation: envelope.incarnation))
        }
        if outflow.keptCount == 0 {
            outflow.keptBytes = 0
            outflow.deadline = envelope.sent + limits.latency
            filling.append(outflow)
            nextFlush = min(nextFlush, outflow.deadline)
        }
        outflow.keptCount += 1
        outflow.keptBytes += Batch.Draft.byteCount(of: envelope)
        if outflow.keptCount >= limits.messages || outflow.keptBytes >= limits.bytes {
            try flush(outflow, blaming: envelope.identity)
        }
        if envelope.sent >= nextFlush { try flushDue() }
    }

    /// Sends what may go to one destination, as far as there is room.
    func sendKept(_ key: Unacknowledged.Key) throws(MessagingError) {
        if let limits = batchLimits, options.batching?.singles.contains(key.destination) == false {
            let bytes = min(limits.bytes, transport.batchBytesMax)
            while let run = unacknowledged.run(key, messages: limits.messages, bytes: bytes) {
                guard run.envelopes.count > 1 else {
                    guard try sendKeptNext(key) else { return }
                    continue
                }
                guard try sendKept(run.envelopes, isFirst: run.isFirst, key) else { return }
            }
        } else {
            while try sendKeptNext(key) {}
        }
    }

    /// Sends several that follow each other as one message; false where there is no room.
    private func sendKept(
        _ envelopes: [Envelope], isFirst: Bool, _ key: Unacknowledged.Key
    ) throws(MessagingError) -> Bool {
        do throws(MessagingError) {
            for message in together(envelopes, isFirst: isFirst) {
                // What has no room is as good as lost, for a planted fault.
                guard try transport.send(message) || hasDefects && isFirst else { return false }
            }
        } catch {
            if error.isFatal { throw error }
            // One by one it is known which of them it was.
            for _ in envelopes { guard try sendKeptNext(key) else { return false } }
            return true
        }
        if !isFirst { counts.resent += UInt64(envelopes.count) }
        unacknowledged.sent(key, count: envelopes.count, at: clock.now)
        return true
    }

    /// As few messages as can hold them: one, where no planted fault has made holes.
    private func together(_ envelopes: [Envelope], isFirst: Bool) -> [Envelope] {
        let copies = hasDefects ? envelopes.flatMap { defective($0, isFirst: isFirst) } : envelopes
        var messages: [Envelope] = []
        var draft = Batch.Draft()
        for copy in copies {
            if !draft.isContinued(by: copy), let whole = draft.take() { messages.append(whole) }
            draft.append(copy)
        }
        if let last = draft.take() { messages.append(last) }
        return messages
    }

    /// Sends the next of those that may go to one destination; false where there is none, or no room.
    private func sendKeptNext(_ key: Unacknowledged.Key) throws(MessagingError) -> Bool {
        guard let (envelope, isFirst) = unacknowledged.next(key) else { return false }
        do throws(MessagingError) {
            guard try transmitKept(envelope, isFirst: isFirst) else { return false }
        } catch {
            if error.isFatal { throw error }
            unacknowledged.discard(key)
            counts.dropped += 1
            try annotate(
                .dropped(
                    envelope.identity, reason: error.reason.description, by: name,
                    at: clock.now))
            throw error
        }
        if !isFirst { counts.resent += 1 }
        unacknowledged.sent(key, at: clock.now)
        return true
    }

    /// Sends one of the kept envelopes; false where there is no room.
    private func transmitKept(
        _ envelope: Envelope, isFirst: Bool
    ) throws(MessagingError) -> Bool {
        guard hasDefects else { return try transport.send(envelope) }
        for copy in defective(envelope, isFirst: isFirst) {
            // What has no room is as good as lost, for a planted fault.
            guard try transport.send(copy) || isFirst else { return false }
        }
        return true
    }

    /// What a planted fault makes of one of the kept envelopes.
    private func defective(_ envelope: Envelope, isFirst: Bool) -> [Envelope] {
        if let every = primaryDefects.defects?.loseCopies,
            envelope.sequence.isMultiple(of: UInt64(every))
        {
            return []
        }
        return isFirst ? primaryDefects.apply(envelope, at: clock.now) : [envelope]
    }

    // MARK: Both

    /// Does what is due: sends again, acknowledges.
    func tendKept() throws(MessagingError) {
        guard !unacknowledged.isEmpty || !owed.isEmpty else { return }
        let now = clock.now
        if !unacknowledged.isEmpty { try tendUnacknowledged(at: now) }
        if let first = owedSince, first + Self.acknowledgedWithin <= now { try acknowledge() }
    }

    private func tendUnacknowledged(at now: UInt64) throws(MessagingError) {
        let isForgetting = primaryDefects.defects?.forget != nil
        let reconnections = transport.reconnections
        if reconnections != knownReconnections {
            knownReconnections = reconnections
            if !isForgetting { unacknowledged.restart(at: now) }
        }
        if let deadline = unacknowledged.deadline, deadline <= now, !isForgetting {
            for envelope in unacknowledged.expire(at: now) {
                counts.dropped += 1
                try annotate(
                    .dropped(
                        envelope.identity,
                        reason: "not acknowledged within \(unacknowledged.limits.giveUp)",
                        by: name, at: now))
            }
        }
        for key in openKept {
            do throws(MessagingError) {
                try sendKept(key)
            } catch {
                // It is on record; the next one may go.
                if error.isFatal { throw error }
            }
        }
    }

    /// The streams of which something is to be sent, apart from what waits to leave with others.
    private var openKept: [Unacknowledged.Key] {
        let open = unacknowledged.open
        guard !filling.isEmpty else { return open }
        return open.filter { key in
            key.incarnation != incarnation || unacknowledged.isRepeating(key)
                || outflows[.agent(key.destination)]?.keptCount ?? 0 == 0
        }
    }

    /// When `tendKept` next has something to do.
    var keptDeadline: UInt64? {
        guard !unacknowledged.isEmpty || !owed.isEmpty else { return nil }
        var deadlines = [owedSince.map { $0 + Self.acknowledgedWithin }, unacknowledged.deadline]
        if !openKept.isEmpty { deadlines.append(clock.now + Self.lookAgain) }
        return deadlines.compactMap(\.self).min()
    }

    /// A receiver says what it has recorded.
    func heed(_ acknowledgement: Acknowledgement) throws(MessagingError) {
        let now = clock.now
        guard acknowledgement.flow.source == name,
            let (count, abandoned) = unacknowledged.acknowledge(acknowledgement, at: now)
        else {
            return try noteMalformed(
                "\(acknowledgement.flow): acknowledged through \(acknowledgement.through), which "
                    + "was never sent")
        }
        if count > 0 {
            counts.acknowledged += UInt64(count - abandoned.count)
            try annotate(
                .acknowledged(
                    flow: acknowledgement.flow, incarnation: acknowledgement.incarnation,
                    through: acknowledgement.through, by: acknowledgement.flow.destination.name,
                    at: now))
        }
        guard primaryDefects.defects?.forget == nil else { return }
        for envelope in unacknowledged.missing(acknowledgement, at: now) {
            guard try transmitKept(envelope, isFirst: false) else { return }
            counts.resent += 1
        }
    }

    // MARK: Receiving

    /// An envelope of the class was recorded as delivered.
    func noteRecorded(_ envelope: Envelope) throws(MessagingError) {
        let key = Receiver.Key(envelope)
        recorded[key] = envelope.sequence
        let now = clock.now
        owe(key, at: now, 1)
        // While much waits to be handed out, nobody tends to it otherwise.
        if owed[key]?.count ?? 0 >= Self.acknowledgedAtOnce
            || owedSince.map({ $0 + Self.acknowledgedWithin <= now }) ?? false
        {
            try acknowledge()
        }
    }

    /// The sender of an envelope does not know how far its flow is recorded.
    func oweAgain(_ envelope: Envelope) {
        if envelope.delivery == .atLeastOnce { owe(Receiver.Key(envelope), at: clock.now) }
    }

    /// The sender of a flow is to be told how far it is recorded.
    func owe(_ key: Receiver.Key, at now: UInt64, _ count: Int = 0) {
        owed[key, default: Owed(since: now)].count += count
        owedSince = min(owedSince ?? now, now)
    }

    /// The same, at once: the sender sends again what a proxy dropped.
    func oweMissing(
        _ flow: Flow, _ incarnation: UInt32, _ range: ClosedRange<UInt64>
    ) throws(MessagingError) {
        let key = Receiver.Key(flow: flow, incarnation: incarnation)
        owe(key, at: clock.now)
        guard owed[key]?.missing.count ?? 0 < Acknowledgement.rangesMax else { return }
        owed[key]?.missing.append(range)
        try acknowledge()
    }

    /// Says what is recorded of every flow of which that is owed, as far as there is room.
    func acknowledge() throws(MessagingError) {
        let now = clock.now
        for (key, what) in owed {
            guard case .agent = key.flow.destination else { continue }
            var acknowledgement = Acknowledgement(
                flow: key.flow, incarnation: key.incarnation, through: recorded[key] ?? 0)
            acknowledgement.except = receiver.abandoned(key, atMost: Acknowledgement.rangesMax)
                .filter { $0.upperBound <= acknowledgement.through }
            acknowledgement.missing = what.missing
            let left = Acknowledgement.rangesMax - what.missing.count
            if receiver.isWaiting(key), left > 0 {
                acknowledgement.missing += receiver.missing(key, atMost: left)
            }
            guard try transport.send(acknowledgement.envelope(by: incarnation, at: now)) else {
                // There is no room: not the time for more.
                owedSince = now
                return
            }
            owed[key] = nil
        }
        owedSince = nil
    }

    /// Whether the envelope is one of those that a planted fault acknowledges and does not record.
    func swallows(_ arrival: Arrival) -> Bool {
        guard let every = primaryDefects.defects?.swallow,
            arrival.envelope.delivery == .atLeastOnce
        else { return false }
        return arrival.envelope.sequence.isMultiple(of: UInt64(every))
    }
}
