internal import Control
internal import DequeModule
internal import JSON
internal import Threads
internal import Wire
internal import ZeroMQ

/// A move of an agent, step by step, as the orchestrator wants them.
extension BranchBridge: Pending {
    func answer(_ asker: Asker, _ result: Result<Value, CommandFailure>) {
        if !commands.answer(asker, result) { log("CONTROL: the orchestrator takes no answer") }
    }

    func refuse(_ asker: Asker, _ reason: String) {
        answer(asker, .failure(CommandFailure(reason: reason)))
    }

    /// Does what a command says; the answer may come later, but does come.
    func perform(_ name: String, _ arguments: Value, for asker: Asker) throws(RoutingError) {
        switch name {
        case "status": return answer(asker, .success(status))
        case "stop":
            isStopped = true
            return answer(asker, .success([:]))
        case "hold", "join", "leave", "release", "route": break
        default: return refuse(asker, "unknown command '\(name.prefix(40))'")
        }
        guard let resident = arguments["agent"]?.string.flatMap({ residents[$0] }) else {
            return refuse(
                asker,
                "'\(arguments["agent"]?.string ?? "")' is no agent of branch "
                    + "'\(configuration.branch)'")
        }
        switch name {
        case "hold": try hold(resident, for: asker)
        case "join": try join(resident, for: asker)
        case "leave": try leave(resident, for: asker)
        default:
            guard let transport = arguments["transport"]?.string.flatMap(Transport.init(rawValue:)),
                let epoch = arguments["epoch"]?.integer.flatMap(UInt64.init(exactly:))
            else { return refuse(asker, "'transport' (zmq or nats) and 'epoch' are needed") }
            try release(resident, to: transport, epoch, for: asker)
        }
    }

    /// From now on everything for the agent that passes the bridge waits here.
    ///
    /// The answer comes when the ROUTER has handled, or NATS has, all that was passed on before.
    private func hold(_ resident: Resident, for asker: Asker) throws(RoutingError) {
        guard !resident.isReleasing else { return refuse(asker, "a release is under way") }
        if resident.held == nil {
            var held = ParcelQueue(limits: limits)
            // What NATS has not taken is better kept than left to a server that may be gone.
            for publication in bridge.takeBack(for: resident.name) {
                held.append(publication.parcel)
            }
            resident.held = held
            log("HOLD: \(resident.name)")
        }
        var isOnNATS = bridge.isConnected
        let parts = Parts { [self] isWhole in
            guard isWhole else {
                return refuse(asker, "what was passed on before is not known to have arrived")
            }
            answer(asker, .success(["held": 0, "nats": .bool(isOnNATS)]))
        }
        try fence(parts)
        // A server that is away does not keep an agent from leaving it.
        if isOnNATS {
            parts.add()
            listen(to: resident) { isDone in
                isOnNATS = isOnNATS && isDone
                parts.finish(true)
            }
            parts.add()
            bridge.flush(
                token: pending.add { isDone in
                    isOnNATS = isOnNATS && isDone
                    parts.finish(true)
                })
        }
        parts.finish(true)
    }

    /// Adds that the ROUTER has handled everything that the bridge sent.
    private func fence(_ parts: Parts) throws(RoutingError) {
        for seat in seats where seat.isOurs {
            parts.add()
            try seat.fence { parts.finish($0) }
        }
    }

    /// Several things that one answer waits for.
    private final class Parts {
        private var left = 1
        private var isWhole = true
        private let done: (Bool) -> Void

        init(_ done: @escaping (Bool) -> Void) { self.done = done }

        func add() { left += 1 }

        func finish(_ isDone: Bool) {
            left -= 1
            isWhole = isWhole && isDone
            if left == 0 { done(isWhole) }
        }
    }

    /// Takes the agent's name at the ROUTER, which must have seen the agent go.
    private func join(_ resident: Resident, for asker: Asker) throws(RoutingError) {
        if resident.held == nil { resident.held = ParcelQueue(limits: limits) }
        try resident.seat.join(within: .seconds(4)) { [self] isOurs in
            guard isOurs else {
                return refuse(
                    asker,
                    "the ROUTER does not give back what '\(resident.name)' says to itself: "
                        + "somebody else has the name, or the proxy does not answer")
            }
            log("JOIN: \(resident.name)")
            answer(asker, .success(["joined": true]))
        }
    }

    /// Gives the agent's name back, once all that the ROUTER had for it has come.
    private func leave(_ resident: Resident, for asker: Asker) throws(RoutingError) {
        if resident.held == nil { resident.held = ParcelQueue(limits: limits) }
        guard resident.seat.isOurs else {
            give(back: resident)
            return answer(asker, .success(["whole": true]))
        }
        try resident.seat.mark { [self] isDone in
            // Whole or not: without the name the agent could not come back at all.
            give(back: resident)
            answer(asker, .success(["whole": .bool(isDone)]))
        }
    }

    private func give(back resident: Resident) {
        for parcel in resident.seat.leave() { drop(parcel, .undelivered) }
        log("LEAVE: \(resident.name)")
    }

    private func release(
        _ resident: Resident, to transport: Transport, _ epoch: UInt64, for asker: Asker
    ) throws(RoutingError) {
        guard !resident.isReleasing else { return refuse(asker, "a release is under way") }
        guard epoch > resident.epoch || epoch == resident.epoch && transport == resident.transport
        else {
            return refuse(
                asker,
                "epoch \(epoch) is over: \(resident.name) is on \(resident.transport.rawValue) "
                    + "since epoch \(resident.epoch)")
        }
        guard resident.seat.isOurs == (transport == .nats) else {
            return refuse(
                asker,
                transport == .nats
                    ? "the bridge does not have the name '\(resident.name)' yet"
                    : "the bridge still has the name '\(resident.name)'")
        }
        switch transport {
        case .zmq: try releaseToZeroMQ(resident, epoch, for: asker)
        case .nats: releaseToNATS(resident, epoch, for: asker)
        }
    }

    private func flip(_ resident: Resident, to transport: Transport, _ epoch: UInt64) {
        log("ROUTE: \(resident.name) on \(transport.rawValue), epoch \(epoch)")
        resident.transport = transport
        resident.epoch = epoch
        resident.isReleasing = false
    }

    private func releaseToZeroMQ(
        _ resident: Resident, _ epoch: UInt64, for asker: Asker
    ) throws(RoutingError) {
        listen(to: resident) { _ in }
        let waiting =
            bridge.takeBack(for: resident.name).map(\.parcel)
            + Array(resident.held?.parcels ?? [])
        resident.held = nil
        flip(resident, to: .zmq, epoch)
        for parcel in waiting { try forward(parcel, to: resident) }
        // Those who were paused send again after the answer: what was kept comes first.
        let parts = Parts { [self] isWhole in
            guard isWhole else {
                return refuse(
                    asker, "the ROUTER has not handled \(waiting.count) released messages")
            }
            answer(asker, .success(["released": Value(waiting.count)]))
        }
        try fence(parts)
        parts.finish(true)
    }

    private func releaseToNATS(_ resident: Resident, _ epoch: UInt64, for asker: Asker) {
        guard bridge.isConnected else {
            return refuse(asker, "NATS is not connected; '\(resident.name)' stays where it is")
        }
        resident.isReleasing = true
        let proceed: (Bool) -> Void = { [self] isDone in
            guard isDone else {
                // What was pending may come yet, or never: what is held must not go past it.
                resident.isReleasing = false
                listen(to: resident) { _ in }
                return refuse(
                    asker,
                    "NATS has not handed over all that waits for '\(resident.name)'; what was kept "
                        + "stays here")
            }
            // All that was pending has joined what is held.
            let waiting = Array(resident.held?.parcels ?? [])
            resident.held = nil
            flip(resident, to: .nats, epoch)
            for parcel in waiting { publish(parcel, to: resident, isHeld: true) }
            let token = pending.add { [self] isDone in
                if isDone {
                    answer(asker, .success(["released": Value(waiting.count)]))
                } else {
                    refuse(
                        asker,
                        "'\(resident.name)' is on NATS, which has not confirmed "
                            + "\(waiting.count) released messages")
                }
            }
            bridge.flush(token: token)
        }
        guard resident.isListening else { return proceed(true) }
        resident.isListening = false
        bridge.drain(tag: resident.name, token: pending.add(proceed))
    }

    private var status: Value {
        let agents = residents.values.map { resident -> (String, Value) in
            (
                resident.name,
                [
                    "transport": .string(resident.transport.rawValue),
                    "epoch": Value(resident.epoch), "joined": .bool(resident.seat.isOurs),
                    "queued": Value(resident.seat.queued),
                    "held": resident.held.map { Value($0.parcels.count) } ?? nil,
                ]
            )
        }
        return [
            "messages": Value(messages), "bytes": Value(bytes),
            "dead_letters": .object(
                Dictionary(deadLetters.counts.map { ($0.reason, Value($0.count)) }) { $1 }),
            "agents": .object(Dictionary(agents) { _, last in last }),
            "nats": ["connected": .bool(bridge.isConnected), "queued": Value(bridge.queued)],
            "history_failures": Value(history.failures),
        ]
    }

    /// Ends in order: what can still leave does, what cannot is accounted for.
    func shutDown() throws(RoutingError) {
        let end = ContinuousClock.now + .milliseconds(500)
        repeat {
            handleInbox()
            try takeTurn()
            guard seats.contains(where: { $0.queued > 0 }) else { break }
            inbox.wakeUp.wait(milliseconds: 2)
        } while ContinuousClock.now < end
        for publication in bridge.stop(within: .milliseconds(500)) {
            drop(publication.parcel, .natsUnavailable)
        }
        handleInbox()
        for seat in seats {
            for parcel in seat.leave() { drop(parcel, .undelivered) }
        }
        for resident in residents.values.sorted(by: { $0.name < $1.name }) {
            for parcel in resident.held?.parcels ?? [] { drop(parcel, .undelivered) }
        }
        deadLetters.nameTheRest(history: history)
        deadLetters.writeAll()
        log("BRIDGE: \(messages) messages, \(bytes) bytes")
        try history.seal()
    }
}
