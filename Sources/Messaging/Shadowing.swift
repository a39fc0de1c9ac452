internal import Recording
internal import Wire

/// The second lane of a dual run, which comes and goes while the client works.
///
/// In this order, all agents together at each step, so that every copy that is sent is heard:
/// `listenShadow`, `sendShadow`, `quietShadow`, `closeShadow`.
extension AgentClient {
    /// Connects, and hears from now on the shadow copies of what the agent receives.
    ///
    /// - Parameters:
    ///   - url: The NATS server.
    ///   - run: The run's id, part of the shadow subjects.
    /// - Throws: `MessagingError` where the server is not there.
    public func listenShadow(url: String, run: String) throws(MessagingError) {
        guard !(transport is DualTransport) else { return }
        let shadow = try NATSTransport(
            agent: name, url: url, shadowRun: run, sending: options.natsSending,
            isChunking: options.isNATSChunking)
        shadow.plant(options.defects, lane: .shadow)
        transport = DualTransport(
            primary: transport, shadow: shadow, topics: subscriptions.sorted())
    }

    /// Duplicates from now on everything that is sent.
    public func sendShadow() throws(MessagingError) {
        guard let dual = transport as? DualTransport else {
            throw MessagingError(.shadow, .noShadow)
        }
        dual.isDuplicating = true
    }

    /// Duplicates no more; what was duplicated is with the server when it returns.
    public func quietShadow() throws(MessagingError) {
        guard let dual = transport as? DualTransport else {
            throw MessagingError(.shadow, .noShadow)
        }
        releaseShadowWithheld()
        dual.isDuplicating = false
        try dual.shadow.beginOutboundDrain()
    }

    /// Receives what is left on the second lane, and ends it; without one it does nothing.
    public func closeShadow() throws(MessagingError) {
        guard let dual = transport as? DualTransport else { return }
        releaseShadowWithheld()
        dual.isDuplicating = false
        dual.beginShadowDrain()
        let end = clock.now + 2_000_000_000
        while true {
            try pump()
            if dual.isShadowDrained || clock.now >= end { break }
            try waitInbound(until: min(end, clock.now + 20_000_000), also: [])
        }
        transport = dual.primary
        dual.shadow.close()
    }

    /// Whether the client has a second lane.
    public var hasShadow: Bool { transport is DualTransport }

    /// Sends the envelope's shadow copy where one is wanted; whatever fails is told, not thrown.
    func duplicate(_ envelope: Envelope) {
        guard let dual = transport as? DualTransport, dual.isDuplicating else { return }
        if let reason = dual.shadow.refusal(of: envelope) {
            return noteShadowFailure(of: envelope, reason.description)
        }
        do throws(MessagingError) {
            try record(envelope, .sent, transport: dual.shadow.name, lane: .shadow)
        } catch {
            return noteShadowFailure(of: envelope, error.description)
        }
        for copy in shadowDefects.apply(envelope, at: clock.now) { sendShadowCopy(copy, dual) }
    }

    func releaseShadowWithheld() {
        guard let dual = transport as? DualTransport else { return }
        for copy in shadowDefects.takeWithheld() { sendShadowCopy(copy, dual) }
    }

    private func sendShadowCopy(_ envelope: Envelope, _ dual: DualTransport) {
        if let reason = dual.sendShadow(envelope) {
            noteShadowFailure(of: envelope, reason)
        } else {
            counts.shadowSent += 1
        }
    }

    private func noteShadowFailure(of envelope: Envelope, _ reason: String) {
        counts.shadowFailed += 1
        // Not `dropped`: the envelope itself is on its way.
        try? annotate(
            .note("shadow copy of \(envelope.identity) not sent: \(reason)", at: clock.now))
    }
}
