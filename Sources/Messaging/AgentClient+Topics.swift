internal import Recording
internal import Wire

extension AgentClient {
    /// Subscribes, and returns when the subscription holds: nothing published later is missed.
    ///
    /// - Parameter topic: The topic; what is published to it or below it arrives.
    /// - Throws: `MessagingError` with reason `.timeout` where it is not confirmed in time.
    public func subscribe(to topic: String) throws(MessagingError) {
        guard Names.isLegalTopic(topic) else {
            throw MessagingError(.subscribe(topic), .illegalName(topic))
        }
        guard !subscriptions.contains(topic) else { return }
        if left.removeValue(forKey: topic) != nil { try rebase(under: topic) }
        subscribing.insert(topic)
        defer { subscribing.remove(topic) }
        let ticket = try transport.subscribe(to: topic)
        let end = clock.now + options.subscribeTimeout.nanoseconds
        while confirmedTickets.remove(ticket) == nil {
            try pump()
            if confirmedTickets.contains(ticket) { continue }
            let now = clock.now
            guard now < end else {
                throw MessagingError(.subscribe(topic), .timeout(options.subscribeTimeout))
            }
            try waitInbound(until: end, also: [])
        }
        subscriptions.insert(topic)
        try annotate(.subscribed(agent: name, topic: topic, at: clock.now))
    }

    /// Ends a subscription; what came until now is still handed out.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        guard subscriptions.remove(topic) != nil else { return }
        let now = clock.now
        left[topic] = now
        try annotate(.unsubscribed(agent: name, topic: topic, at: now))
        try transport.unsubscribe(from: topic)
        try rebase(under: topic)
    }

    /// What is published while nobody is subscribed is not missing.
    private func rebase(under topic: String) throws(MessagingError) {
        let others = subscriptions
        let outcomes = receiver.rebase { flowTopic in
            Names.topic(flowTopic, isUnder: topic)
                && !others.contains { Names.topic(flowTopic, isUnder: $0) }
        }
        try apply(outcomes)
    }
}
