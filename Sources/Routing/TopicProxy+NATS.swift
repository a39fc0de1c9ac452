internal import Recording
internal import Wire

/// Whether publishers wait for NATS.
///
/// They wait while more waits than may, for so long as some of it leaves: a server that takes nothing
/// for the stall timeout, or is not there, holds up nobody.
struct NATSPressure {
    enum Change {
        case none, stalled, unstalled
    }

    /// Whether nothing is taken from publishers.
    private(set) var isHolding = false
    /// Whether NATS took nothing for so long that nobody waits for it any more.
    private(set) var isStalled = false
    /// Whether it was there when it was looked at last.
    private(set) var isConnected = true
    /// How often publishers had to wait.
    private(set) var waits = 0
    private var taken = 0
    private var since = ContinuousClock.now

    /// Whether what comes is kept, bound or not, since no more comes than what is on its way.
    var isPatient: Bool { isConnected && !isStalled }

    /// Looks at what waits.
    mutating func look(
        _ load: NATSBridge.Load, timeout: Duration, now: ContinuousClock.Instant
    ) -> Change {
        isConnected = load.isConnected
        guard isConnected else {
            isHolding = false
            return .none
        }
        if load.taken != taken { (taken, since) = (load.taken, now) }
        if isStalled {
            guard load.hasRoom else { return .none }
            isStalled = false
            return .unstalled
        }
        guard isHolding else {
            guard load.isFull else { return .none }
            (isHolding, since) = (true, now)
            waits += 1
            return .none
        }
        if load.hasRoom { isHolding = false }
        guard isHolding, now - since >= timeout else { return .none }
        (isHolding, isStalled) = (false, true)
        return .stalled
    }
}

/// The way of topics to NATS.
extension TopicProxy {
    func publish(_ parcel: Parcel, on topic: String) {
        guard bridge != nil else { return }
        guard var envelope = parcel.envelope, envelope.hops < Envelope.hopsMax else {
            return drop(parcel, .hopLimit)
        }
        envelope.hops += 1
        hand(
            Publication(
                subject: topic, envelope: envelope, plain: nil, parcel: parcel, agent: nil))
    }

    func publishPlain(_ content: [UInt8], on topic: String) {
        guard bridge != nil else { return }
        let envelope = Envelope(
            identity: Identity(
                flow: Flow(source: "(foreign)", destination: .topic(topic)), incarnation: 0,
                sequence: 0), type: "plain", sent: clock.now, content: content)
        hand(
            Publication(
                subject: topic, envelope: envelope, plain: content, parcel: Parcel(envelope),
                agent: nil))
    }

    /// Has a publication wait for NATS, or does with a full queue as the configuration says.
    private func hand(_ publication: Publication) {
        guard let bridge else { return }
        var dropped: [Publication] = []
        switch configuration.overflow {
        case .pause:
            if !bridge.publish(publication, isHeld: pressure.isPatient) { dropped = [publication] }
            tendNATS()
        case .dropOldest: dropped = bridge.force(publication)
        case .dropNewest: if !bridge.publish(publication) { dropped = [publication] }
        }
        guard !dropped.isEmpty else { return }
        let reason: DeadLetterReason =
            !bridge.isConnected ? .natsUnavailable : pressure.isStalled ? .stalled : .queueFull
        for publication in dropped { drop(publication.parcel, reason) }
    }

    /// Has publishers wait for NATS, or lets them go on.
    func tendNATS() {
        guard let bridge, configuration.overflow == .pause else { return }
        switch pressure.look(bridge.load, timeout: configuration.stallTimeout, now: .now) {
        case .none: break
        case .stalled:
            tellOf("stalled", "NATS", "takes nothing; past its queue's bound all is dropped")
        case .unstalled: tellOf("unstalled", "NATS", "takes what comes for it again")
        }
    }

    /// What no server takes at once goes in parts, where it has any.
    func handleOversize(_ publication: Publication) {
        guard publication.parcel.isBatch, let parts = publication.parcel.split else {
            return drop(publication.parcel, .oversize)
        }
        for part in parts { publish(part, on: publication.subject) }
    }
}
