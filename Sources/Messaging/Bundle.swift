internal import DequeModule
internal import Recording
internal import Wire

/// Contents of one flow that came together and are next in it: they wait as they came, and become
/// envelopes one after the other, as they are handed out.
final class Bundle {
    var items: Batch.Items
    let transport: String
    let isCredited: Bool
    /// How the next one is recorded; nil until one like it was.
    var strand: Strand?

    init(_ items: Batch.Items, transport: String, isCredited: Bool) {
        self.items = items
        self.transport = transport
        self.isCredited = isCredited
    }
}

extension AgentClient {
    /// Contents of one flow came together.
    func accept(
        _ items: Batch.Items, _ transport: String, isCredited: Bool
    ) throws(MessagingError) {
        let isKept = items.delivery == .atLeastOnce
        let isWanted =
            switch items.firstIdentity.flow.destination {
            case .agent: !isKept || !hasDefects
            case .topic(let topic): isSubscribed(topic, at: .max)
            }
        guard isWanted,
            receiver.accept(
                inOrder: items.count, from: items.firstIdentity, isKept: isKept)
        else {
            for envelope in items.all {
                try accept(Arrival(envelope, transport: transport, isCredited: isCredited))
            }
            return
        }
        readyCount += items.count
        readyBytes += items.contentSize
        ready.append(.many(Bundle(items, transport: transport, isCredited: isCredited)))
    }

    /// Puts an envelope to those that wait to be handed out.
    func enqueue(_ arrival: Arrival) {
        readyCount += 1
        readyBytes += arrival.envelope.contentSize
        ready.append(.one(arrival))
    }

    /// Hands out the next one of those that came together, recorded as delivered by then: the
    /// others are not, until it is their turn.
    func handOut(from bundle: Bundle) throws(MessagingError) -> Envelope? {
        guard let envelope = bundle.items.popFirst() else {
            opened = nil
            return nil
        }
        if bundle.items.count == 0 { opened = nil }
        var isRecorded = false
        do throws(MessagingError) {
            try recordNext(envelope, of: bundle)
            isRecorded = true
            try noteDelivered(envelope)
        } catch {
            if opened != nil { ready.prepend(.many(bundle)) }
            opened = nil
            let arrival = Arrival(
                envelope, transport: bundle.transport, isCredited: bundle.isCredited)
            ready.prepend(.one(arrival, isRecorded: isRecorded))
            throw error
        }
        handedOut(envelope, isCredited: bundle.isCredited)
        return envelope
    }

    private func recordNext(
        _ envelope: Envelope, of bundle: Bundle
    ) throws(MessagingError) {
        guard let recorder else { return }
        do throws(HistoryError) {
            if let strand = bundle.strand, strand.type == envelope.type,
                strand.contentEncoding == envelope.contentEncoding
            {
                let isRecorded = try envelope.withContent { bytes throws(HistoryError) in
                    try recorder.record(
                        bytes, sequence: envelope.sequence, sent: envelope.sent, observed: nil,
                        on: strand)
                }
                if isRecorded { return }
            }
            try recorder.record(
                envelope, .delivered, transport: bundle.transport, lane: .primary)
        } catch {
            throw MessagingError(.record, .history(error))
        }
        bundle.strand = recorder.strand(
            of: envelope, .delivered, transport: bundle.transport, lane: .primary)
    }

    /// Makes envelopes of all that came together, for who looks for one among them.
    func unbundle() {
        let hasMany = ready.contains {
            if case .many = $0 { true } else { false }
        }
        guard opened != nil || hasMany else { return }
        var apart: Deque<Ready> = []
        func append(_ bundle: Bundle) {
            for envelope in bundle.items.all {
                apart.append(
                    .one(
                        Arrival(
                            envelope, transport: bundle.transport,
                            isCredited: bundle.isCredited)))
            }
        }
        if let opened { append(opened) }
        for place in ready {
            switch place {
            case .one: apart.append(place)
            case .many(let bundle): append(bundle)
            }
        }
        opened = nil
        ready = apart
    }
}
