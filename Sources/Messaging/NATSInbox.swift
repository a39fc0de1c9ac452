internal import Chunking
internal import DequeModule
internal import NATS
internal import Synchronization
internal import Threads
internal import Wire

/// Where the threads of a client's subscriptions put what they fetch.
final class NATSInbox: Sendable {
    private struct State {
        var messages: Deque<Inbound> = []
        var isClosed = false
        var lost: Int64 = 0
    }

    /// Readable while something waits.
    let wakeUp: WakeUp
    private let space: WakeUp
    private let state = Mutex(State())
    /// More stays in the library, which counts what it drops.
    private let messagesMax = 100_000
    /// Whether the signal may be up: without it nobody asks the system.
    private let isSignalled = Atomic<Bool>(false)

    init() throws(MessagingError) {
        (wakeUp, space) = try threads { () throws(ThreadError) in (try WakeUp(), try WakeUp()) }
    }

    func push(_ message: Inbound) {
        var isFirst = false
        while true {
            let isPut = state.withLock { state in
                guard state.messages.count < messagesMax || state.isClosed else { return false }
                isFirst = state.messages.isEmpty
                if !state.isClosed { state.messages.append(message) }
                return true
            }
            if isPut { break }
            space.wait(milliseconds: 100)
        }
        if isFirst { wake() }
    }

    /// Raises the signal; down again when everything is taken.
    func wake() {
        isSignalled.store(true, ordering: .releasing)
        wakeUp.signal()
    }

    /// Everything that waits, in order; the signal is down until more comes.
    func takeAll() -> Deque<Inbound> {
        if isSignalled.exchange(false, ordering: .acquiringAndReleasing) { wakeUp.take() }
        let messages = state.withLock { state in
            guard !state.messages.isEmpty else { return Deque<Inbound>() }
            var messages = Deque<Inbound>(minimumCapacity: state.messages.count)
            swap(&messages, &state.messages)
            return messages
        }
        if messages.count >= messagesMax { space.signal() }
        return messages
    }

    /// The library dropped this many: too many waited, or their subscription broke.
    func addLost(_ count: Int64) {
        state.withLock { $0.lost += count }
        wake()
    }

    /// How many were dropped since this was asked last.
    func takeLost() -> Int64 {
        state.withLock { state in
            defer { state.lost = 0 }
            return state.lost
        }
    }

    /// How many messages wait.
    var count: Int { state.withLock { $0.messages.count } }

    /// Whether nothing waits: no message, and no word of lost ones.
    var isEmpty: Bool { state.withLock { $0.messages.isEmpty && $0.lost == 0 } }

    /// Nobody will read any more.
    func close() {
        state.withLock { state in
            state.isClosed = true
            state.messages.removeAll()
        }
        space.signal()
    }
}

/// One subscription and the thread that fetches from it.
final class NATSReader: Sendable {
    let subscription: Subscription
    private let ended = Atomic<Bool>(false)
    private let pushed = Atomic<UInt64>(0)
    /// Whether a content lacks chunks.
    private let assembling = Atomic<Bool>(false)
    private let inbox: NATSInbox
    private let decoder: NATSDecoder
    private let thread = Mutex<DedicatedThread?>(nil)

    init(
        _ subscription: Subscription, into inbox: NATSInbox, _ decoder: NATSDecoder
    ) throws(MessagingError) {
        self.subscription = subscription
        self.decoder = decoder
        self.inbox = inbox
    }

    /// Begins to fetch; the thread keeps the reader until its subscription ends.
    func start() throws(MessagingError) {
        let started = try threads { () throws(ThreadError) in
            try DedicatedThread(named: "nats-reader") { [self] in
                fetch()
                ended.store(true, ordering: .releasing)
                inbox.wake()
            }
        }
        thread.withLock { $0 = started }
    }

    /// Whether everything was fetched and nothing more will come.
    var isEnded: Bool { ended.load(ordering: .acquiring) }

    /// Whether a content has begun to come and is not whole: who ended the subscription now would
    /// have a part of it, and whoever comes after him another.
    var isAssembling: Bool { assembling.load(ordering: .acquiring) && !isEnded }

    /// Whether everything that has arrived so far was fetched.
    var isIdle: Bool {
        let pushed = pushed.load(ordering: .acquiring)
        return subscription.arrived.map { pushed >= $0 } ?? true
    }

    private func fetch() {
        var chunks = ChunkAssembly()
        var dropped: Int64 = 0
        // Ended by `stop`, a drain that is complete, or a connection closed for good.
        defer { for loss in chunks.finish() { inbox.push(decoder.loss(loss)) } }
        while true {
            do throws(NATSError) {
                if let message = try subscription.nextReceived(timeout: .seconds(1)) {
                    if let inbound = decoder.read(message, &chunks) { inbox.push(inbound) }
                    assembling.store(!chunks.isEmpty, ordering: .releasing)
                    pushed.add(1, ordering: .releasing)
                }
                // With every message, the last of them too: a subscription that has ended tells
                // nothing any more.
                let lost = subscription.dropped - dropped
                if lost > 0 {
                    inbox.addLost(lost)
                    dropped += lost
                }
            } catch {
                return
            }
            for loss in chunks.expire() { inbox.push(decoder.loss(loss)) }
        }
    }

    /// Ends the subscription, but not before all that the server sent to it was fetched.
    func leave() {
        let waiting = subscription.pending
        do throws(NATSError) {
            try subscription.drain(timeout: .seconds(3))
        } catch {
            // It has ended already, with its connection; what waited in it can not be had any more.
            if waiting > 0 { inbox.addLost(Int64(waiting)) }
        }
    }

    /// Ends the subscription at once, and the thread.
    func stop() {
        try? subscription.unsubscribe()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }
}
