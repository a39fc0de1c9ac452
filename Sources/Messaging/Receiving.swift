internal import DequeModule
internal import JSON
internal import Recording
public import Wire
public import ZeroMQ

extension AgentClient {
    /// The next envelope, or nil when none came in time.
    public func receive(timeout: Duration) throws(MessagingError) -> Envelope? {
        var none: [PollItem] = []
        return try receive(timeout: timeout, also: &none)
    }

    /// The next envelope; nil when none came in time, or when one of the other items is ready.
    ///
    /// - Parameters:
    ///   - timeout: The longest wait; zero looks and returns.
    ///   - items: What else is waited for; what was seen is in them where nil is returned.
    /// - Returns: The envelope, recorded as delivered.
    /// - Throws: `MessagingError` where the transport or the history fails; nothing is then lost.
    public func receive(
        timeout: Duration, also items: inout [PollItem]
    ) throws(MessagingError) -> Envelope? {
        guard try wait(timeout: timeout, also: &items) else { return nil }
        return try handOutFirst()
    }

    /// Waits until an envelope is there, or another item is ready, or the time is up.
    ///
    /// - Parameters:
    ///   - timeout: The longest wait.
    ///   - items: What else is waited for; what was seen is in them where false is returned.
    /// - Returns: Whether an envelope is there.
    /// - Throws: `MessagingError` where the transport or the history fails.
    public func wait(
        timeout: Duration, also items: inout [PollItem]
    ) throws(MessagingError) -> Bool {
        if readyCount > 0, filling.isEmpty, !hasDefects { return true }
        let end = clock.now + timeout.nanoseconds
        while true {
            try releaseWithheld()
            try flushDue()
            if readyCount == 0 { try pump() }
            if readyCount > 0 { return true }
            let others = try waitInbound(until: end, also: items)
            items = others
            try pump()
            if readyCount > 0 { return true }
            if others.contains(where: { $0.isReadable || $0.isWritable }) || clock.now >= end {
                return false
            }
        }
    }

    /// Sends, and waits for the envelope that answers.
    ///
    /// What else comes in the meantime stays, in order, for `receive`.
    ///
    /// - Parameters:
    ///   - agent: The receiver's name.
    ///   - type: The message type.
    ///   - content: The content.
    ///   - encoding: How the content is to be read.
    ///   - timeout: The longest wait for the answer.
    /// - Returns: The answer: the first envelope whose cause is the request.
    /// - Throws: `MessagingError` with reason `.timeout` where no answer came.
    public func request(
        to agent: String, type: String, content: [UInt8],
        encoding: Envelope.ContentEncoding = .binary, timeout: Duration
    ) throws(MessagingError) -> Envelope {
        let identity = try send(to: agent, type: type, content: content, encoding: encoding)
        if let outflow = outflows[.agent(agent)] { try flush(outflow) }
        let end = clock.now + timeout.nanoseconds
        var looked = 0
        while true {
            unbundle()
            while looked < ready.count {
                if case .one(let arrival, _) = ready[looked], arrival.envelope.cause == identity {
                    if let answer = try handOut(at: looked) { return answer }
                }
                looked += 1
            }
            try releaseWithheld()
            try pump()
            if looked < ready.count { continue }
            guard clock.now < end else {
                throw MessagingError(.request(agent, type: type), .timeout(timeout))
            }
            try waitInbound(until: end, also: [])
        }
    }

    /// Hands out the first of the ready envelopes, of which there are some, recorded as delivered.
    func handOutFirst() throws(MessagingError) -> Envelope? {
        while true {
            if let opened {
                if let envelope = try handOut(from: opened) { return envelope }
                continue
            }
            switch ready.popFirst() {
            case .many(let bundle): opened = bundle
            case .one(let arrival, let isRecorded):
                if !isRecorded {
                    try recordFirst(arrival)
                }
                handedOut(arrival.envelope, isCredited: arrival.isCredited)
                return arrival.envelope
            case nil: return nil
            }
        }
    }

    /// Hands out one of the ready envelopes, recorded as delivered, where none of them came together.
    ///
    /// Those of the same flow that stand before it are recorded first: a flow is delivered in order.
    private func handOut(at index: Int) throws(MessagingError) -> Envelope? {
        guard case .one(let wanted, _) = ready[index] else { return nil }
        for place in 0...index {
            guard case .one(let arrival, isRecorded: false) = ready[place],
                place == index || arrival.envelope.identity.flow == wanted.envelope.identity.flow
            else { continue }
            try record(arrival.envelope, .delivered, transport: arrival.transport)
            ready[place] = .one(arrival, isRecorded: true)
            try noteDelivered(arrival.envelope)
        }
        ready.remove(at: index)
        handedOut(wanted.envelope, isCredited: wanted.isCredited)
        return wanted.envelope
    }

    /// Records an arrival that was taken out; where that fails it is the first again.
    private func recordFirst(_ arrival: Arrival) throws(MessagingError) {
        var isRecorded = false
        do throws(MessagingError) {
            try record(arrival.envelope, .delivered, transport: arrival.transport)
            isRecorded = true
            try noteDelivered(arrival.envelope)
        } catch {
            ready.prepend(.one(arrival, isRecorded: isRecorded))
            throw error
        }
    }

    func noteDelivered(_ envelope: Envelope) throws(MessagingError) {
        countDelivered(envelope.identity.flow)
        if envelope.delivery == .atLeastOnce { try noteRecorded(envelope) }
    }

    private func countDelivered(_ flow: Flow) {
        if flow != lastDelivered {
            if let lastDelivered { counts.delivered[lastDelivered, default: 0] += uncounted }
            lastDelivered = flow
            uncounted = 0
        }
        uncounted += 1
    }

    func handedOut(_ envelope: Envelope, isCredited: Bool) {
        readyCount -= 1
        readyBytes -= envelope.contentSize
        if isCredited { transport.consumed(1) }
    }

    /// Whether so much waits to be handed out that no more is read.
    var isFull: Bool { readyCount >= options.readyMessages || readyBytes >= options.readyBytes }

    /// Waits until something came, or a gap is to be given up, or the time is up.
    ///
    /// - Returns: The other items, with what was seen.
    @discardableResult
    func waitInbound(
        until end: UInt64, also others: [PollItem]
    ) throws(MessagingError) -> [PollItem] {
        try flushDue()
        let now = clock.now
        var until = min(end, nextFlush)
        if let deadline = receiver.deadline { until = min(until, deadline) }
        if let deadline = keptDeadline { until = min(until, deadline) }
        if let due = transport.due { until = min(until, due) }
        if primaryDefects.withheld != nil { until = min(until, now + Self.withheldMax) }
        var items = others + transport.inboundItems()
        _ = try zeroMQ(.receive) { () throws(ZeroMQError) in
            try poll(
                &items, timeout: .nanoseconds(Int64(clamping: until > now ? until - now : 0)))
        }
        return Array(items.prefix(others.count))
    }

    /// Lets time pass that nobody can say the end of, and goes on receiving.
    func idle(for time: UInt64) throws(MessagingError) {
        if isFull {
            // Nothing is read now: what is readable would end every wait at once.
            var none: [PollItem] = []
            _ = try zeroMQ(.receive) { () throws(ZeroMQError) in
                try poll(&none, timeout: .nanoseconds(Int64(clamping: time)))
            }
        } else {
            try waitInbound(until: clock.now + time, also: [])
        }
        try pump()
    }

    /// Takes in what has come, without waiting.
    func pump(atMost count: Int = 1_024) throws(MessagingError) {
        var taken = 0
        while taken < count, !isFull, let inbound = try transport.receive() {
            try take(inbound)
            taken += 1
        }
        if transport.switches != knownSwitches { noteSwitch() }
        if !isIntakeClosed { try apply(receiver.expire(at: clock.now)) }
        try tendKept()
        if let dual = transport as? DualTransport {
            for problem in dual.takeProblems() {
                try annotate(.note("shadow: \(problem)", at: clock.now))
            }
        }
    }

    private func take(_ inbound: Inbound) throws(MessagingError) {
        if case .acknowledged(let acknowledgement) = inbound { return try heed(acknowledgement) }
        if isIntakeClosed {
            guard case .shadow = inbound else { return try leaveBehind(inbound) }
        }
        switch inbound {
        case .arrival(let arrival): try accept(arrival)
        case .batch(let items, let transport, let isCredited):
            try accept(items, transport, isCredited: isCredited)
        case .shadow(let envelope, let transport):
            counts.shadowDelivered += 1
            try record(envelope, .delivered, transport: transport, lane: .shadow)
        case .unidentified(let seed, let transport): try accept(seed, transport)
        case .gap(let flow, let incarnation, let from, let through, let reason, let isKept):
            if case .topic(let topic) = flow.destination, !isSubscribed(topic, at: clock.now) {
                counts.filtered += 1
                return
            }
            try apply(
                receiver.accept(
                    gapIn: flow, incarnation: incarnation, from: from, through: through,
                    reason: reason, isKept: isKept, at: clock.now))
        case .acknowledged: break
        case .confirmed(let ticket): confirmedTickets.insert(ticket)
        case .incomplete(let envelope, _, let reason): try noteIncomplete(envelope, reason)
        case .malformed(let what): try noteMalformed(what)
        case .remark(let what): try annotate(.note(what, at: clock.now))
        }
    }

    /// What comes when nothing is taken in any more, and no proxy keeps for the next incarnation.
    private func leaveBehind(_ inbound: Inbound) throws(MessagingError) {
        guard isLeavingBehind else { return }
        switch inbound {
        case .batch(let items, let transport, _):
            for envelope in items.all {
                try leaveBehind(.arrival(Arrival(envelope, transport: transport)))
            }
        case .arrival(let arrival):
            if case .topic(let topic) = arrival.envelope.destination,
                !isSubscribed(topic, at: arrival.envelope.sent)
            {
                return
            }
            counts.dropped += 1
            try annotate(
                .dropped(
                    arrival.envelope.identity, reason: "came after the time for draining was up",
                    by: name, at: clock.now))
        case .unidentified(let seed, _):
            try noteMalformed(
                "a message of '\(seed.from)' came after the time for draining was up")
        case .malformed(let what): try noteMalformed(what)
        case .incomplete(let envelope, _, let reason):
            counts.dropped += 1
            try annotate(.dropped(envelope.identity, reason: reason, by: name, at: clock.now))
        case .gap, .confirmed, .shadow, .remark, .acknowledged: break
        }
    }

    func noteMalformed(_ what: String) throws(MessagingError) {
        counts.malformed += 1
        // A peer that sends nothing else must not fill the history.
        guard counts.malformed <= 1_000 else { return }
        try annotate(
            .unreadable(count: 1, from: "", reason: what, by: name, at: clock.now))
    }

    func accept(_ arrival: Arrival) throws(MessagingError) {
        let envelope = arrival.envelope
        if case .topic(let topic) = envelope.destination,
            !isSubscribed(topic, at: envelope.sent)
        {
            counts.filtered += 1
            if arrival.isCredited { transport.consumed(1) }
            return
        }
        guard (1..<UInt64.max).contains(envelope.sequence) else {
            if arrival.isCredited { transport.consumed(1) }
            return try noteMalformed("\(envelope.identity): no legal sequence")
        }
        try apply(receiver.accept(arrival, at: clock.now))
        if receiver.heldCredit > 0 { transport.consumed(receiver.takeHeldCredit()) }
        guard envelope.delivery == .atLeastOnce else { return }
        if receiver.isWaiting(Receiver.Key(envelope)) { oweAgain(envelope) }
    }

    /// Whether what was sent to a topic at a time is wanted: also what was on its way when its
    /// subscription ended.
    func isSubscribed(_ topic: String, at time: UInt64) -> Bool {
        subscriptions.contains { Names.topic(topic, isUnder: $0) }
            || subscribing.contains { Names.topic(topic, isUnder: $0) }
            || left.contains { time < $0.value && Names.topic(topic, isUnder: $0.key) }
    }

    /// A message of a program that knows nothing of identities gets one here, with the incarnation
    /// 0, which no agent has.
    private func accept(_ seed: SeedMessage, _ transport: String) throws(MessagingError) {
        guard Names.isLegal(seed.from), Names.isLegal(seed.type) else {
            return try noteMalformed("a seed message from '\(seed.from)' of type '\(seed.type)'")
        }
        let flow = Flow(source: seed.from, destination: .agent(name))
        let envelope = Envelope(
            identity: Identity(
                flow: flow, incarnation: 0, sequence: receiver.next(in: flow, incarnation: 0)),
            type: seed.type, sent: clock.now, contentEncoding: .json,
            content: Array(seed.content.canonical.utf8))
        try apply(receiver.accept(Arrival(envelope, transport: transport), at: clock.now))
    }

    func apply(_ outcomes: [Receiver.Outcome]) throws(MessagingError) {
        for outcome in outcomes {
            switch outcome {
            case .deliver(let arrival) where swallows(arrival):
                if arrival.isCredited { transport.consumed(1) }
            case .deliver(let arrival):
                enqueue(arrival)
            case .repeated(let arrival):
                counts.repeats += 1
                if arrival.isCredited { transport.consumed(1) }
                oweAgain(arrival.envelope)
                try annotate(
                    .repeatDropped(
                        arrival.envelope.identity, transport: arrival.transport, by: name,
                        at: clock.now))
            case .late(let arrival):
                counts.late += 1
                if arrival.isCredited { transport.consumed(1) }
                oweAgain(arrival.envelope)
                try annotate(.late(arrival.envelope.identity, by: name, at: clock.now))
            case .deferred(let arrival):
                counts.deferred += 1
                if arrival.isCredited { transport.consumed(1) }
            case .missing(let flow, let incarnation, let from, let through):
                try oweMissing(flow, incarnation, from...through)
            case .refused(let arrival):
                counts.refused += 1
                if arrival.isCredited { transport.consumed(1) }
                try annotate(
                    .dropped(
                        arrival.envelope.identity,
                        reason: "its receiver knows \(receiver.limits.flows) flows already",
                        by: name, at: clock.now))
            case .noticeRefused(let flow, let incarnation, let from, let through):
                counts.refused += 1
                // A sender of notices must not fill the history.
                guard counts.refused <= 1_000 else { continue }
                try annotate(
                    .note(
                        "refused: a notice that \(flow) (\(incarnation)) lacks \(from)...\(through)",
                        at: clock.now))
            case .gap(let flow, let incarnation, let from, let through, let reason):
                // A notice may name as many as there are numbers.
                let (gaps, isOver) = counts.gaps.addingReportingOverflow(through - from)
                counts.gaps = isOver || gaps == .max ? .max : gaps + 1
                try annotate(
                    .gap(
                        flow: flow, incarnation: incarnation, from: from, through: through,
                        reason: reason, by: name, at: clock.now))
            }
        }
    }

    /// How long a planted swap waits for the envelope that is to overtake it.
    private static let withheldMax: UInt64 = 100_000_000

    private func releaseWithheld() throws(MessagingError) {
        guard hasDefects, primaryDefects.withheld != nil,
            clock.now >= primaryDefects.withheldSince + Self.withheldMax
        else { return }
        for envelope in primaryDefects.takeWithheld() { try transmit(envelope) }
    }
}
