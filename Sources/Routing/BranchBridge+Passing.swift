internal import JSON
internal import Recording
internal import Wire
internal import ZeroMQ

/// What comes at the seats goes to NATS, what NATS has goes to the ROUTER.
extension BranchBridge {
    /// Something that the ROUTER had for an agent whose name the bridge holds.
    func take(_ arrival: Seat.Arrival, for resident: Resident) {
        let frame: SeedFrame
        let raw: [UInt8]
        switch arrival {
        case .malformed(let what): return malformed(what)
        case .frame(let parsed, let bytes): (frame, raw) = (parsed, bytes)
        }
        let parcel: Parcel
        switch frame {
        case .message(let message): parcel = Parcel(Self.nameless(message, raw), seed: raw)
        case .envelope(let envelope):
            guard envelope.kind.isForAgents, envelope.kind != .batch, envelope.isEncodable else {
                return malformed("\(envelope.kind) for '\(resident.name)'")
            }
            if case .agent(let name) = envelope.destination, name != resident.name {
                return malformed("\(envelope.identity), which came for '\(resident.name)'")
            }
            parcel = Parcel(envelope)
        }
        count(parcel)
        if resident.held != nil { return keep(parcel, for: resident) }
        guard case .nats = resident.transport else { return drop(parcel, .unknownDestination) }
        if case .envelope(let envelope) = frame, envelope.hops > 0 {
            // Only the bridge sends what has passed a bridge, so the agent has it from NATS itself.
            return history.annotate(
                .note("\(envelope.identity): a copy of what NATS had", at: clock.now))
        }
        publish(parcel, to: resident)
    }

    /// A message without an identity, as the bounds and the accounts want it.
    private static func nameless(_ message: SeedMessage, _ bytes: [UInt8]) -> Envelope {
        let flow = Flow(
            source: Names.isLegal(message.from) ? message.from : "unnamed",
            destination: .agent(Names.isLegal(message.to) ? message.to : "unnamed"))
        return SeedStamper.envelope(
            message, bytes, flow, incarnation: 0, sequence: 0, now: 0)
    }

    private func count(_ parcel: Parcel) {
        messages += 1
        bytes += parcel.content.count
    }

    private func keep(_ parcel: Parcel, for resident: Resident) {
        if resident.held?.offer(parcel) == false { drop(parcel, .queueFull) }
    }

    func publish(_ parcel: Parcel, to resident: Resident, isHeld: Bool = false) {
        guard var envelope = parcel.envelope else { return }
        guard envelope.hops < Envelope.hopsMax else { return drop(parcel, .hopLimit) }
        envelope.hops += 1
        guard Names.isLegal(envelope.type) else { return drop(parcel, .malformed) }
        let publication = Publication(
            subject: "agent.\(resident.name).\(envelope.type)", envelope: envelope,
            plain: parcel.seed, parcel: parcel, agent: resident.name)
        guard bridge.publish(publication, isHeld: isHeld) else {
            return drop(parcel, bridge.isConnected ? .queueFull : .natsUnavailable)
        }
    }

    /// Sends to an agent on ZeroMQ, under the name of whoever sent it where that is the bridge's.
    func forward(_ parcel: Parcel, to resident: Resident) throws(RoutingError) {
        let source = parcel.envelope?.source ?? ""
        let seat =
            residents[source].map(\.seat).flatMap {
                $0.isOurs && $0.name != resident.name ? $0 : nil
            }
            ?? ownSeat
        if try !seat.offer(parcel, to: resident.name) { drop(parcel, .queueFull) }
    }

    /// Something from another thread.
    func handle(_ event: LoopEvent) throws(RoutingError) {
        switch event {
        case .envelope(let tag, let envelope): try receive(envelope, for: tag)
        case .plain(let tag, let subject, let content):
            guard let resident = residents[tag] else { return }
            guard let message = try? SeedMessage(parsing: content), message.to == tag else {
                return malformed("\(subject): no message for '\(tag)'")
            }
            try pass(Parcel(Self.nameless(message, content), seed: content), to: resident)
        case .incomplete(_, let envelope, let reason):
            log("\(envelope.identity): \(reason)")
            drop(Parcel(envelope), .incomplete)
        case .malformed(let tag, let reason): malformed("\(reason), for '\(tag)' from NATS")
        case .done(let token, let isDone): complete(token, isDone)
        case .published, .blind: break
        case .oversize(let publication): drop(publication.parcel, .oversize)
        case .connected(let isConnected):
            log(isConnected ? "NATS: connected" : "NATS: not connected")
        case .command(let command):
            try perform(command.name, command.arguments, for: .local(command))
        }
    }

    private func receive(_ envelope: Envelope, for tag: String) throws(RoutingError) {
        guard let resident = residents[tag] else { return }
        if case .agent(let name) = envelope.destination, name != tag {
            return malformed(
                "addressed to '\(name)' on the subject of '\(tag)'",
                from: String(envelope.source.prefix(80)))
        }
        guard envelope.kind.isForAgents else {
            return malformed(
                "\(envelope.kind) for '\(tag)' from NATS", from: String(envelope.source.prefix(80)))
        }
        if envelope.kind == .batch {
            // What goes through a ROUTER of the user's own has one envelope in each message.
            guard let envelopes = try? envelope.unbatched else {
                return malformed(
                    "a batch that is none, for '\(tag)' from NATS",
                    from: String(envelope.source.prefix(80)))
            }
            for envelope in envelopes { try receive(envelope, for: tag) }
            return
        }
        var envelope = envelope
        guard envelope.hops < Envelope.hopsMax else { return drop(Parcel(envelope), .hopLimit) }
        envelope.hops += 1
        try pass(Parcel(envelope), to: resident)
    }

    /// What came from NATS goes to the ROUTER, or waits for the end of a move.
    private func pass(_ parcel: Parcel, to resident: Resident) throws(RoutingError) {
        count(parcel)
        if resident.held != nil { return keep(parcel, for: resident) }
        switch resident.transport {
        case .zmq: try forward(parcel, to: resident)
        case .nats:
            // The agent is subscribed to the same subject, so this is its second copy.
            history.annotate(
                .note("a copy of what \(resident.name) has from NATS itself", at: clock.now))
        }
    }

    func listen(to resident: Resident, _ finish: @escaping (Bool) -> Void) {
        guard !resident.isListening else { return finish(true) }
        resident.isListening = true
        bridge.subscribe(
            tag: resident.name, to: [Subject.inbox(of: resident.name)],
            token: pending.add(finish))
    }

    /// Accounts for a message that nobody can be given, and that has no identity to be missed by.
    func malformed(_ what: String, from sender: String = "") {
        deadLetters.addUnreadable(what, from: sender, history: history)
    }

    /// Accounts for a parcel that goes no further.
    func drop(_ parcel: Parcel, _ reason: DeadLetterReason) {
        guard let view = HeaderView(parcel.header) else { return }
        deadLetters.add(view.identity(in: parcel.header), reason, history: history)
    }
}
