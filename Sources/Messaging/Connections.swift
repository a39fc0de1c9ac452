internal import Synchronization
public import ZeroMQ

/// Connections that several senders of one program share, one after the other.
///
/// A sender that is there for one message would spend most of its time on getting connected. What
/// it gives back here stays connected for the next one. A connection has one owner at a time, from
/// `lease` until the lease ends; who that is may be on another thread each time.
///
/// - At most `Limits.open` are open. Where that many are, the one that was given back longest ago
///   is closed for a new one; where all of them are leased, there is none.
/// - What nobody asked for during `Limits.idle` is closed, with the next call that comes here.
public final class Connections: Sendable {
    /// What is bounded.
    public struct Limits: Hashable, Sendable {
        /// The most connections that are open, leased ones included.
        public var open: Int
        /// How long one that nobody needs stays open.
        public var idle: Duration

        /// Bounds; an `open` below 1 is 1.
        public init(open: Int = 16, idle: Duration = .seconds(60)) {
            self.open = max(1, open)
            self.idle = idle
        }
    }

    /// What was done so far.
    public struct Counters: Hashable, Sendable {
        /// Connections that were made.
        public var opened: UInt64 = 0
        /// Leases that needed no new one.
        public var reused: UInt64 = 0
        /// Closed to make room for another.
        public var evicted: UInt64 = 0
        /// Closed because nobody had needed them for long.
        public var expired: UInt64 = 0
        /// Closed by whoever had leased them.
        public var discarded: UInt64 = 0
        /// Leases that there was no room for.
        public var refused: UInt64 = 0
        /// Open now, leased or not.
        public var open = 0
        /// Leased now.
        public var leased = 0

        /// Nothing yet.
        public init() {}
    }

    /// What a connection is for and where it leads to.
    enum Key: Hashable {
        /// A DEALER without a name of its own to a branch's ROUTER.
        case branch(String)
        /// An XPUB to a topic proxy's XSUB.
        case publisher(String)
    }

    // libzmq lets a socket go from thread to thread where a full memory barrier lies between: the
    // lock of `state` is one. Only its lease touches a connection, and only one lease has it.
    private struct Idle: @unchecked Sendable {
        let key: Key
        let connection: AnyObject
        let since: ContinuousClock.Instant
    }

    private struct State {
        /// In the order in which they were given back.
        var idle: [Idle] = []
        var counters = Counters()

        mutating func expire(_ limits: Limits) {
            let oldest = ContinuousClock.now - limits.idle
            let count = idle.prefix { $0.since <= oldest }.count
            guard count > 0 else { return }
            idle.removeFirst(count)
            counters.expired += UInt64(count)
            counters.open -= count
        }
    }

    /// What is bounded.
    public let limits: Limits
    let context: Context
    private let state = Mutex(State())

    /// A pool without connections.
    ///
    /// - Parameters:
    ///   - context: Owns the connections' I/O threads; what is unsent when a connection is closed is
    ///     still sent while the context lives, or for up to a second when it ends.
    ///   - limits: What is bounded.
    public init(in context: Context, limits: Limits = Limits()) {
        self.context = context
        self.limits = limits
    }

    /// What was done so far.
    public var counters: Counters { state.withLock { $0.counters } }

    /// Closes what nobody has needed for long.
    public func closeIdle() { state.withLock { $0.expire(limits) } }

    /// Gives a connection to one owner: the one that was given back last, or a new one.
    ///
    /// - Parameters:
    ///   - key: What it is for.
    ///   - attempt: What is being attempted.
    ///   - open: Makes a new one.
    /// - Returns: The connection until the lease ends.
    /// - Throws: `MessagingError` with reason `.tooManyConnections` where all are leased.
    func lease<Connection: AnyObject>(
        _ key: Key, _ attempt: MessagingError.Attempt,
        open: (Context) throws(ZeroMQError) -> Connection
    ) throws(MessagingError) -> Lease<Connection> {
        let (known, isFull) = state.withLock { state -> (Idle?, Bool) in
            state.expire(limits)
            if let index = state.idle.lastIndex(where: { $0.key == key }) {
                state.counters.reused += 1
                state.counters.leased += 1
                return (state.idle.remove(at: index), false)
            }
            if state.counters.open >= limits.open {
                guard !state.idle.isEmpty else {
                    state.counters.refused += 1
                    return (nil, true)
                }
                state.idle.removeFirst()
                state.counters.evicted += 1
                state.counters.open -= 1
            }
            state.counters.opened += 1
            state.counters.open += 1
            state.counters.leased += 1
            return (nil, false)
        }
        guard !isFull else { throw MessagingError(attempt, .tooManyConnections(limits.open)) }
        if let connection = known?.connection as? Connection {
            return Lease(connection, key, from: self)
        }
        do throws(ZeroMQError) {
            return Lease(try open(context), key, from: self)
        } catch {
            state.withLock { state in
                state.counters.open -= 1
                state.counters.leased -= 1
            }
            throw MessagingError(attempt, .zeroMQ(error))
        }
    }

    fileprivate func takeBack(_ connection: AnyObject, _ key: Key) {
        let idle = Idle(key: key, connection: connection, since: .now)
        state.withLock { state in
            state.counters.leased -= 1
            state.idle.append(idle)
            state.expire(limits)
        }
    }

    fileprivate func noteDiscard() {
        state.withLock { state in
            state.counters.leased -= 1
            state.counters.open -= 1
            state.counters.discarded += 1
        }
    }
}

/// A connection's one owner; it goes back when this ends.
struct Lease<Connection: AnyObject>: ~Copyable {
    /// The connection, for as long as the lease lasts.
    let connection: Connection
    private let key: Connections.Key
    private let connections: Connections
    private var isBroken = false

    fileprivate init(
        _ connection: Connection, _ key: Connections.Key, from connections: Connections
    ) {
        self.connection = connection
        self.key = key
        self.connections = connections
    }

    deinit {
        if isBroken {
            connections.noteDiscard()
        } else {
            connections.takeBack(connection, key)
        }
    }

    /// Closes the connection instead of giving it back.
    consuming func discard() { isBroken = true }
}

/// A lease where only a reference can be.
final class Leased<Connection: AnyObject> {
    private var lease: Lease<Connection>?
    let connection: Connection

    init(_ lease: consuming Lease<Connection>) {
        connection = lease.connection
        self.lease = consume lease
    }

    /// Closes the connection instead of giving it back.
    func discard() {
        switch self.lease.take() {
        case .some(let lease): lease.discard()
        case .none: break
        }
    }
}
