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

    /// Whether one more envelope of the class may be kept; true where the agent sends none.
    public var hasOutboxRoom: Bool { unacknowledged.hasRoom(for: 0) }

    /// Goes on receiving for a time, or until another item is ready; hands out nothing.
    public func linger(
        _ time: Duration, also items: inout [PollItem]
    ) throws(MessagingError) {
        items = try waitInbound(until: clock.now + time.nanoseconds, also: items)
        try pump()
    }

    // MARK: Restoring

    /// Takes over what a former incarnation handed over, or what it recorded.
    func restoreKept(_ state: Value?, _ history: OwnHistory?) throws(MessagingError) {
        let now = clock.now
        if let state {
            for value in state["unacknowledged"]?.array ?? [] {
                guard let header = value["header"]?.string.flatMap(Base64.decode),
                    let content = value["content"]?.string.flatMap(Base64.decode),
                    let envelope = try? Envelope(header: header, content: content)
                else {
                    throw MessagingError(
                        .restore, .malformedState("an unacknowledged envelope cannot be read"))
                }
                unacknowledged.add(envelope, at: now)
            }
        } else if let history {
            receiver.restore(history.marks)
            for envelope in history.unacknowledged { unacknowledged.add(envelope, at: now) }
        }
        for (key, next) in receiver.keptMarks { recorded[key] = next - 1 }
        // Both sides of a crash want to know where the other is.
        for key in recorded.keys { owe(key, at: now) }
    }

    /// As `state` hands it over.
    var keptState: [Value] {
        var size = 0
        return unacknowledged.all.compactMap { envelope in
            size += envelope.contentSize
            guard size <= receiver.limits.handoverBytes else { return nil }
            return [
                "header": .string(Base64.encode(envelope.header)),
                "content": .string(Base64.encode(envelope.content)),
            ]
        }
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

    /// Keeps an envelope that is on record as sent, and sends it where that is possible now.
    ///
    /// - Throws: `MessagingError` where it can never be sent: it is on record as dropped.
    func keep(_ envelope: Envelope) throws(MessagingError) {
        if unacknowledged.isEmpty { knownReconnections = transport.reconnections }
        unacknowledged.add(envelope, at: envelope.sent)
        try sendKept(
            Unacknowledged.Key(
                destination: envelope.destination.name, incarnation: envelope.incarnation))
    }

    /// Sends what may go to one destination, as far as there is room.
    private func sendKept(_ key: Unacknowledged.Key) throws(MessagingError) {
        while let (envelope, isFirst) = unacknowledged.next(key) {
            do throws(MessagingError) {
                guard try transmitKept(envelope, isFirst: isFirst) else { return }
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
        }
    }

    /// Sends one of the kept envelopes; false where there is no room.
    private func transmitKept(
        _ envelope: Envelope, isFirst: Bool
    ) throws(MessagingError) -> Bool {
        guard let defects = primaryDefects.defects else { return try transport.send(envelope) }
        if let every = defects.loseCopies, envelope.sequence.isMultiple(of: UInt64(every)) {
            return true
        }
        guard isFirst else { return try transport.send(envelope) }
        // What has no room is as good as lost, for a planted fault.
        for copy in primaryDefects.apply(envelope, at: clock.now) { _ = try transport.send(copy) }
        return true
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
        for key in unacknowledged.open {
            do throws(MessagingError) {
                try sendKept(key)
            } catch {
                // It is on record; the next one may go.
                if error.isFatal { throw error }
            }
        }
    }

    /// When `tendKept` next has something to do.
    var keptDeadline: UInt64? {
        guard !unacknowledged.isEmpty || !owed.isEmpty else { return nil }
        var deadlines = [owedSince.map { $0 + Self.acknowledgedWithin }, unacknowledged.deadline]
        if !unacknowledged.open.isEmpty { deadlines.append(clock.now + Self.lookAgain) }
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
