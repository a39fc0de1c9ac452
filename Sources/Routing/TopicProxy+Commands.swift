internal import Control
internal import DequeModule
internal import JSON
internal import Wire
internal import ZeroMQ

extension TopicProxy: Pending {
    private func answer(_ asker: Asker, _ result: Result<Value, CommandFailure>) {
        if !commands.answer(asker, result) { log("CONTROL: the orchestrator takes no answer") }
    }

    private func refuse(_ asker: Asker, _ reason: String) {
        answer(asker, .failure(CommandFailure(reason: reason)))
    }

    /// Does what a command says; the answer may come later, but does come.
    func perform(_ name: String, _ arguments: Value, for asker: Asker) {
        do throws(RoutingError) {
            switch name {
            case "status": answer(asker, .success(status))
            case "hold": try hold(arguments, for: asker)
            case "release": try release(arguments, for: asker)
            case "stop":
                isStopped = true
                answer(asker, .success([:]))
            default: refuse(asker, "unknown command '\(name.prefix(40))'")
            }
        } catch {
            refuse(asker, error.description)
        }
    }

    /// From now on keeps a copy of what the agent subscribes to, and tells it where what came before
    /// ends.
    private func hold(_ arguments: Value, for asker: Asker) throws(RoutingError) {
        guard let agent = arguments["agent"]?.string, Names.isLegal(agent) else {
            return refuse(asker, "'agent' is needed")
        }
        let topics = (arguments["topics"]?.array ?? []).compactMap(\.string)
        if let known = holds[agent]?.topics {
            // One that was not released; what the agent subscribed to since belongs to it as well.
            holds[agent]?.topics = known + topics.filter { !known.contains($0) }
        } else {
            var hold = TopicHold(topics: topics, queue: ParcelQueue(limits: Self.limits))
            // What NATS has not taken may come too late for the agent there.
            for publication in bridge?.waiting(under: topics) ?? []
            where !hold.queue.offer(publication.parcel) {
                drop(publication.parcel, .queueFull)
            }
            holds[agent] = hold
            log("HOLD: \(agent)")
        }
        let marker = ownEnvelope(.marker, type: "last", about: agent)
        // The number tells it from the marker of an earlier hold.
        let number = arguments["epoch"]?.integer.map { String($0) } ?? ""
        try deliver([Array("_marker.\(agent)".utf8), marker.header, Array(number.utf8)])
        guard let bridge else { return answer(asker, .success(["held": 0])) }
        guard bridge.isConnected else {
            return answer(asker, .success(["held": 0, "nats": false]))
        }
        // What NATS did take, the agent must be able to fetch there before it is told to drain.
        bridge.flush(
            token: pending.add { [self] isDone in
                answer(asker, .success(["held": 0, "nats": .bool(isDone)]))
            })
    }

    /// Gives the agent, in its new place, what was kept for it.
    private func release(_ arguments: Value, for asker: Asker) throws(RoutingError) {
        guard let agent = arguments["agent"]?.string,
            let transport = arguments["transport"]?.string.flatMap(Transport.init(rawValue:))
        else { return refuse(asker, "'agent' and 'transport' (zmq or nats) are needed") }
        guard let hold = holds[agent] else { return answer(asker, .success(["released": 0])) }
        guard !hold.isReleasing else { return refuse(asker, "a release is under way") }
        guard let bridge, bridge.isConnected else {
            guard transport == .zmq else {
                return refuse(asker, "NATS is not connected; what was kept stays here")
            }
            return giveBack(to: agent, for: asker)
        }
        holds[agent]?.isReleasing = true
        // What was published on NATS before the agent subscribed there has no other way to it than
        // this hold: all of it must be in before it is released.
        let token = pending.add { [self] isDone in
            guard isDone else { return keepOn(agent, transport, for: asker) }
            publishHold(of: agent, on: transport, bridge, for: asker)
        }
        bridge.catchUp(tag: Self.natsTag, token: token)
    }

    /// NATS did not do its part of a release in time.
    private func keepOn(_ agent: String, _ transport: Transport, for asker: Asker) {
        guard transport == .nats else { return giveBack(to: agent, for: asker) }
        // A second release repeats what may have arrived, which is harmless.
        holds[agent]?.isReleasing = false
        refuse(asker, "NATS has not confirmed; what was kept stays here")
    }

    /// The way back to ZeroMQ that does not depend on a server that may be gone: the agent's own
    /// topic, which nobody else hears.
    private func giveBack(to agent: String, for asker: Asker) {
        guard let hold = holds.removeValue(forKey: agent) else {
            return answer(asker, .success(["released": 0]))
        }
        do throws(RoutingError) {
            for parcel in hold.queue.parcels {
                try deliver([Array("_marker.\(agent)".utf8), parcel.header, parcel.content])
            }
            answer(asker, .success(["released": Value(hold.queue.parcels.count)]))
        } catch {
            refuse(asker, error.description)
        }
    }

    private func publishHold(
        of agent: String, on transport: Transport, _ bridge: NATSBridge, for asker: Asker
    ) {
        guard let hold = holds[agent] else { return answer(asker, .success(["released": 0])) }
        let count = Value(hold.queue.parcels.count)
        var unsent: Deque<Parcel> = []
        for parcel in hold.queue.parcels where !publishKept(parcel, for: agent, bridge) {
            unsent.append(parcel)
        }
        for parcel in unsent { drop(parcel, .hopLimit) }
        bridge.flush(
            token: pending.add { [self] isDone in
                if isDone {
                    holds[agent] = nil
                    return answer(asker, .success(["released": count]))
                }
                _ = bridge.takeBack(for: agent)
                keepOn(agent, transport, for: asker)
            })
    }

    private func publishKept(_ parcel: Parcel, for agent: String, _ bridge: NATSBridge) -> Bool {
        guard var envelope = parcel.envelope, envelope.hops < Envelope.hopsMax else { return false }
        envelope.hops += 1
        return bridge.publish(
            Publication(
                subject: Subject.kept(for: agent), envelope: envelope, plain: nil, parcel: parcel,
                agent: agent), isHeld: true)
    }

    private var status: Value {
        [
            "messages": Value(passage.messages), "bytes": Value(passage.bytes),
            "stalled": Value(stalled),
            "cuts": Value(cuts), "silent": .array(silences.silent.map { .string($0) }),
            "beating": .array(silences.beating.map { .string($0) }),
            "absent": .array(
                absent.absent.map { ["agent": .string($0.name), "lost": Value($0.lost)] }),
            "backlog": Value(backlog.count),
            "dead_letters": .object(
                Dictionary(deadLetters.counts.map { ($0.reason, Value($0.count)) }) { $1 }),
            "held": .object(holds.mapValues { Value($0.queue.parcels.count) }),
            "nats": bridge.map {
                [
                    "connected": .bool($0.isConnected), "queued": Value($0.queued),
                    "queued_bytes": Value($0.queuedBytes), "waits": Value(pressure.waits),
                    "holding": .bool(pressure.isHolding), "stalled": .bool(pressure.isStalled),
                ]
            } ?? nil,
            "history_failures": Value(history.failures),
        ]
    }

    /// Ends in order: what can still leave does, what cannot is accounted for.
    func shutDown() throws(RoutingError) {
        try zeroMQ { () throws(ZeroMQError) in
            try passage.subscribers.setLinger(.seconds(1))
        }
        let end = ContinuousClock.now + .milliseconds(500)
        handleInbox()
        while ContinuousClock.now < end {
            try flushBacklog()
            tendNATS()
            guard mayTake else {
                bridge?.pause()
                continue
            }
            if try !takeBatch() { break }
        }
        for publication in bridge?.stop(within: .milliseconds(500)) ?? [] {
            drop(publication.parcel, .natsUnavailable)
        }
        handleInbox()
        for frames in backlog where frames.count == 3 {
            drop(Parcel(header: frames[1], content: frames[2]), .undelivered)
        }
        for hold in holds.values {
            for parcel in hold.queue.parcels { drop(parcel, .undelivered) }
        }
        // What was sent a moment ago may still be on its way.
        nameLost(after: .seconds(1))
        deadLetters.nameTheRest(history: history)
        deadLetters.writeAll()
        log(
            "TOPICS: \(passage.messages) messages, \(passage.bytes) bytes, \(stalled) sent past a stalled subscriber"
        )
        try history.seal()
    }
}

extension TopicProxy {
    /// Says to the orchestrator, where there is one, that publishers and subscribers can connect.
    public func announce() throws(RoutingError) {
        try controlPlane { () throws(ControlError) in
            try commands.ready(endpoints: endpoints)
        }
    }
}
