internal import DequeModule
internal import JSON
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
        if view.kind == .content { tally(frames[2]) }
        let parcel = Parcel(header: frames[1], content: frames[2])
        guard view.hops <= Envelope.hopsMax else { return drop(parcel, .hopLimit) }
        if view.kind == .content { record(parcel, view) }
        keep(parcel, topic)
        try deliver(frames)
        if isOwn(topic) { publish(parcel, on: topic) }
    }

    func tally(_ content: [UInt8]) {
        passage.messages += 1
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
        guard let view = HeaderView(parcel.header) else { return }
        deadLetters.add(view.identity(in: parcel.header), reason, history: history)
    }

    /// What an agent published that does not record for itself.
    func record(_ parcel: Parcel, _ view: HeaderView) {
        guard !configuration.recorded.isEmpty,
            configuration.recorded.contains(
                String(decoding: parcel.header[view.source], as: UTF8.self)),
            let envelope = parcel.envelope
        else { return }
        history.record(envelope, .sent, transport: .zmq)
    }

    func keep(_ parcel: Parcel, _ topic: String) {
        for (agent, hold) in holds
        where hold.topics.contains(where: { Names.topic(topic, isUnder: $0) }) {
            if holds[agent]?.queue.offer(parcel) == false { drop(parcel, .queueFull) }
        }
    }

    func publish(_ parcel: Parcel, on topic: String) {
        guard let bridge else { return }
        guard var envelope = parcel.envelope, envelope.hops < Envelope.hopsMax else {
            return drop(parcel, .hopLimit)
        }
        envelope.hops += 1
        let publication = Publication(
            subject: topic, envelope: envelope, plain: nil, parcel: parcel, agent: nil)
        guard bridge.publish(publication) else {
            return drop(parcel, bridge.isConnected ? .queueFull : .natsUnavailable)
        }
    }

    func publishPlain(_ content: [UInt8], on topic: String) {
        guard let bridge else { return }
        let envelope = Envelope(
            identity: Identity(
                flow: Flow(source: "(foreign)", destination: .topic(topic)), incarnation: 0,
                sequence: 0), type: "plain", sent: clock.now, content: content)
        let publication = Publication(
            subject: topic, envelope: envelope, plain: content, parcel: Parcel(envelope),
            agent: nil)
        if !bridge.publish(publication) { drop(publication.parcel, .natsUnavailable) }
    }

    /// Something from another thread.
    func handle(_ event: LoopEvent) throws(RoutingError) {
        switch event {
        case .envelope(_, var envelope):
            guard case .topic(let topic) = envelope.destination, Names.isLegalTopic(topic),
                envelope.kind.isForSubscribers
            else { return malformed("from NATS: \(envelope.identity) is on no topic") }
            if configuration.recorded.contains(envelope.source) {
                history.record(envelope, .sent, transport: .nats)
            }
            guard envelope.hops < Envelope.hopsMax else { return drop(Parcel(envelope), .hopLimit) }
            envelope.hops += 1
            let parcel = Parcel(envelope)
            if envelope.kind == .content { tally(parcel.content) }
            keep(parcel, topic)
            try deliver([Array(topic.utf8), parcel.header, parcel.content])
        case .plain(_, let topic, let content):
            guard Names.isLegalTopic(topic) else { return malformed("from NATS: no topic") }
            tally(content)
            if configuration.isBeside { returning.insert([Array(topic.utf8), content]) }
            try deliver([Array(topic.utf8), content])
        case .malformed(_, let reason): malformed("from NATS: \(reason)")
        case .done(let token, let isDone): complete(token, isDone)
        case .blind(let reason):
            guard !configuration.recorded.isEmpty else { return }
            history.annotate(.blind(reason: reason, by: configuration.name, at: clock.now))
        case .published: break
        case .oversize(let publication): drop(publication.parcel, .oversize)
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

    /// Whether the message has left; past a subscriber whose time is up, if need be.
    private func sendOrStall(_ frames: [[UInt8]]) throws(RoutingError) -> Bool {
        let result = try zeroMQ { () throws(ZeroMQError) in try passage.subscribers.send(frames) }
        let now = ContinuousClock.now
        if result == .sent {
            stall.hadRoom(timeout: configuration.stallTimeout, now: now)
            return true
        }
        guard stall.isOver(timeout: configuration.stallTimeout, now: now) else { return false }
        try zeroMQ { () throws(ZeroMQError) in
            try passage.subscribers.setXPubNoDrop(false)
            _ = try passage.subscribers.send(frames)
            try passage.subscribers.setXPubNoDrop(true)
        }
        stall.lost(now: now)
        stalled += 1
        // One line for the first, then for each thousand.
        if stalled % 1_000 == 1 {
            let topic = String(decoding: frames[0], as: UTF8.self)
            let what = "a subscriber of '\(topic)' has no room and loses (\(stalled) until now)"
            log("STALL: \(what)")
            history.annotate(.note("\(configuration.name): \(what)", at: clock.now))
        }
        return true
    }

    /// Subscriptions as they come and go, and the answers to those that only ask.
    func takeSubscriptions() throws(RoutingError) {
        while true {
            let frames = try zeroMQ { () throws(ZeroMQError) in try passage.subscribers.receive() }
            guard let frame = frames?.first else { return }
            guard frames?.count == 1, let action = frame.first, action <= 1 else {
                deadLetters.addMalformed("from a subscriber", history: history)
                continue
            }
            let topic = frame.dropFirst()
            guard topic.first == UInt8(ascii: "_") else {
                // A log is read line by line.
                let name = String(
                    decoding: topic.prefix(Names.topicLengthMax).map { $0 < 0x20 ? 0x3F : $0 },
                    as: UTF8.self)
                log("\(action == 1 ? "SUB" : "UNSUB"): \(name)")
                continue
            }
            // Being behind the subscriber's other subscriptions, it says that they are in force.
            guard action == 1, topic.starts(with: "_confirm.".utf8) else { continue }
            let hello = ownEnvelope(.hello, type: "confirm", about: "")
            try deliver([Array(topic), hello.header, []])
        }
    }

    func ownEnvelope(_ kind: Envelope.Kind, type: String, about agent: String) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: "_topics.\(configuration.name)", destination: .agent(agent)),
                incarnation: incarnation, sequence: 0),
            kind: kind, type: type, sent: clock.now)
    }
}
