internal import JSON
internal import Recording
internal import Wire
internal import ZeroMQ

/// What happens to what comes for a destination whose queue is at its bound.
public enum QueueOverflow: String, Sendable, Hashable, CaseIterable {
    /// Whoever sends waits, for so long as the destination takes something now and then.
    case pause
    /// What has waited longest is dropped.
    case dropOldest = "drop_oldest"
    /// What came last is dropped.
    case dropNewest = "drop_newest"
}

/// Where parcels wait: an agent, or another branch.
protocol Way: AnyObject {
    var name: String { get }
    var outlet: Outlet { get set }
    /// Whether it could take something now, as far as is known.
    var isThere: Bool { get }
}

/// A destination whose queue fills, where senders are to wait for it.
struct Filling {
    let way: any Way
    /// Since when it has taken nothing.
    var since: ContinuousClock.Instant
    /// How much it had taken then.
    var taken: Int
    /// Whether nothing is read for its sake.
    var isHolding = false
}

/// Somebody was asked to send no more to an agent for now.
struct PauseRequest {
    let sender: Peer
    let agent: [UInt8]
}

/// Full queues.
///
/// With `pause`, senders that understand it are asked to hold back what is for one destination once
/// half of its queue is used, and told when three quarters are free again: nobody else notices. What
/// comes all the same (from others, or underway) fills the other half. Then the proxy can only stop
/// to read, since libzmq cannot stop one peer alone: everybody waits. Meanwhile the full
/// destination is sent to past its credit, as the credit is among what is not read. Two proxies, or
/// a receiver that waits to send, can wait for each other so; the stall timeout ends that. Nobody
/// waits so for a destination that is not there: its hello would be among what is not read.
extension BranchProxy {
    /// Whether the proxy takes messages.
    var isReading: Bool { !fillings.values.contains(where: \.isHolding) }

    /// Has a parcel wait for its destination, or does with a full queue as its branch says.
    func admit(
        _ parcel: Parcel, to way: any Way, for destination: [UInt8], from sender: Peer?
    ) throws(RoutingError) {
        way.outlet.appendGaps(clock: clock)
        switch limits.overflow {
        case .dropNewest:
            if !way.outlet.offer(parcel) { drop(parcel, .queueFull, tell: &way.outlet.gaps) }
        case .dropOldest:
            for oldest in way.outlet.force(parcel) {
                drop(oldest, .queueFull, tell: &way.outlet.evicted)
            }
        case .pause: try admitOrPause(parcel, way, destination, sender)
        }
    }

    private func admitOrPause(
        _ parcel: Parcel, _ way: any Way, _ destination: [UInt8], _ sender: Peer?
    ) throws(RoutingError) {
        // Past twice the bound is only what other threads had handed over before the pause.
        let isPastAll = way.outlet.queue.isFilled(to: way.isThere ? 2 : 1, of: 1)
        if way.outlet.isStalled || isPastAll {
            guard !way.outlet.offer(parcel) else { return }
            let reason = way.outlet.isStalled ? DeadLetterReason.stalled : .queueFull
            return drop(parcel, reason, tell: &way.outlet.gaps)
        }
        way.outlet.append(parcel)
        guard way.outlet.queue.isFilled(to: 1, of: 2) else { return }
        let id = ObjectIdentifier(way)
        var filling =
            fillings[id] ?? Filling(way: way, since: .now, taken: way.outlet.taken)
        if let sender { try ask(sender, toHoldBackFor: destination, way) }
        if way.isThere, !filling.isHolding, way.outlet.queue.isFilled(to: 1, of: 1) {
            filling.isHolding = true
            way.outlet.isOverdrawn = true
            waits += 1
        }
        fillings[id] = filling
    }

    /// Keeps a parcel for an agent that moves: there is nobody to wait for, so nobody waits.
    func keep(_ parcel: Parcel, for peer: Peer) {
        guard limits.overflow == .dropOldest else {
            if peer.held?.offer(parcel) == false {
                drop(parcel, .queueFull, tell: &peer.outlet.gaps)
            }
            return
        }
        for oldest in peer.held?.makeRoom(for: parcel) ?? [] {
            drop(oldest, .queueFull, tell: &peer.outlet.evicted)
        }
        peer.held?.append(parcel)
    }

    private func ask(
        _ sender: Peer, toHoldBackFor agent: [UInt8], _ way: any Way
    ) throws(RoutingError) {
        guard sender.heedsPauses,
            !way.outlet.asked.contains(where: { $0.sender === sender && $0.agent == agent })
        else { return }
        way.outlet.asked.append(PauseRequest(sender: sender, agent: agent))
        sender.wasAskedToPause = true
        try say(credit("pause", for: agent, to: sender))
    }

    private func tellToGoOn(_ way: any Way) throws(RoutingError) {
        let asked = way.outlet.asked
        way.outlet.asked = []
        for request in asked { try say(credit("resume", for: request.agent, to: request.sender)) }
    }

    private func credit(_ type: String, for agent: [UInt8], to sender: Peer) -> [[UInt8]] {
        [sender.routingID]
            + own(
                .credit, type: type, to: sender.routingID,
                content: ["agent": .string(String(decoding: agent, as: UTF8.self))])
    }

    /// Another incarnation knows nothing of what the last one was asked.
    func forgetPauses(of sender: Peer) {
        for filling in fillings.values {
            filling.way.outlet.asked.removeAll { $0.sender === sender }
        }
    }

    /// Lets everybody go on where there is room again, or where somebody takes nothing.
    func tendFillings() throws(RoutingError) {
        for (id, filling) in fillings {
            let way = filling.way
            if filling.isHolding {
                if let peer = way as? Peer { try pump(peer) }
                if let link = way as? Link { try pump(link) }
                if !way.isThere || !way.outlet.queue.isFilled(to: 3, of: 4) { stopHolding(id) }
            }
            if !way.outlet.queue.isFilled(to: 1, of: 4) {
                fillings[id] = nil
                try tellToGoOn(way)
                guard way.outlet.isStalled else { continue }
                way.outlet.isStalled = false
                tellOf("unstalled", way.name, "takes what comes for it again")
            } else if way.outlet.taken != filling.taken {
                fillings[id]?.taken = way.outlet.taken
                fillings[id]?.since = .now
            } else if !way.outlet.isStalled,
                ContinuousClock.now - filling.since >= configuration.stallTimeout
            {
                stopHolding(id)
                way.outlet.isStalled = true
                try tellToGoOn(way)
                tellOf("stalled", way.name, "takes nothing; past its queue's bound all is dropped")
            }
        }
    }

    private func stopHolding(_ id: ObjectIdentifier) {
        fillings[id]?.isHolding = false
        fillings[id]?.way.outlet.isOverdrawn = false
    }

    /// Says of a peer what nobody asked for: to the log, the history and the orchestrator.
    func tellOf(_ event: String, _ peer: String, _ what: String) {
        log("\(event.uppercased()): \(peer) \(what)")
        history.annotate(.note("\(configuration.name): \(peer) \(what)", at: clock.now))
        commands.event(event, ["peer": .string(peer), "what": .string(what)])
    }
}
