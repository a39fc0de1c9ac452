internal import Recording
public import Wire
public import ZeroMQ

/// What a drain achieved.
public struct DrainResult: Hashable, Sendable {
    /// Whether everything that was on the way in was received.
    public var isInboundComplete: Bool
    /// Whether everything that was sent was passed on.
    public var isOutboundComplete: Bool
    /// Envelopes handed out meanwhile.
    public var delivered: Int
    /// What went wrong, where something did.
    public var problems: [String]
}

extension AgentClient {
    /// Ends the client without losing what is on its way: hands out everything that comes until
    /// the last markers (ZeroMQ) or the end of the drained subscriptions (NATS), then makes sure
    /// that everything sent was passed on.
    ///
    /// Afterwards `state` is what the next incarnation needs, and nothing can be sent any more.
    ///
    /// - Parameters:
    ///   - hold: The number of the present move, which the proxies' last markers carry; nil where
    ///     nobody numbers them.
    ///   - deadline: The longest that either direction may take.
    ///   - deliver: Gets each envelope; it may still send, for example its answer.
    /// - Returns: What was achieved within the deadline.
    /// - Throws: What `deliver` throws, or `MessagingError` where the history fails.
    public func drain(
        hold: UInt64? = nil, deadline: Duration = .seconds(3), deliver: (Envelope) throws -> Void
    ) throws -> DrainResult {
        var result = DrainResult(
            isInboundComplete: false, isOutboundComplete: false, delivered: 0, problems: [])
        let inboundEnd = clock.now + deadline.nanoseconds
        attempt(&result) { () throws(MessagingError) in
            try transport.beginInboundDrain(of: hold)
        }
        while true {
            try pump()
            while let envelope = try handOutFirst() {
                result.delivered += 1
                try deliver(envelope)
            }
            // Answers that had to wait for room took in more meanwhile; that is handed out as well.
            result.isInboundComplete = transport.isInboundDrained
            if result.isInboundComplete || clock.now >= inboundEnd { break }
            try waitInbound(until: min(inboundEnd, clock.now + Self.lookAgain), also: [])
        }
        // From here on only the outbound way is of interest. What still comes is kept for the next
        // incarnation by the proxies, or was given up with the deadline; it must not be marked as
        // received, since nobody will be handed it.
        isIntakeClosed = true
        isLeavingBehind = !result.isInboundComplete
        for envelope in primaryDefects.takeWithheld() { try transmit(envelope) }
        try flush()
        releaseShadowWithheld()
        attempt(&result) { () throws(MessagingError) in try acknowledge() }
        let outboundEnd = clock.now + deadline.nanoseconds
        attempt(&result) { () throws(MessagingError) in
            try transport.beginOutboundDrain()
            while !transport.isOutboundDrained, clock.now < outboundEnd {
                try pump()
                if transport.isOutboundDrained { break }
                try waitInbound(until: min(outboundEnd, clock.now + Self.lookAgain), also: [])
            }
        }
        result.isOutboundComplete = transport.isOutboundDrained
        try nameWhatIsLeft(&result)
        isDrained = true
        return result
    }

    /// Names what neither this incarnation hands out nor the next one gets.
    private func nameWhatIsLeft(_ result: inout DrainResult) throws(MessagingError) {
        let (tooMuch, again) = receiver.leftBehind
        counts.deferred += UInt64(again.count)
        for identity in tooMuch {
            counts.dropped += 1
            try annotate(
                .dropped(
                    identity, reason: "held for one before it, and too large for the handover",
                    by: name, at: clock.now))
        }
        if let first = tooMuch.first {
            result.problems.append(
                "\(tooMuch.count) held envelopes are too large for the handover, the first is \(first)"
            )
        }
        if !result.isInboundComplete {
            result.problems.append("not all that was on its way in came in time")
            try nameArrivals()
        }
    }

    /// Takes what has come until now, for its names alone.
    private func nameArrivals() throws(MessagingError) {
        let end = clock.now + Self.namingMax
        while isLeavingBehind, clock.now < end {
            let before = counts
            try pump()
            guard counts != before else { return }
        }
    }

    /// The longest that the naming of what came too late may take.
    private static let namingMax: UInt64 = 500_000_000

    /// Some ends are seen by looking, not by a wake-up.
    private static let lookAgain: UInt64 = 20_000_000

    private func attempt(
        _ result: inout DrainResult, _ step: () throws(MessagingError) -> Void
    ) {
        do throws(MessagingError) {
            try step()
        } catch {
            result.problems.append(error.description)
        }
    }

    /// Starts to make sure that everything sent so far is passed on; the client goes on as before.
    ///
    /// - Throws: `MessagingError` where there is no way to ask for it.
    public func beginFence() throws(MessagingError) {
        for envelope in primaryDefects.takeWithheld() { try transmit(envelope) }
        try flush()
        try transport.beginOutboundDrain()
    }

    /// Whether everything sent before the last `beginFence` has been passed on.
    public var isFencePassed: Bool { transport.isOutboundDrained }

    /// Takes in what has come and hands none of it out yet.
    public func takeIn() throws(MessagingError) { try pump() }

    /// What to wait for until there is something to take in; nothing where no more is taken.
    public var inboundItems: [PollItem] { isFull ? [] : transport.inboundItems() }

    /// Ends the client at once: what was sent still leaves, what was not received is lost.
    public func close() {
        for envelope in primaryDefects.takeWithheld() { try? transmit(envelope) }
        try? flush()
        releaseShadowWithheld()
        try? acknowledge()
        isDrained = true
        // Whatever cannot be recorded any more is missed by its sequence.
        try? nameArrivals()
        transport.close()
    }
}
