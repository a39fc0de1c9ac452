internal import DequeModule
internal import NATS
internal import Synchronization
internal import Threads
internal import Wire

/// Something for NATS.
struct Publication: Sendable {
    let subject: String
    /// The envelope as it is published; of a plain publication, what it was made of.
    let envelope: Envelope
    /// The bytes alone, for a program that knows nothing of envelopes.
    let plain: [UInt8]?
    /// The envelope as it came, should it be wanted back.
    let parcel: Parcel
    /// The agent that it is for; nil for a topic.
    let agent: String?
    /// Whether its receiver keeps no history, so that the proxy is to hear that it is gone.
    var isRecorded = false

    var byteCount: Int { (plain?.count ?? envelope.contentSize) + 512 }
}

/// A proxy's side of NATS, on threads of its own: whatever the server does, the proxy's loop never
/// waits for it, and never calls into the library, whose locks a slow socket may hold.
///
/// Publications wait here, bounded, while NATS is away: in the library's buffer they would die with
/// the process, without a name.
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

    private enum Request: Sendable {
        case subscribe(tag: String, subjects: [String])
        case drain(tag: String)
        case catchUp(tag: String)
        case flush(after: UInt64)
    }

    private struct Waiting: Sendable {
        let request: Request
        let token: UInt64
        let end: ContinuousClock.Instant
    }

    private struct State {
        /// Numbered, so that a flush knows which came before it.
        var publications: Deque<(number: UInt64, publication: Publication)> = []
        var bytes = 0
        var accepted: UInt64 = 0
        /// Subjects by tag, whether the server has heard of them yet or not.
        var wanted: [String: [String]] = [:]
        var waiting: Deque<Waiting> = []
        var isConnected = false
        var isStopping = false
    }

    /// The longest that a subscription, drain or flush may take.
    static let requestTimeout = Duration.seconds(2)
    /// What a drain is left of it that waited for a content to become whole.
    private static let drainTime = Duration.milliseconds(500)
    private static let connectPause: Int32 = 100

    private let settings: Settings
    private let inbox: Inbox
    private let state = Mutex(State())
    private let wakeUp: WakeUp
    private let started: Handoff<Bool>
    private let thread = Mutex<DedicatedThread?>(nil)

    init(_ settings: Settings, inbox: Inbox) throws(ThreadError) {
        self.settings = settings
        self.inbox = inbox
        wakeUp = try WakeUp()
        started = try Handoff()
    }

    /// Starts to connect, and waits a while for the first connection.
    ///
    /// - Returns: Whether the server is there. If not, it is tried for ever.
    func start(waiting: Duration) throws(ThreadError) -> Bool {
        let worker = try DedicatedThread(named: "nats-bridge") { [self] in run() }
        thread.withLock { $0 = worker }
        return started.take(within: waiting) ?? false
    }

    // MARK: From the loop; none of these waits.

    /// Whether NATS is there, as the worker last saw it.
    var isConnected: Bool { state.withLock { $0.isConnected } }

    /// Waits a moment for the worker.
    func pause() { started.pause(milliseconds: 1) }

    /// Publications that wait.
    var queued: Int { state.withLock { $0.publications.count } }

    /// Hands over a publication; false when the bound is reached.
    ///
    /// What was held for a move is within a bound of its own already and is always taken.
    func publish(_ publication: Publication, isHeld: Bool = false) -> Bool {
        let isTaken = state.withLock { state in
            let fits =
                state.publications.isEmpty
                || state.publications.count < settings.limits.messages
                    && state.bytes + publication.byteCount <= settings.limits.bytes
            guard fits || isHeld else { return false }
            state.accepted += 1
            state.publications.append((state.accepted, publication))
            state.bytes += publication.byteCount
            return true
        }
        if isTaken { wakeUp.signal() }
        return isTaken
    }

    /// What waits for whoever is subscribed to the topics.
    func waiting(under topics: [String]) -> [Publication] {
        state.withLock { state in
            state.publications.lazy.map(\.publication).filter { publication in
                publication.agent == nil && publication.plain == nil
                    && topics.contains { Names.topic(publication.subject, isUnder: $0) }
            }
        }
    }

    /// Takes back what waits for one agent.
    func takeBack(for agent: String) -> [Publication] {
        state.withLock { state in
            let taken = state.publications.filter { $0.publication.agent == agent }
            guard !taken.isEmpty else { return [] }
            state.publications.removeAll { $0.publication.agent == agent }
            state.bytes -= taken.reduce(0) { $0 + $1.publication.byteCount }
            return taken.map(\.publication)
        }
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

    /// Done when the server has every publication that was handed over before.
    func flush(token: UInt64) {
        let accepted = state.withLock { $0.accepted }
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
        return state.withLock { state in
            defer { state.publications = [] }
            return state.publications.map(\.publication)
        }
    }

    // MARK: The worker.

    private func run() {
        guard let connection = connect() else { return }
        var readers: [String: NATSReader] = [:]
        var behind: [Behind] = []
        setConnected(true)
        started.give(true)
        var reconnects = 0
        while !isStopping {
            setConnected(connection.isConnected)
            for (tag, subjects) in state.withLock({ $0.wanted }) where readers[tag] == nil {
                _ = subscribe(on: connection, tag: tag, subjects, &readers)
            }
            let isPutOff = serveRequests(on: connection, &readers, &behind)
            tellCaughtUp(&behind)
            if publishNext(on: connection) { continue }
            if connection.reconnects > reconnects {
                reconnects = connection.reconnects
                inbox.post(.blind(reason: "the connection to NATS was lost and restored"))
            }
            wakeUp.wait(milliseconds: behind.isEmpty && !isPutOff ? 50 : 1)
        }
        for reader in readers.values { reader.stop() }
        if connection.isConnected { try? connection.flush(timeout: .milliseconds(500)) }
        connection.close()
        for reader in readers.values { reader.join() }
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func connect() -> Connection? {
        var isFirst = true
        while !isStopping {
            var options = ConnectionOptions(name: settings.name, noEcho: true)
            options.timeout = .seconds(1)
            if let connection = try? Connection(to: settings.url, options: options) {
                return connection
            }
            if isFirst { inbox.post(.connected(false)) }
            isFirst = false
            expireRequests()
            wakeUp.wait(milliseconds: Self.connectPause)
        }
        return nil
    }

    private func setConnected(_ isConnected: Bool) {
        let changed = state.withLock { state in
            defer { state.isConnected = isConnected }
            return state.isConnected != isConnected
        }
        if changed { inbox.post(.connected(isConnected)) }
    }

    private func expireRequests() {
        let now = ContinuousClock.now
        let expired = state.withLock { state in
            let expired = state.waiting.filter { $0.end <= now }
            state.waiting.removeAll { $0.end <= now }
            return expired
        }
        for waiting in expired { inbox.post(.done(token: waiting.token, false)) }
    }

    /// A reader with messages that somebody waits for.
    private struct Behind {
        let reader: NATSReader
        let arrived: [UInt64]
        let waiting: Waiting
    }

    private func tellCaughtUp(_ behind: inout [Behind]) {
        behind.removeAll { entry in
            let isDone = entry.reader.hasPosted(entry.arrived)
            guard isDone || entry.waiting.end <= .now else { return false }
            inbox.post(.done(token: entry.waiting.token, isDone))
            return true
        }
    }

    /// Serves what was asked for.
    ///
    /// - Returns: Whether something is put off.
    private func serveRequests(
        on connection: Connection, _ readers: inout [String: NATSReader],
        _ behind: inout [Behind]
    ) -> Bool {
        var putOff: [Waiting] = []
        while let waiting = nextRequest() {
            let isDone: Bool
            switch waiting.request {
            case .subscribe(let tag, let subjects):
                isDone = subscribe(on: connection, tag: tag, subjects, &readers)
            case .drain(let tag)
            where readers[tag]?.isAssembling == true
                && waiting.end - Self.drainTime > .now:
                // Its rest would go to nobody.
                putOff.append(waiting)
                continue
            case .drain(let tag):
                // The reader posts for itself: what it fetches before comes before.
                guard let reader = readers.removeValue(forKey: tag) else {
                    inbox.post(.done(token: waiting.token, true))
                    continue
                }
                reader.drain(token: waiting.token)
                continue
            case .catchUp(let tag):
                // The answer to the flush comes behind all that the server sent before it.
                isDone = flush(connection)
                if isDone, let reader = readers[tag] {
                    behind.append(Behind(reader: reader, arrived: reader.arrived, waiting: waiting))
                    continue
                }
            case .flush:
                isDone = flush(connection)
            }
            inbox.post(.done(token: waiting.token, isDone))
        }
        state.withLock { $0.waiting += putOff }
        expireRequests()
        return !putOff.isEmpty
    }

    /// The first request that can be served now.
    private func nextRequest() -> Waiting? {
        state.withLock { state in
            // None is being published now: that is done by the thread that asks.
            let next = state.publications.first?.number ?? .max
            let index = state.waiting.firstIndex { waiting in
                guard case .flush(let after) = waiting.request else { return true }
                return after < next
            }
            return index.map { state.waiting.remove(at: $0) }
        }
    }

    private func subscribe(
        on connection: Connection, tag: String, _ subjects: [String],
        _ readers: inout [String: NATSReader]
    ) -> Bool {
        if readers[tag] == nil {
            do {
                readers[tag] = try NATSReader(
                    subjects.map { subject throws(NATSError) in
                        try connection.subscribe(
                            to: subject, pendingMessagesMax: settings.pendingMessagesMax)
                    }, tag: tag, inbox: inbox)
            } catch {
                inbox.post(.malformed(tag: tag, reason: "could not subscribe: \(error)"))
                return false
            }
        }
        return flush(connection)
    }

    private func flush(_ connection: Connection) -> Bool {
        guard connection.isConnected else { return false }
        do throws(NATSError) {
            try connection.flush(timeout: Self.requestTimeout)
            return true
        } catch {
            return false
        }
    }

    /// Publishes what waits longest; false when nothing waits or NATS is away.
    private func publishNext(on connection: Connection) -> Bool {
        guard connection.isConnected else { return false }
        let first = state.withLock { state -> (number: UInt64, publication: Publication)? in
            guard let first = state.publications.popFirst() else { return nil }
            state.bytes -= first.publication.byteCount
            return first
        }
        guard let first else { return false }
        let next = first.publication
        do throws(NATSError) {
            if let plain = next.plain {
                try connection.publish(next.subject, content: plain)
            } else {
                try publish(next, on: connection)
            }
            if next.isRecorded { inbox.post(.published(next)) }
        } catch {
            guard error.code == .oversize || error.code == .invalidSubject else {
                state.withLock { state in
                    state.publications.prepend(first)
                    state.bytes += next.byteCount
                }
                return false
            }
            inbox.post(.oversize(next))
        }
        return true
    }

    private func publish(
        _ publication: Publication, on connection: Connection
    ) throws(NATSError) {
        let envelope = publication.envelope
        var lines: [UInt8] = []
        lines.reserveCapacity(512)
        envelope.appendHeaderLines(to: &lines)
        let bytes = envelope.contentSize + lines.count + Connection.headerOverhead
        try envelope.withContent { content throws(NATSError) in
            // A batch that is too large goes one by one instead.
            guard settings.isChunking, envelope.kind != .batch, bytes > connection.maxPayload
            else {
                return try connection.publish(
                    publication.subject, headerLines: &lines, content: content)
            }
            lines.removeAll(keepingCapacity: true)
            envelope.appendAttributeLines(to: &lines)
            try connection.publishInChunks(
                publication.subject, attributeLines: lines, content: content)
        }
    }
}
