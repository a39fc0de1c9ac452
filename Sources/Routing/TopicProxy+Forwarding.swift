internal import DequeModule
internal import JSON
internal import Moves
internal import Recording
internal import Wire
internal import ZeroMQ

/// What a moving agent is to get in its new place.
struct TopicHold {
    var topics: [String]
    var queue: ParcelQueue
    var isReleasing = false
}

extension TopicProxy {
    /// One message from a publisher: an envelope's three frames, or a foreign publisher's two.
    ///
    /// - Parameters:
    ///   - frames: Its frames, or the first of them where it has more than any that is known.
    ///   - count: How many frames it had.
    /// - Throws: `RoutingError` when a socket fails.
    func forward(_ frames: [[UInt8]], of count: Int) throws(RoutingError) {
        if configuration.isBeside { return try hear(frames, of: count) }
        if frames[0].starts(with: MoveWord.settleTopic.utf8) { return settle(frames[0]) }
        guard count == 2 || count == 3,
            let topic = String(validating: frames[0], as: UTF8.self), Names.isLegalTopic(topic)
        else { return malformed("\(count) frames, or no topic") }
        if frames.count == 2 {
            tally(frames[1])
            try deliver(frames)
            if isOwn(topic) { publishPlain(frames[1], on: topic) }
            return
        }
        guard let view = HeaderView(frames[1]), view.isTopic, view.kind.isForSubscribers,
            frames[1][view.destination].elementsEqual(frames[0])
        else { return malformed("on '\(topic)': a header that is none") }
        let parcel = Parcel(header: frames[1], content: frames[2])
        guard parcel.isWhole else { return malformed("on '\(topic)': a batch that is none") }
        if view.kind.carriesContent { tally(frames[2], messages: parcel.messageCount) }
        guard view.hops <= Envelope.hopsMax else { return drop(parcel, .hopLimit) }
        if view.kind.carriesContent { record(parcel, view) }
        keep(parcel, topic)
        try deliver(frames)
        if isOwn(topic) { publish(parcel, on: topic) }
    }

    func tally(_ content: [UInt8], messages count: Int = 1) {
        passage.messages += count
        passage.bytes += content.count
    }

    func isOwn(_ topic: String) -> Bool {
        configuration.prefixes.contains { Names.topic(topic, isUnder: $0) }
    }

    /// Accounts for a message that nobody can be given, and that has no identity to be missed by.
    func malformed(_ what: String) {
        deadLetters.addUnreadable(what, from: "", history: history)
    }

    func drop(_ parcel: Parcel, _ reason: DeadLetterReason) {
        for identity in parcel.identities {
            deadLetters.add(identity, reason, history: history)
        }
    }

    private func dropIncomplete(_ envelope: Envelope, _ reason: String) {
        log("\(envelope.identity): \(reason)")
        drop(Parcel(envelope), .incomplete)
    }

    /// What an agent published that does not record for itself.
    func record(_ parcel: Parcel, _ view: HeaderView) {
        guard !configuration.recorded.isEmpty,
            configuration.recorded.contains(
                String(decoding: parcel.header[view.source], as: UTF8.self))
        else { return }
        guard let envelopes = parcel.envelopes else {
            return malformed("a batch that cannot be read")
        }
        for envelope in envelopes { history.record(envelope, .sent, transport: .zmq) }
    }

    func keep(_ parcel: Parcel, _ topic: String) {
        for (agent, hold) in holds
        where hold.topics.contains(where: { Names.topic(topic, isUnder: $0) }) {
            if holds[agent]?.queue.offer(parcel) == false { drop(parcel, .queueFull) }
        }
    }

    /// Something from another thread.
    func handle(_ event: LoopEvent) throws(RoutingError) {
        switch event {
        case .envelope(_, var envelope):
            guard case .topic(let topic) = envelope.destination, Names.isLegalTopic(topic),
                envelope.kind.isForSubscribers
            else { return malformed("from NATS: \(envelope.identity) is on no topic") }
            guard let envelopes = try? envelope.unbatched else {
                return malformed("on '\(topic)', from NATS: a batch that is none")
            }
            if envelope.kind.carriesContent, configuration.recorded.contains(envelope.source) {
                for envelope in envelopes {
                    history.record(envelope, .sent, transport: .nats)
                }
            }
            guard envelope.hops < Envelope.hopsMax else { return drop(Parcel(envelope), .hopLimit) }
            envelope.hops += 1
            let parcel = Parcel(envelope)
            if envelope.kind.carriesContent {
                tally(parcel.content, messages: parcel.messageCount)
            }
            keep(parcel, topic)
            try deliver([Array(topic.utf8), parcel.header, parcel.content])
        case .plain(_, let topic, let content):
            guard Names.isLegalTopic(topic) else { return malformed("from NATS: no topic") }
            tally(content)
            if configuration.isBeside { returning.insert([Array(topic.utf8), content]) }
            try deliver([Array(topic.utf8), content])
        case .incomplete(_, let envelope, let reason): dropIncomplete(envelope, reason)
        case .malformed(_, let reason): malformed("from NATS: \(reason)")
        case .done(let token, let isDone): complete(token, isDone)
        case .blind(let reason):
            guard !configuration.recorded.isEmpty else { return }
            history.annotate(.blind(reason: reason, by: configuration.name, at: clock.now))
        case .published: break
        case .oversize(let publication): handleOversize(publication)
        case .connected(let isConnected):
            log(isConnected ? "NATS: connected" : "NATS: not connected")
        case .command(let command):
            perform(command.name, command.arguments, for: .local(command))
        }
    }

    /// Sends to the subscribers, in the order of the calls.
    func deliver(_ frames: [[UInt8]]) throws(RoutingError) {
        if backlog.isEmpty, try sendOrStall(frames) { return }
        backlog.append(frames)
    }

    /// Sends what waits for room.
    func flushBacklog() throws(RoutingError) {
        while let frames = backlog.first, try sendOrStall(frames) { backlog.removeFirst() }
    }

    func ownEnvelope(_ kind: Envelope.Kind, type: String, about agent: String) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: "_topics.\(configuration.name)", destination: .agent(agent)),
                incarnation: incarnation, sequence: 0),
            kind: kind, type: type, sent: clock.now)
    }
}
