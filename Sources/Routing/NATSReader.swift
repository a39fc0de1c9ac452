internal import Chunking
internal import NATS
internal import Synchronization
internal import Threads
internal import Wire

/// Fetches from the subscriptions of one tag, each on a thread of its own, and posts what comes.
final class NATSReader: Sendable {
    private struct State {
        /// Threads that still fetch.
        var running: Int
        /// Messages posted so far, of each subscription.
        var posted: [UInt64]
        /// Of each subscription, whether a content in chunks is not whole.
        var isAssembling: [Bool]
        /// Set while draining: whom to tell when the last thread has posted its last message.
        var drain: (token: UInt64, end: ContinuousClock.Instant)?
        var isStopping = false
        var isTold = false
        /// Whether every subscription that has ended was drained to its end.
        var isWhole = true
    }

    private let subscriptions: [Subscription]
    private let tag: String
    private let inbox: Inbox
    private let state: Mutex<State>
    private let threads = Mutex<[DedicatedThread]>([])
    private let pause: WakeUp

    init(_ subscriptions: [Subscription], tag: String, inbox: Inbox) throws(ThreadError) {
        self.subscriptions = subscriptions
        self.tag = tag
        self.inbox = inbox
        state = Mutex(
            State(
                running: subscriptions.count,
                posted: Array(repeating: 0, count: subscriptions.count),
                isAssembling: Array(repeating: false, count: subscriptions.count)))
        pause = try WakeUp()
        for (index, subscription) in subscriptions.enumerated() {
            let thread = try DedicatedThread(named: "nats-reader") { [self] in
                fetch(from: subscription, index)
                finish(isWhole: subscription.isDrained(within: .milliseconds(200)))
            }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Ends the subscriptions without losing what was sent to them; says under `token` whether that
    /// was done.
    func drain(token: UInt64) {
        let end = ContinuousClock.now + NATSBridge.requestTimeout
        state.withLock { $0.drain = (token, end) }
        for subscription in subscriptions {
            do throws(NATSError) {
                try subscription.drain(timeout: NATSBridge.requestTimeout)
            } catch {
                // It has ended already: nobody knows what it would still have brought.
                state.withLock { $0.isWhole = false }
            }
        }
        tellIfDone()
    }

    /// How many messages have arrived on each subscription.
    var arrived: [UInt64] { subscriptions.map { $0.arrived ?? 0 } }

    /// Whether a content has begun to come and is not whole: who ended the subscriptions now would
    /// have a part of it, and whoever comes after him another.
    var isAssembling: Bool { state.withLock { $0.running > 0 && $0.isAssembling.contains(true) } }

    /// Whether everything that had arrived by then has been posted.
    func hasPosted(_ arrived: [UInt64]) -> Bool {
        state.withLock { state in
            state.running == 0 || zip(state.posted, arrived).allSatisfy { $0 >= $1 }
        }
    }

    /// Ends the threads at once.
    func stop() {
        state.withLock { $0.isStopping = true }
    }

    /// Waits for the threads.
    func join() {
        for thread in threads.withLock({ $0 }) { thread.join() }
    }

    private func finish(isWhole: Bool) {
        state.withLock { state in
            state.running -= 1
            if !isWhole { state.isWhole = false }
        }
        tellIfDone()
    }

    private func tellIfDone() {
        let told = state.withLock { state -> (token: UInt64, isWhole: Bool)? in
            guard state.running == 0, let drain = state.drain, !state.isTold else { return nil }
            state.isTold = true
            return (drain.token, state.isWhole)
        }
        if let told { inbox.post(.done(token: told.token, told.isWhole)) }
    }

    /// Whether to end although the subscription did not say so, such as when its server is gone.
    private var isOver: Bool {
        state.withLock { state in
            state.isStopping || state.drain.map { $0.end <= .now } ?? false
        }
    }

    private func fetch(from subscription: Subscription, _ index: Int) {
        var dropped: Int64 = 0
        var chunks = ChunkAssembly()
        // Messages that are part of what is not whole yet: only then are they posted.
        var withheld: UInt64 = 0
        defer {
            tellLosses(of: subscription, known: &dropped)
            for loss in chunks.finish() { tell(loss) }
        }
        while !state.withLock({ $0.isStopping }) {
            do throws(NATSError) {
                if let message = try subscription.nextReceived(timeout: .milliseconds(100)) {
                    while inbox.isFull, !isOver { pause.wait(milliseconds: 1) }
                    if let event = read(message, &chunks) { inbox.post(event) }
                    withheld += 1
                    note(&withheld, of: index, isWhole: chunks.isEmpty)
                    // The last of them, too: a subscription that has ended tells nothing any more.
                    tellLosses(of: subscription, known: &dropped)
                } else {
                    tellLosses(of: subscription, known: &dropped)
                    if isOver { return }
                }
            } catch {
                // Drained, or closed for good.
                return
            }
            guard !chunks.isEmpty else { continue }
            for loss in chunks.expire() { tell(loss) }
            note(&withheld, of: index, isWhole: chunks.isEmpty)
        }
    }

    private func note(_ withheld: inout UInt64, of index: Int, isWhole: Bool) {
        let count = isWhole ? withheld : 0
        withheld -= count
        state.withLock { state in
            state.posted[index] += count
            state.isAssembling[index] = !isWhole
        }
    }

    private func tell(_ loss: ChunkAssembly.Loss) {
        inbox.post(.incomplete(tag: tag, loss.envelope, reason: loss.reason))
    }

    /// Says how many the library has dropped beyond those that are known.
    private func tellLosses(of subscription: Subscription, known: inout Int64) {
        let lost = subscription.dropped - known
        guard lost > 0 else { return }
        known += lost
        inbox.post(.malformed(tag: tag, reason: "\(lost) lost, since too many waited"))
        inbox.post(.blind(reason: "\(lost) messages on NATS for '\(tag)' were not seen"))
    }

    /// Nil where it says nothing yet.
    private func read(
        _ message: consuming ReceivedMessage, _ chunks: inout ChunkAssembly
    ) -> LoopEvent? {
        if message.isChunk {
            // Judged as it comes: the message that ends a content is on the subject of all of it.
            switch chunks.take(message) {
            case .none: return nil
            case .lost(let loss):
                return .incomplete(tag: tag, loss.envelope, reason: loss.reason)
            case .unreadable(let reason):
                return .malformed(tag: tag, reason: "\(message.subject): \(reason)")
            case .whole(let envelope): return judged(envelope, message)
            }
        }
        guard message.hasHeader("ce-specversion") || message.hasHeader("ce-source") else {
            return .plain(tag: tag, subject: message.subject, content: message.content)
        }
        do throws(WireError) {
            let envelope = try message.attributes()
            let event = judged(envelope, message)
            guard case .envelope = event else { return event }
            return .envelope(tag: tag, message.giveContent(to: envelope))
        } catch {
            return .malformed(tag: tag, reason: "\(message.subject): \(error)")
        }
    }

    private func judged(_ envelope: Envelope, _ message: borrowing ReceivedMessage) -> LoopEvent {
        guard envelope.isEncodable else {
            return .malformed(tag: tag, reason: "\(message.subject): a name is not legal")
        }
        if case .topic(let topic) = envelope.destination, !message.isBelow("agent."),
            !message.isOn(topic)
        {
            return .malformed(tag: tag, reason: "\(message.subject): addressed to '\(topic)'")
        }
        return .envelope(tag: tag, envelope)
    }
}
