internal import JSON
internal import Recording
internal import Wire

extension BranchProxy {
    /// Has the bridge subscribe to what is published for an agent.
    func listen(to peer: Peer, _ finish: @escaping (Bool) -> Void) {
        guard let bridge else { return finish(false) }
        guard !peer.isListening else { return finish(true) }
        peer.isListening = true
        whenAll(tags(of: peer), finish) { tag, token in
            let isTranslation = tag != peer.name
            bridge.subscribe(
                tag: tag,
                to: [
                    isTranslation
                        ? Subject.translations(for: peer.name) : Subject.inbox(of: peer.name)
                ], token: token)
        }
    }

    /// Whether the bridge stays subscribed although the agent is on NATS itself.
    func isWatching(_ peer: Peer) -> Bool { configuration.isTapping || peer.wire == .json }

    /// Done when all that the server had for an agent until now has been handled.
    func catchUp(with peer: Peer, _ finish: @escaping (Bool) -> Void) {
        guard let bridge, bridge.isConnected else { return finish(false) }
        whenAll(tags(of: peer), finish) { tag, token in bridge.catchUp(tag: tag, token: token) }
    }

    /// The subscriptions for an agent.
    private func tags(of peer: Peer) -> [String] {
        peer.wire == .json ? [peer.name, Self.translationPrefix + peer.name] : [peer.name]
    }

    /// Marks, before a name, the subscription to what its branch is to translate.
    static let translationPrefix = "_seed:"

    func whenAll(
        _ tags: [String], _ finish: @escaping (Bool) -> Void,
        _ begin: (_ tag: String, _ token: UInt64) -> Void
    ) {
        let wait = Countdown(tags.count)
        for tag in tags {
            let token = pending.add { isDone in
                if let isAllDone = wait.end(isDone) { finish(isAllDone) }
            }
            begin(tag, token)
        }
    }

    /// Hands a parcel to the bridge.
    func publish(_ parcel: Parcel, to peer: Peer, isHeld: Bool = false) {
        if parcel.isBatch, !peer.takesBatches {
            guard let parts = parcel.split else {
                return drop(parcel, .malformed, tell: &peer.outlet.gaps)
            }
            for part in parts { publish(part, to: peer, isHeld: isHeld) }
            return
        }
        guard let bridge else { return drop(parcel, .natsUnavailable) }
        guard let publication = publication(of: parcel, for: peer) else {
            return drop(parcel, .hopLimit)
        }
        publishGaps(of: peer)
        guard Self.isToken(publication.envelope.type) else {
            return drop(parcel, .malformed, tell: &peer.outlet.gaps)
        }
        guard bridge.publish(publication, isHeld: isHeld) else {
            let reason = bridge.isConnected ? DeadLetterReason.queueFull : .natsUnavailable
            return drop(parcel, reason, tell: &peer.outlet.gaps)
        }
    }

    /// Whether a type that came from outside can end a subject: a blank in it would be read as
    /// another part of the protocol's line.
    private static func isToken(_ type: String) -> Bool {
        !type.isEmpty
            && type.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: ".")
                    && byte != UInt8(ascii: "*") && byte != UInt8(ascii: ">")
            }
    }

    /// Nil when it has passed too many bridges.
    private func publication(of parcel: Parcel, for peer: Peer) -> Publication? {
        guard var envelope = parcel.envelope, envelope.hops < Envelope.hopsMax else { return nil }
        envelope.hops += 1
        return Publication(
            subject: "agent.\(peer.name).\(envelope.type)", envelope: envelope,
            plain: peer.wire == .json ? parcel.seedBytes : nil, parcel: parcel, agent: peer.name,
            isRecorded: !peer.keepsHistory && parcel.takesCredit)
    }

    /// Tells an agent on NATS what will never come.
    func publishGaps(of peer: Peer) {
        guard let bridge, bridge.isConnected else { return }
        let notices =
            peer.outlet.evicted.take(clock: clock) + peer.outlet.gaps.take(clock: clock)
        guard peer.wire == .frames else { return }
        for notice in notices {
            guard let publication = publication(of: notice, for: peer) else { continue }
            _ = bridge.publish(publication, isHeld: true)
        }
    }

    /// Something from another thread.
    func handle(_ event: LoopEvent) throws(RoutingError) {
        switch event {
        case .envelope(let tag, let envelope): try receive(envelope, for: tag)
        case .plain(let tag, let subject, let content):
            try receive(content, on: subject, for: tag)
        case .incomplete(let tag, let envelope, let reason):
            receiveIncomplete(envelope, reason, for: tag)
        case .malformed(let tag, let reason):
            deadLetters.addUnreadable(
                "\(reason), for '\(tag)' from NATS", from: "", history: history)
        case .done(let token, let isDone): complete(token, isDone)
        case .published(let publication): recordHanded(publication)
        case .blind(let reason):
            guard configuration.isTapping else { return }
            history.annotate(.blind(reason: reason, by: configuration.name, at: clock.now))
        case .oversize(let publication): reportOversize(publication)
        case .connected(let isConnected):
            log(isConnected ? "NATS: connected" : "NATS: not connected")
            guard isConnected else { return }
            for peer in peers.values where peer.transport == .nats { publishGaps(of: peer) }
        case .command(let command):
            try perform(command.name, command.arguments, for: .local(command))
        }
    }

    private func receive(_ envelope: Envelope, for tag: String) throws(RoutingError) {
        let isTranslation = tag.hasPrefix(Self.translationPrefix)
        let name = isTranslation ? String(tag.dropFirst(Self.translationPrefix.count)) : tag
        guard let peer = peers[Array(name.utf8)] else { return }
        if case .agent(let destination) = envelope.destination, destination != name {
            return deadLetters.addUnreadable(
                "addressed to '\(destination)' on the subject of '\(name)'",
                from: String(envelope.source.prefix(80)), history: history)
        }
        guard envelope.kind.isForAgents else {
            return deadLetters.addUnreadable(
                "\(envelope.kind) for '\(name)' from NATS",
                from: String(envelope.source.prefix(80)), history: history)
        }
        if envelope.kind == .batch {
            guard let envelopes = try? envelope.unbatched else {
                return deadLetters.addUnreadable(
                    "a batch that is none, for '\(name)' from NATS",
                    from: String(envelope.source.prefix(80)), history: history)
            }
            if isTranslation || !peer.takesBatches
                || configuration.recorded.contains(envelope.source)
            {
                for envelope in envelopes { try receive(envelope, for: tag) }
                return
            }
        }
        if envelope.kind == .content, configuration.recorded.contains(envelope.source) {
            history.record(envelope, .sent, transport: .nats)
        }
        guard isTranslation || peer.held != nil || peer.transport == .zmq else {
            return noteDirect(Parcel(envelope), to: peer)
        }
        guard envelope.hops < Envelope.hopsMax else { return drop(Parcel(envelope), .hopLimit) }
        var envelope = envelope
        envelope.hops += 1
        let parcel = Parcel(envelope)
        guard let view = HeaderView(parcel.header) else { return }
        try deliver(
            parcel, view, to: peer.routingID, origin: isTranslation ? .translation : .nats,
            source: passage.statistics.number(of: Array(envelope.source.utf8)))
    }

    /// An envelope whose content did not come whole.
    private func receiveIncomplete(_ envelope: Envelope, _ reason: String, for tag: String) {
        log("\(envelope.identity): \(reason)")
        let isTranslation = tag.hasPrefix(Self.translationPrefix)
        let name = isTranslation ? String(tag.dropFirst(Self.translationPrefix.count)) : tag
        guard let peer = peers[Array(name.utf8)] else { return }
        if isTranslation || peer.held != nil || peer.transport == .zmq {
            drop(Parcel(envelope), .incomplete, tell: &peer.outlet.gaps)
        } else {
            // The agent has it from NATS itself, and says for itself what it lacks.
            history.annotate(
                .blind(
                    reason: "\(envelope.identity) was not seen whole: \(reason)",
                    by: configuration.name, at: clock.now))
        }
    }

    /// A message of a program that knows nothing of envelopes.
    ///
    /// It is numbered here and nowhere else, wherever its receiver is: what was sent and what was
    /// delivered have the same name. A receiver that speaks the same wire, and is on NATS, has it
    /// already; any other gets the envelope that it became.
    private func receive(
        _ content: [UInt8], on subject: String, for tag: String
    ) throws(RoutingError) {
        guard let peer = peers[Array(tag.utf8)] else {
            return deadLetters.addUnreadable(
                "\(subject): no envelope", from: "", history: history)
        }
        let message: SeedMessage
        do throws(WireError) {
            message = try SeedMessage(parsing: content)
        } catch {
            return deadLetters.addUnreadable("\(subject): \(error)", from: "", history: history)
        }
        let flow = Flow(source: message.from, destination: .agent(tag))
        guard Names.isLegal(message.from), message.to == tag,
            peer.foreignSequences[flow] != nil
                || peer.foreignSequences.count < SeedStamper.flowsMax
        else {
            return deadLetters.addUnreadable(
                "\(subject): a seed message from '\(message.from.prefix(80))' to "
                    + "'\(message.to.prefix(80))'", from: String(message.from.prefix(80)),
                history: history)
        }
        peer.foreignSequences[flow, default: 0] += 1
        let envelope = SeedStamper.envelope(
            message, content, flow, incarnation: foreignIncarnation,
            sequence: peer.foreignSequences[flow] ?? 1, now: clock.now)
        history.record(envelope, .sent, transport: .nats)
        let parcel = Parcel(envelope, seed: content)
        guard let view = HeaderView(parcel.header) else { return }
        try deliver(
            parcel, view, to: peer.routingID, origin: peer.wire == .json ? .nats : .translation,
            source: passage.statistics.number(of: Array(message.from.utf8)))
    }

    /// The incarnation of a flow whose sender carries none and came over NATS.
    ///
    /// Not the one that its messages get on ZeroMQ, nor one that an agent can have: each of them
    /// counts for itself.
    private var foreignIncarnation: UInt32 { 0x4000_0000 | (incarnation & 0x3FFF_FFFF) }

    /// What an agent on NATS has from NATS itself, where this proxy only watches.
    func noteDirect(_ parcel: Parcel, to peer: Peer) {
        guard parcel.takesCredit, let envelope = parcel.envelope else { return }
        if peer.wire == .json, parcel.seed == nil {
            drop(parcel, .wrongWire)
        } else if !peer.keepsHistory {
            peer.handed += 1
            history.record(envelope, .delivered, transport: .nats)
        } else if !configuration.isTapping, !peer.isLeaving {
            let what = "a copy of what \(peer.name) has from NATS itself"
            history.annotate(.note("\(envelope.identity): \(what)", at: clock.now))
        }
    }

    /// A message for an agent that keeps no history is with the NATS library.
    private func recordHanded(_ publication: Publication) {
        history.record(publication.envelope, .delivered, transport: .nats)
        if let agent = publication.agent { peers[Array(agent.utf8)]?.handed += 1 }
    }

    private func reportOversize(_ publication: Publication) {
        guard let agent = publication.agent, let peer = peers[Array(agent.utf8)] else { return }
        if publication.parcel.isBatch, let parts = publication.parcel.split {
            // Together they are too much for the server; one by one they may not be.
            for part in parts {
                guard peer.transport == .zmq, peer.held == nil else {
                    publish(part, to: peer, isHeld: true)
                    continue
                }
                // It has gone back meanwhile, and hears NATS no more.
                if !peer.outlet.offer(part) { drop(part, .queueFull, tell: &peer.outlet.gaps) }
            }
            do throws(RoutingError) {
                if peer.transport == .zmq { try pump(peer) }
            } catch {
                log("ROUTING: \(error)")
            }
            return
        }
        drop(publication.parcel, .oversize, tell: &peer.outlet.gaps)
        publishGaps(of: peer)
    }
}

/// Several things that are waited for together.
final class Countdown {
    private var remaining: Int
    private var isAllDone = true

    init(_ count: Int) { remaining = count }

    /// One of them has ended; whether all are done, once the last has.
    func end(_ isDone: Bool) -> Bool? {
        remaining -= 1
        isAllDone = isAllDone && isDone
        return remaining == 0 ? isAllDone : nil
    }
}
