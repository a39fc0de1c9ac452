internal import Recording
internal import Wire

extension AgentClient {
    /// An envelope's content did not come: it is dropped by name, and nobody waits for it.
    func noteIncomplete(_ envelope: Envelope, _ reason: String) throws(MessagingError) {
        let identity = envelope.identity
        if case .topic(let topic) = envelope.destination,
            !isSubscribed(topic, at: envelope.sent)
        {
            counts.filtered += 1
            return
        }
        let next = receiver.next(in: identity.flow, incarnation: identity.incarnation)
        guard identity.sequence >= next else {
            // It was there before: nothing is lost but a repeat.
            return try annotate(
                .note("a repeat of \(identity) was not whole: \(reason)", at: clock.now))
        }
        counts.dropped += 1
        try annotate(.dropped(identity, reason: reason, by: name, at: clock.now))
        try apply(
            receiver.accept(
                gapIn: identity.flow, incarnation: identity.incarnation, from: identity.sequence,
                through: identity.sequence, reason: reason,
                isKept: envelope.delivery == .atLeastOnce, at: clock.now))
    }
}
