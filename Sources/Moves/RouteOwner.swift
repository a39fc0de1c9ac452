internal import Wire

/// The side of an agent's home proxy in its moves: it owns the registry's entry, and decides.
///
/// The entry is changed in one step, between two messages: what the proxy had for the agent before goes
/// one way, what comes after the other. Whatever the agent asks twice is answered alike, for an answer may be
/// lost, and so may be the life of the proxy that gave it: the entry is durable, the rest is asked again.
public struct RouteOwner: Sendable {
    /// What happens to it.
    public enum Event: Sendable, Hashable {
        /// The agent asks to be moved.
        case asked(Route)
        /// Everything that NATS had for this proxy, and took from it, before the flush is here, or there.
        case flushed(token: UInt64)
        /// The flush failed, or NATS is gone.
        case notFlushed(token: UInt64)
        /// Time goes by.
        case tick
    }

    /// What it does.
    public enum Action: Sendable, Hashable {
        /// Subscribes on NATS to what is for the agent, beside it.
        case listen
        /// Ends that subscription; what comes of it from now on is the agent's own.
        case unlisten
        /// Asks NATS for an answer behind everything that was before.
        case flush(token: UInt64)
        /// Writes the entry where it outlives this process, and sends by it from now on.
        case register(Route)
        /// Tells the agent, behind everything that was sent to it on ZeroMQ.
        case answer(Route)
    }

    private enum Phase: Sendable, Hashable {
        case settled
        /// What is still in NATS for the agent is waited for.
        case collecting(Route, token: UInt64, began: UInt64)
        /// The agent's way over ZeroMQ is about to be used.
        case joining(Route, token: UInt64, began: UInt64)
        /// It is used; what this proxy published to the agent before is waited for.
        case trailing(Route, token: UInt64, began: UInt64)
    }

    /// The entry.
    public private(set) var route: Route
    private var phase = Phase.settled
    private var tokens: UInt64
    private let deadlines: MoveDeadlines

    /// An entry, as it was read or as the agent came first.
    ///
    /// - Parameters:
    ///   - route: The entry.
    ///   - firstToken: Above every token of a former life whose answer may still come.
    ///   - deadlines: How long flushes may take.
    public init(
        _ route: Route, firstToken: UInt64 = 1, deadlines: MoveDeadlines = MoveDeadlines()
    ) {
        self.route = route
        tokens = firstToken
        self.deadlines = deadlines
    }

    /// Whether nothing about the entry is being decided.
    public var isSettled: Bool { phase == .settled }

    /// What follows from an event.
    public mutating func take(_ event: Event, at now: UInt64) -> [Action] {
        switch event {
        case .asked(let target): return asked(target, at: now)
        case .flushed(let token): return flushed(token, at: now)
        case .notFlushed(let token): return notFlushed(token, at: now)
        case .tick: return late(at: now)
        }
    }

    private mutating func asked(_ target: Route, at now: UInt64) -> [Action] {
        var abandoned: [Action] = []
        switch phase {
        case .settled: break
        case .collecting(let asked, _, _), .joining(let asked, _, _), .trailing(let asked, _, _):
            // It is answered when that is decided.
            guard target.epoch > asked.epoch else { return [] }
            // Who asks for something else is another life: nobody waits for what was asked before.
            if case .joining = phase { abandoned = [.unlisten] }
            phase = .settled
        }
        return abandoned + decide(target, at: now)
    }

    private mutating func decide(_ target: Route, at now: UInt64) -> [Action] {
        guard target.epoch > route.epoch else { return again(target, at: now) }
        tokens += 1
        switch target.transport {
        case .nats where route.transport == .zmq:
            phase = .collecting(target, token: tokens, began: now)
            return [.flush(token: tokens)]
        case .zmq where route.transport == .nats:
            phase = .joining(target, token: tokens, began: now)
            return [.listen, .flush(token: tokens)]
        default:
            // It is there: the decision has a number all the same.
            route.epoch = target.epoch
            return [.register(route), .answer(route)]
        }
    }

    /// What was decided is asked again: the answer was lost, or the life that was to give it.
    private mutating func again(_ target: Route, at now: UInt64) -> [Action] {
        // Whether all that was published to the agent is in NATS only the life before knew.
        guard target == route, route.transport == .zmq else { return [.answer(route)] }
        tokens += 1
        phase = .trailing(route, token: tokens, began: now)
        return [.flush(token: tokens)]
    }

    private mutating func flushed(_ token: UInt64, at now: UInt64) -> [Action] {
        switch phase {
        case .collecting(let target, token, _):
            route = target
            phase = .settled
            return [.register(route), .unlisten, .answer(route)]
        case .joining(let target, token, _):
            route = target
            tokens += 1
            phase = .trailing(target, token: tokens, began: now)
            return [.register(route), .flush(token: tokens)]
        case .trailing(_, token, _):
            phase = .settled
            return [.answer(route)]
        default: return []
        }
    }

    private mutating func notFlushed(_ token: UInt64, at now: UInt64) -> [Action] {
        switch phase {
        case .collecting(let target, token, _): return stay(target, [])
        case .joining(let target, token, _): return stay(target, [.unlisten])
        default: return []
        }
    }

    private mutating func late(at now: UInt64) -> [Action] {
        switch phase {
        case .collecting(_, let token, let began) where now >= began + deadlines.step,
            .joining(_, let token, let began) where now >= began + deadlines.step:
            return notFlushed(token, at: now)
        case .trailing(let target, _, let began) where now >= began + deadlines.step:
            // The agent is on ZeroMQ by now, and leaves NATS only when it is answered: what is there
            // for it is waited for as long as that takes.
            tokens += 1
            phase = .trailing(target, token: tokens, began: now)
            return [.flush(token: tokens)]
        default: return []
        }
    }

    /// The agent stays where it is; that, too, is a decision with a number, so that nothing which was
    /// asked under this one is done later.
    private mutating func stay(_ target: Route, _ actions: [Action]) -> [Action] {
        route.epoch = target.epoch
        phase = .settled
        return actions + [.register(route), .answer(route)]
    }
}
