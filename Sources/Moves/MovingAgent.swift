public import Wire

/// The moving agent's side of a move: what it does when, as a value.
///
/// It opens the new way before it leaves the old one, and from then on hears on both: what comes on the
/// new one waits until the old one has ended, and then follows through the receiver's rule, which drops
/// what came on both. Once it has asked the owner of its registry entry to move it, only the owner decides:
/// the agent asks again until it is answered, and never goes back by itself, because it cannot know
/// whether it was moved.
///
/// It sends on the old way until it hears on the new one, then stops for as long as the owner needs to
/// see the end of what it sent there, and goes on on the new one.
public struct MovingAgent: Sendable {
    /// What happens to it.
    public enum Event: Sendable, Hashable {
        /// It is told to move, under an epoch that is above all that were before.
        case told(Route)
        /// The new way is there: what is sent to the agent from now on comes on it, too.
        case opened(epoch: UInt64)
        /// The new way could not be opened.
        case notOpened(epoch: UInt64)
        /// The owner says where the agent lives. On the way from the owner this is behind everything
        /// that the owner sent on ZeroMQ before it decided.
        case answered(Route)
        /// Nothing more comes on NATS, and everything that did was handed on.
        case drained(epoch: UInt64)
        /// All that was sent on the old way has gone where it goes.
        case confirmed(epoch: UInt64)
        /// Time goes by.
        case tick
    }

    /// What it does.
    public enum Action: Sendable, Hashable {
        /// Opens the new way, and keeps what comes on it.
        case open(Route)
        /// Closes a way, with what is kept of it.
        case close(Transport)
        /// Asks the owner to be moved.
        case ask(Route)
        /// Ends the subscription on NATS, after what is on its way there.
        case drain(epoch: UInt64)
        /// Hands out what was kept of a way that ends.
        case hand(Transport)
        /// Hands out what was kept of the new way, and what comes on it from now on.
        case release(Transport)
        /// Sends nothing until `resume`.
        case pause
        /// Sends the last message of the old way.
        case mark(Transport, epoch: UInt64)
        /// Sends on this way.
        case resume(Transport)
        /// The move is over.
        case finish(Outcome)
    }

    /// How a move ended.
    public enum Outcome: Sendable, Hashable {
        /// The agent is where it was to go.
        case moved
        /// The owner decided that it stays, or it never asked.
        case stayed(at: Stage)
        /// It is there already.
        case unchanged
        /// Another move goes on.
        case busy
    }

    /// Where a move stands.
    public enum Stage: String, Sendable, Hashable, CaseIterable {
        case opening, asking, draining, marking
    }

    private struct Move: Sendable, Hashable {
        var target: Route
        /// Whether the agent has just been started, and lives nowhere yet.
        var isFirst = false
        var stage: Stage
        /// When the stage began.
        var began: UInt64
        /// When the same was last asked.
        var asked: UInt64
    }

    /// Where it hears, and where it is registered as far as it knows.
    public private(set) var route: Route
    /// Where it sends; it may be behind `route` for as long as it waits for a confirmation.
    public private(set) var sending: Transport
    /// The stage of the move that goes on; nil where none does.
    public var stage: Stage? { move?.stage }
    /// Where it is to go, or to start; nil where no move goes on.
    public var target: Route? { move?.target }
    private var move: Move?
    private let deadlines: MoveDeadlines

    /// An agent that is attached.
    public init(at route: Route, deadlines: MoveDeadlines = MoveDeadlines()) {
        self.route = route
        sending = route.transport
        self.deadlines = deadlines
    }

    /// An agent that was started, and is to live where its starter thinks that it does.
    ///
    /// A former life may have been moved since, or be about to be: where the owner says otherwise, the
    /// agent goes there. Until it was answered it hands nothing out and sends nothing, and keeps what
    /// comes by ZeroMQ, on which it asks, wherever it is to live.
    ///
    /// - Parameters:
    ///   - route: Where, under an epoch that is above all that were before.
    ///   - deadlines: How long steps may take.
    ///   - now: The time.
    /// - Returns: The agent, and what it does first.
    public static func starting(
        at route: Route, deadlines: MoveDeadlines = MoveDeadlines(), now: UInt64
    ) -> (MovingAgent, [Action]) {
        var agent = MovingAgent(at: Route(route.transport, epoch: 0), deadlines: deadlines)
        agent.move = Move(target: route, isFirst: true, stage: .opening, began: now, asked: now)
        return (agent, [.pause, .open(route)])
    }

    /// What follows from an event.
    public mutating func take(_ event: Event, at now: UInt64) -> [Action] {
        switch event {
        case .told(let target): return begin(target, at: now)
        case .opened(let epoch):
            guard let target = target(in: .opening, epoch) else { return [] }
            enter(.asking, at: now)
            return [.ask(target)]
        case .notOpened(let epoch):
            guard let target = target(in: .opening, epoch) else { return [] }
            // Who lives nowhere tries again when its time is up.
            return move?.isFirst == true ? [] : stay(leaving: target.transport, epoch: route.epoch)
        case .answered(let answer): return take(answer, at: now)
        case .drained(let epoch):
            guard let target = target(in: .draining, epoch) else { return [] }
            return settle(on: target, at: now)
        case .confirmed(let epoch):
            guard let target = target(in: .marking, epoch) else { return [] }
            let former = sending
            sending = target.transport
            move = nil
            return [.resume(target.transport), .close(former), .finish(.moved)]
        case .tick: return remind(at: now)
        }
    }

    private mutating func begin(_ target: Route, at now: UInt64) -> [Action] {
        guard move == nil else { return [.finish(.busy)] }
        guard target.epoch > route.epoch else { return [.finish(.stayed(at: .opening))] }
        guard target.transport != route.transport else { return [.finish(.unchanged)] }
        move = Move(target: target, stage: .opening, began: now, asked: now)
        return [.open(target)]
    }

    private mutating func take(_ answer: Route, at now: UInt64) -> [Action] {
        // What is older than what was asked says nothing about it.
        guard let move, move.stage == .asking, answer.epoch >= move.target.epoch else { return [] }
        if move.isFirst { return start(at: answer, instead: move.target, at: now) }
        guard answer == move.target else {
            return stay(leaving: move.target.transport, epoch: answer.epoch)
        }
        switch move.target.transport {
        case .nats: return settle(on: move.target, at: now)
        case .zmq:
            enter(.draining, at: now)
            return [.drain(epoch: move.target.epoch)]
        }
    }

    private mutating func start(
        at answer: Route, instead target: Route, at now: UInt64
    ) -> [Action] {
        guard answer.transport == target.transport else {
            // It lives elsewhere, and has to be there before it asks again. What came here was for it.
            move?.target = answer
            enter(.opening, at: now)
            return [.hand(target.transport), .close(target.transport), .open(answer)]
        }
        route = answer
        sending = answer.transport
        move = nil
        // What came by ZeroMQ before the answer is from when a former life lived there.
        return [
            .hand(.zmq), .release(answer.transport), .resume(answer.transport), .finish(.moved),
        ]
    }

    /// The old way has ended: what came on the new one follows, and then the agent's own sending.
    private mutating func settle(on target: Route, at now: UInt64) -> [Action] {
        let former = route.transport
        route = target
        enter(.marking, at: now)
        return [.release(target.transport), .pause, .mark(former, epoch: target.epoch)]
    }

    private mutating func stay(leaving transport: Transport, epoch: UInt64) -> [Action] {
        let stage = move?.stage ?? .opening
        route.epoch = max(route.epoch, epoch)
        move = nil
        return [.close(transport), .finish(.stayed(at: stage))]
    }

    private mutating func remind(at now: UInt64) -> [Action] {
        guard let move else { return [] }
        if move.stage == .opening {
            guard now >= move.began + deadlines.step else { return [] }
            if move.isFirst {
                self.move?.began = now
                return [.open(move.target)]
            }
            // Nobody was asked yet: it may stay by itself.
            return stay(leaving: move.target.transport, epoch: route.epoch)
        }
        guard now >= move.asked + deadlines.again else { return [] }
        self.move?.asked = now
        switch move.stage {
        case .opening: return []
        case .asking: return [.ask(move.target)]
        case .draining: return [.drain(epoch: move.target.epoch)]
        case .marking: return [.mark(sending, epoch: move.target.epoch)]
        }
    }

    private mutating func enter(_ stage: Stage, at now: UInt64) {
        move?.stage = stage
        move?.began = now
        move?.asked = now
    }

    private func target(in stage: Stage, _ epoch: UInt64) -> Route? {
        guard let move, move.stage == stage, move.target.epoch == epoch else { return nil }
        return move.target
    }
}
