internal import DequeModule
internal import NATS
internal import Synchronization
internal import Threads
internal import Wire

/// A proxy's side of NATS, on threads of its own: whatever the server does, the proxy's loop never
/// waits for it, and never calls into the library, whose locks a slow socket may hold.
///
/// Publications wait here, bounded, while NATS is away: in the library's buffer they would die with
/// the process, without a name. Here is what the loop calls, none of which waits; the worker is in
/// `NATSBridge+Worker.swift`.
final class NATSBridge: Sendable {
    struct Settings: Sendable {
        let url: String
        let name: String
        let limits: QueueLimits
        /// Messages that may wait in the library for one subscription; it drops and counts the rest.
        var pendingMessagesMax = 1_000_000
        /// Whether contents that are too large for one message are published in several.
        var isChunking = true
    }

    enum Request: Sendable {
        case subscribe(tag: String, subjects: [String])
        case drain(tag: String)
        case catchUp(tag: String)
        case catchUpAll(after: UInt64)
        case flush(after: UInt64)

        func drains(_ tag: String) -> Bool {
            if case .drain(tag) = self { true } else { false }
        }
    }

    struct Waiting: Sendable {
        let request: Request
        let token: UInt64
        let end: ContinuousClock.Instant
    }

    struct State {
        var queue: PublicationQueue
        /// Subjects by tag, whether the server has heard of them yet or not.
        var wanted: [String: [String]] = [:]
        var waiting: Deque<Waiting> = []
        var isConnected = false
        var isStopping = false
    }

    /// How much waits, and whether any of it leaves.
    struct Load {
        let isConnected: Bool
        /// Publications that the library has taken, ever.
        let taken: Int
        /// Whether the bound is reached.
        let isFull: Bool
        /// Whether there is room again: a quarter of the bound, so that nobody is stopped and let go
        /// for each message.
        let hasRoom: Bool
    }

    /// The longest that a subscription, drain or flush may take.
    static let requestTimeout = Duration.seconds(2)

    let settings: Settings
    let inbox: Inbox
    let state: Mutex<State>
    let wakeUp: WakeUp
    let started: Handoff<Bool>
    private let thread = Mutex<DedicatedThread?>(nil)

    init(_ settings: Settings, inbox: Inbox) throws(RoutingError) {
        self.settings = settings
        self.inbox = inbox
        state = Mutex(State(queue: PublicationQueue(limits: settings.limits)))
        (wakeUp, started) = try threads { () throws(ThreadError) in (try WakeUp(), try Handoff()) }
    }

    /// Starts to connect, and waits a while for the first connection.
    ///
    /// - Returns: Whether the server is there. If not, the log says so, and it is tried for ever.
    func start(
        waiting: Duration, log: (String) -> Void = { _ in }
    ) throws(RoutingError) -> Bool {
        let worker = try threads { () throws(ThreadError) in
            try DedicatedThread(named: "nats-bridge") { [self] in run() }
        }
        thread.withLock { $0 = worker }
        let isThere = started.take(within: waiting) ?? false
        if !isThere { log("NATS: no server at \(settings.url), trying on") }
        return isThere
    }

    /// Whether NATS is there, as the worker last saw it.
    var isConnected: Bool { state.withLock { $0.isConnected } }

    /// Waits a moment for the worker.
    func pause() { started.pause(milliseconds: 1) }

    /// Messages that wait.
    var queued: Int { state.withLock { $0.queue.messages } }

    /// Bytes that wait.
    var queuedBytes: Int { state.withLock { $0.queue.bytes } }

    /// How much waits.
    var load: Load {
        state.withLock { state in
            Load(
                isConnected: state.isConnected, taken: state.queue.taken,
                isFull: state.queue.isFilled(to: 1, of: 1),
                hasRoom: !state.queue.isFilled(to: 3, of: 4))
        }
    }

    /// Hands over a publication; false when the bound is reached.
    ///
    /// What was held for a move is within a bound of its own already and is always taken; so is what
    /// comes from somebody who heeds the bound himself.
    func publish(_ publication: Publication, isHeld: Bool = false) -> Bool {
        let isTaken = state.withLock { state in
            guard isHeld || state.queue.hasRoom(for: publication) else { return false }
            state.queue.append(publication)
            return true
        }
        if isTaken { wakeUp.signal() }
        return isTaken
    }

    /// Hands over a publication, and takes out for it what has waited longest where there is no room.
    func force(_ publication: Publication) -> [Publication] {
        let evicted = state.withLock { state in
            let evicted = state.queue.makeRoom(for: publication)
            state.queue.append(publication)
            return evicted
        }
        wakeUp.signal()
        return evicted
    }

    /// What waits for whoever is subscribed to the topics.
    func waiting(under topics: [String]) -> [Publication] {
        state.withLock { state in
            state.queue.publications.filter { publication in
                publication.agent == nil && publication.plain == nil
                    && topics.contains { Names.topic(publication.subject, isUnder: $0) }
            }
        }
    }

    /// Takes back what waits for one agent.
    func takeBack(for agent: String) -> [Publication] {
        state.withLock { $0.queue.takeAll(for: agent) }
    }

    /// Subscribes; done when the server knows.
    ///
    /// If it does not hear of it in time, it is still told once it is there.
    func subscribe(tag: String, to subjects: [String], token: UInt64) {
        state.withLock { $0.wanted[tag] = subjects }
        request(.subscribe(tag: tag, subjects: subjects), token)
    }

    /// Ends a subscription; done when all that was sent to it has been posted.
    func drain(tag: String, token: UInt64) {
        state.withLock { $0.wanted[tag] = nil }
        request(.drain(tag: tag), token)
    }

    /// Done when all that the server had for a subscription until now has been posted.
    func catchUp(tag: String, token: UInt64) {
        request(.catchUp(tag: tag), token)
    }

    /// Done when all that the server had for any subscription until now has been posted, and the server
    /// has every publication that was handed over before.
    func catchUp(token: UInt64) {
        let accepted = state.withLock { $0.queue.accepted }
        request(.catchUpAll(after: accepted), token)
    }

    /// Done when the server has every publication that was handed over before.
    func flush(token: UInt64) {
        let accepted = state.withLock { $0.queue.accepted }
        request(.flush(after: accepted), token)
    }

    private func request(_ request: Request, _ token: UInt64) {
        let end = ContinuousClock.now + Self.requestTimeout
        state.withLock { $0.waiting.append(Waiting(request: request, token: token, end: end)) }
        wakeUp.signal()
    }

    /// Ends the threads, after what can still be published was.
    ///
    /// - Returns: What could not.
    func stop(within timeout: Duration) -> [Publication] {
        let end = ContinuousClock.now + timeout
        while queued > 0, isConnected, ContinuousClock.now < end {
            started.pause(milliseconds: 5)
        }
        state.withLock { $0.isStopping = true }
        wakeUp.signal()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
        return state.withLock { $0.queue.takeAll() }
    }
}
