internal import JSON
internal import Recording
internal import Wire

extension BranchProxy {
    /// Has the bridge subscribe to what is published for an agent.
    func listen(to peer: Peer, _ finish: @escaping (Bool) -> Void) {
        guard let bridge else { return finish(false) }
        guard !peer.isListening else { return finish(true) }
        peer.isListening = true
        bridge.subscribe(
            tag: peer.name, to: [Subject.inbox(of: peer.name)], token: pending.add(finish))
    }

    /// Hands a parcel to the bridge.
    func publish(_ parcel: Parcel, to peer: Peer, isHeld: Bool = false) {
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
            plain: peer.wire == .json ? parcel.seedBytes : nil, parcel: parcel, agent: peer.name)
    }

    /// Tells an agent on NATS what will never come.
    func publishGaps(of peer: Peer) {
        guard let bridge, !peer.outlet.gaps.isEmpty, bridge.isConnected else { return }
        let notices = peer.outlet.gaps.take(clock: clock)
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
        case .malformed(let tag, let reason):
            deadLetters.addUnreadable(
                "\(reason), for '\(tag)' from NATS", from: "", history: history)
        case .done(let token, let isDone): complete(token, isDone)
        case .published(let publication):
            history.record(publication.envelope, .delivered, transport: .nats)
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
        guard let peer = peers[Array(tag.utf8)] else { return }
        if case .agent(let name) = envelope.destination, name != tag {
            return deadLetters.addUnreadable(
                "addressed to '\(name)' on the subject of '\(tag)'",
                from: String(envelope.source.prefix(80)), history: history)
        }
        guard envelope.kind.isForAgents else {
            return deadLetters.addUnreadable(
                "\(envelope.kind) for '\(tag)' from NATS",
                from: String(envelope.source.prefix(80)), history: history)
        }
        guard envelope.hops < Envelope.hopsMax else { return drop(Parcel(envelope), .hopLimit) }
        var envelope = envelope
        envelope.hops += 1
        let parcel = Parcel(envelope)
        guard let view = HeaderView(parcel.header) else { return }
        try deliver(
            parcel, view, to: peer.routingID, origin: .nats,
            source: statistics.number(of: Array(envelope.source.utf8)))
    }

    /// A message of a program that knows nothing of envelopes.
    private func receive(
        _ content: [UInt8], on subject: String, for tag: String
    ) throws(RoutingError) {
        guard let peer = peers[Array(tag.utf8)] else { return }
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
            message, flow, incarnation: foreignIncarnation(for: peer),
            sequence: peer.foreignSequences[flow] ?? 1, now: clock.now)
        history.record(envelope, .sent, transport: .nats)
        let parcel = Parcel(envelope, seed: content)
        guard let view = HeaderView(parcel.header) else { return }
        try deliver(
            parcel, view, to: peer.routingID, origin: .nats,
            source: statistics.number(of: Array(message.from.utf8)))
    }

    /// The incarnation of a flow whose sender carries none and came over NATS.
    ///
    /// Not the one that its messages get on ZeroMQ, nor one that an agent can have, nor that of an
    /// earlier stay of the receiver: each of them counts for itself.
    private func foreignIncarnation(for peer: Peer) -> UInt32 {
        0x4000_0000 | (incarnation & 0x3FF) << 20 | UInt32(truncatingIfNeeded: peer.epoch & 0xFFFFF)
    }

    private func reportOversize(_ publication: Publication) {
        guard let agent = publication.agent, let peer = peers[Array(agent.utf8)] else { return }
        drop(publication.parcel, .oversize, tell: &peer.outlet.gaps)
        publishGaps(of: peer)
    }
}
