internal import DequeModule
internal import JSON
internal import Moves
internal import Recording
internal import Threads
internal import Wire

extension BranchProxy {
    /// Begins a move: from now on everything for the agent waits here, and the agent is told where
    /// what came before ends.
    ///
    /// Who speaks only the seed's wire cannot tell copies apart: what it has from NATS itself must
    /// not be held too.
    ///
    /// - Parameters:
    ///   - peer: The agent.
    ///   - number: Which hold this is; the marker says it, so that no earlier one is taken for it.
    ///   - asker: Who gets the answer.
    /// - Throws: `RoutingError` when a socket fails.
    func hold(_ peer: Peer, number: UInt64?, for asker: Asker) throws(RoutingError) {
        guard !peer.isReleasing else { return refuse(asker, "a release is under way") }
        // Whoever is restarted asks for nothing any more.
        abandonDecision(about: peer)
        guard peer.wire == .json, peer.transport == .nats, peer.held == nil else {
            return try beginHold(of: peer, number: number, for: asker)
        }
        catchUp(with: peer) { [self] _ in
            do throws(RoutingError) {
                try beginHold(of: peer, number: number, for: asker)
            } catch {
                log("ROUTING: \(error)")
            }
        }
    }

    private func beginHold(
        of peer: Peer, number: UInt64?, for asker: Asker
    ) throws(RoutingError) {
        if peer.held == nil {
            var held = ParcelQueue(limits: limits)
            // What NATS has not taken is better kept than left to a server that may be gone.
            for publication in bridge?.takeBack(for: peer.name) ?? [] {
                held.append(publication.parcel)
            }
            peer.held = held
            log("HOLD: \(peer.name)")
        }
        if peer.transport == .zmq, peer.wasAttached, peer.wire == .frames {
            peer.outlet.isFlushing = true
            peer.outlet.append(
                Parcel(
                    ownEnvelope(
                        .marker, type: "last", to: peer.name,
                        content: Array((number.map { String($0) } ?? "").utf8)), isOwn: true))
            try pump(peer)
        }
        guard let bridge, bridge.isConnected else {
            return answer(asker, .success(["held": 0, "nats": false]))
        }
        listen(to: peer) { [self] isDone in
            answer(asker, .success(["held": 0, "nats": .bool(isDone)]))
        }
    }

    /// Ends a move: the registry is told where the agent lives now, and what waited follows it.
    func release(
        _ peer: Peer, to transport: Transport, epoch: UInt64, for asker: Asker
    ) throws(RoutingError) {
        guard !peer.isReleasing else { return refuse(asker, "a release is under way") }
        abandonDecision(about: peer)
        guard epoch > peer.epoch || epoch == peer.epoch && transport == peer.transport else {
            return refuse(
                asker,
                "epoch \(epoch) is over: \(peer.name) is on \(peer.transport.rawValue) "
                    + "since epoch \(peer.epoch)")
        }
        switch transport {
        case .zmq: try releaseToZeroMQ(peer, epoch, for: asker)
        case .nats: releaseToNATS(peer, epoch, for: asker)
        }
    }

    func flip(_ peer: Peer, to transport: Transport, epoch: UInt64) {
        log("ROUTE: \(peer.name) on \(transport.rawValue), epoch \(epoch)")
        if peer.epoch != epoch { peer.handed = 0 }
        if transport == .nats {
            // It ends its connections here when it likes.
            peer.isBeating = false
            peer.beatLost = nil
            peer.beatDue = nil
            end(&peer.silentSince, of: peer.name)
        }
        peer.transport = transport
        peer.epoch = epoch
        peer.isReleasing = false
        register()
    }

    /// Keeps where the agents live, where it outlives this process.
    private func register() {
        guard let registry else { return }
        var routes: [String: Route] = [:]
        for peer in peers.values where peer.epoch > 0 {
            routes[peer.name] = Route(peer.transport, epoch: peer.epoch)
        }
        do throws(RoutingError) {
            try registry.write(routes)
        } catch {
            // The agents are told nonetheless; who is started next reads what was before, so a run that
            // needs it has not shown what it should.
            log("ROUTING: \(error)")
            history.annotate(
                .blind(
                    reason: "where its agents live could not be kept: \(error)",
                    by: configuration.name, at: clock.now))
        }
    }

    private func releaseToZeroMQ(
        _ peer: Peer, _ epoch: UInt64, for asker: Asker
    ) throws(RoutingError) {
        // Without NATS there is nothing to hear; the subscription holds once it is back.
        listen(to: peer) { _ in }
        let waiting = Array(peer.held?.parcels ?? [])
        // Before what was held: what the agent's last incarnation did not take.
        let left = peer.outlet.takeAll()
        // What came from the NATS queue while the registry still says so.
        let queued = bridge?.takeBack(for: peer.name).map(\.parcel) ?? []
        peer.held = nil
        peer.outlet.isFlushing = false
        flip(peer, to: .zmq, epoch: epoch)
        for parcel in left + queued + waiting {
            if limits.overflow == .dropOldest {
                try admit(parcel, to: peer, for: peer.routingID, from: nil)
            } else if !peer.outlet.offer(parcel) {
                drop(parcel, .queueFull, tell: &peer.outlet.gaps)
            }
        }
        try pump(peer)
        answer(asker, .success(["released": Value(waiting.count)]))
    }

    private func releaseToNATS(_ peer: Peer, _ epoch: UInt64, for asker: Asker) {
        guard let bridge, bridge.isConnected else {
            return refuse(asker, "NATS is not connected; '\(peer.name)' stays where it is")
        }
        if peer.held == nil { peer.held = ParcelQueue(limits: limits) }
        peer.isReleasing = true
        let proceed: (Bool) -> Void = { [self] isDone in
            guard isDone else { return keepHold(of: peer, for: asker) }
            // All that was pending has joined what is held.
            let left = peer.outlet.takeAll()
            let waiting = Array(peer.held?.parcels ?? [])
            peer.held = nil
            flip(peer, to: .nats, epoch: epoch)
            for parcel in left + waiting { publish(parcel, to: peer, isHeld: true) }
            publishGaps(of: peer)
            let token = pending.add { [self] isDone in
                if isDone {
                    answer(asker, .success(["released": Value(waiting.count)]))
                } else {
                    refuse(
                        asker,
                        "'\(peer.name)' is on NATS, which has not confirmed "
                            + "\(waiting.count) released messages")
                }
            }
            bridge.flush(token: token)
        }
        guard peer.isListening else { return proceed(true) }
        guard !isWatching(peer) else { return catchUp(with: peer, proceed) }
        peer.isListening = false
        bridge.drain(tag: peer.name, token: pending.add(proceed))
    }

    /// The bridge's subscription could not be ended in order: what was pending in it may come yet, or
    /// never, so what is held must not go past it.
    private func keepHold(of peer: Peer, for asker: Asker) {
        peer.isReleasing = false
        listen(to: peer) { _ in }
        refuse(
            asker,
            "NATS has not handed over all that waits for '\(peer.name)'; what was kept stays here")
    }

    /// Ends in order: what can still leave does, what cannot is accounted for.
    func shutDown() throws(RoutingError) {
        let end = ContinuousClock.now + .milliseconds(500)
        while try receiveBatch(), ContinuousClock.now < end {
            try retry()
            try tendFillings()
        }
        handleInbox()
        while ContinuousClock.now < end {
            try retry()
            let isBusy =
                !unsent.isEmpty || blocked.values.contains { $0.isReachable }
                || links.values.contains { !$0.outlet.isEmpty }
            guard isBusy else { break }
            inbox.wakeUp.wait(milliseconds: 2)
            handleInbox()
        }
        for publication in bridge?.stop(within: .milliseconds(500)) ?? [] {
            drop(publication.parcel, .natsUnavailable)
        }
        handleInbox()
        for peer in peers.values.sorted(by: { $0.name < $1.name }) {
            let reason = peer.wasAttached ? DeadLetterReason.undelivered : .neverAttached
            for parcel in peer.outlet.takeAll() + Array(peer.held?.parcels ?? []) {
                drop(parcel, reason)
            }
        }
        for link in links.values {
            for parcel in link.outlet.takeAll() { drop(parcel, .undelivered) }
        }
        deadLetters.nameTheRest(history: history)
        deadLetters.writeAll()
        writeReport()
        try history.seal()
    }
}
