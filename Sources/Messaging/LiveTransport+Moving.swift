internal import DequeModule
public import Moves
internal import Wire

/// What a `MovingAgent` says, done.
extension LiveTransport {
    /// How often it is looked whether something takes too long.
    private static let tickInterval: UInt64 = 20_000_000
    /// More than this is not kept of a way that is held: it is dropped, and said.
    private static let keptMax = 1_000_000
    private static let keptBytesMax = 1 << 30
    private static let drainMax = Duration.seconds(3_600)
    /// The longest that the server may keep the agent waiting for one answer.
    private static let flushMax: Duration = .milliseconds(100)

    /// Begins a move; `takeFinished` says how it ended.
    ///
    /// - Parameter target: Where to, under an epoch that is above all that were before.
    /// - Throws: `MessagingError` where a way fails so that the agent cannot go on.
    public func begin(_ target: Route) throws(MessagingError) {
        let isBusy = isMoving
        if !isBusy { keptBytes = 0 }
        if !isBusy { move = LiveMove(target: target, began: clock.now) }
        let actions = mover.take(.told(target), at: clock.now)
        guard !isBusy else {
            var refused = LiveMove(target: target, began: clock.now)
            refused.ended = clock.now
            refused.outcome = .busy
            finished.append(refused)
            return
        }
        try perform(actions)
    }

    /// Has something done once, as soon as the next move has come to a step: a fault that is to happen there.
    ///
    /// - Parameters:
    ///   - stage: The step; what it begins with has been done. Nil: at none, whatever was said before.
    ///   - action: What is to be done.
    public func halt(at stage: MovingAgent.Stage?, _ action: @escaping () -> Void = {}) {
        halt = stage.map { ($0, action) }
    }

    /// The next move that has ended.
    public func takeFinished() -> LiveMove? {
        finished.isEmpty ? nil : finished.removeFirst()
    }

    /// When it is next to be looked at, where a move is going on.
    public var due: UInt64? { isMoving ? nextTick : nil }

    /// Looks at what a move waits for.
    func tend() throws(MessagingError) {
        guard isMoving else { return }
        try takeOpened()
        try keepHeld()
        switch mover.stage {
        case .asking: try lookForAnswer()
        case .draining:
            if nats?.transport.isInboundDrained ?? true, let epoch = mover.target?.epoch {
                try take(.drained(epoch: epoch))
            }
        case .marking:
            if let epoch = mover.target?.epoch, try zmq?.transport.isSettled(epoch) ?? false {
                try take(.confirmed(epoch: epoch))
            }
        case .opening, nil: break
        }
        guard isMoving, clock.now >= nextTick else { return }
        nextTick = clock.now + Self.tickInterval
        try take(.tick)
    }

    private func takeOpened() throws(MessagingError) {
        guard let (route, opening) = opening, let result = opening.take() else { return }
        self.opening = nil
        switch result {
        case .success(let ways):
            for way in ways { install(way, isHeld: true) }
            move?.opened = clock.now
            try take(.opened(epoch: route.epoch))
        case .failure(let error):
            move?.reason = error.description
            try take(.notOpened(epoch: route.epoch))
        }
    }

    /// On ZeroMQ the answer comes on the way that is held.
    private func keepHeld() throws(MessagingError) {
        guard zmq?.isHeld == true, let transport = zmq?.transport else { return }
        while let inbound = try transport.receive() {
            if zmq?.early.count ?? 0 < Self.keptMax, keptBytes < Self.keptBytesMax {
                keptBytes += inbound.contentSize
                zmq?.early.append(transport.credited(inbound))
            } else {
                remarks.append(.malformed("more came than is kept during a move"))
            }
        }
    }

    private func lookForAnswer() throws(MessagingError) {
        guard let target = mover.target, let transport = zmq?.transport,
            let answer = transport.decision, answer.epoch >= target.epoch
        else { return }
        // Where the agent stays, it hears on as before.
        guard answer != target || transport.topics.hasLast(target.epoch) else { return }
        try take(.answered(answer))
    }

    private func take(_ event: MovingAgent.Event) throws(MessagingError) {
        try perform(mover.take(event, at: clock.now))
    }

    func perform(_ actions: [MovingAgent.Action]) throws(MessagingError) {
        for action in actions { try perform(action) }
        if let halt, halt.stage == mover.stage {
            self.halt = nil
            halt.action()
        }
        if !isMoving { try grantWishes() }
    }

    private func perform(_ action: MovingAgent.Action) throws(MessagingError) {
        switch action {
        case .open(let route):
            opening?.opening.abandon()
            // The home is asked by ZeroMQ, wherever the agent is to live.
            let others: [Transport] = zmq == nil && route.transport != .zmq ? [.zmq] : []
            opening = (
                route,
                try WayOpening(
                    route.transport, beside: others, by: openers, topics: topics,
                    isPublishing: hasPublished)
            )
        case .close(let transport): close(transport)
        case .ask(let route): try zmq?.transport.ask(for: route)
        // However long the server stands still: what it has for the agent is nowhere else.
        case .drain: try nats?.transport.beginInboundDrain(within: Self.drainMax)
        case .hand(let transport): handOut(transport)
        case .release(let transport):
            move?.held = held(on: transport)
            release(transport)
        case .pause: pausedSince = pausedSince ?? clock.now
        case .mark(let former, let epoch): try mark(former, epoch)
        case .resume:
            move?.pause = pausedSince.map { clock.now - $0 } ?? 0
            pausedSince = nil
            switches += 1
        case .finish(let outcome):
            endFormerLife()
            guard var move else { return }
            move.outcome = outcome
            move.ended = clock.now
            finished.append(move)
            self.move = nil
        }
    }

    /// What came by ZeroMQ for a former life of an agent that lives on NATS comes first, and is all.
    private func endFormerLife() {
        guard mover.route.transport == .nats, zmq != nil else { return }
        handOut(.zmq)
        close(.zmq)
    }

    private func held(on transport: Transport) -> Int {
        switch transport {
        case .zmq: zmq?.early.count ?? 0
        case .nats: (nats?.early.count ?? 0) + (nats?.transport.waitingCount ?? 0)
        }
    }

    /// What was kept of a way that may be closed next is handed out before all else.
    private func handOut(_ transport: Transport) {
        switch transport {
        case .zmq:
            remarks.append(contentsOf: zmq?.early ?? [])
            zmq?.early = []
        case .nats:
            remarks.append(contentsOf: nats?.early ?? [])
            nats?.early = []
        }
        release(transport)
    }

    private func release(_ transport: Transport) {
        switch transport {
        case .zmq: zmq?.isHeld = false
        case .nats: nats?.isHeld = false
        }
    }

    /// Says where what was sent on a way ends.
    ///
    /// What was published is with the server before the proxies are asked, so they find all of it there.
    private func mark(_ former: Transport, _ epoch: UInt64) throws(MessagingError) {
        if former == .nats, let nats = nats?.transport, nats.isConnected,
            !nats.flush(within: Self.flushMax)
        {
            // Asked again with the next tick.
            return
        }
        try zmq?.transport.askToSettle(Route(former, epoch: epoch))
    }

    private func close(_ transport: Transport) {
        if let opening, opening.route.transport == transport {
            opening.opening.abandon()
            self.opening = nil
        }
        guard let way = way(transport) else { return }
        formerReconnections += way.reconnections
        switch transport {
        case .zmq: zmq = nil
        case .nats: nats = nil
        }
        WayClosing.close(way)
    }
}

extension AgentClient {
    /// What is recorded names the transport.
    func noteSwitch() {
        knownSwitches = transport.switches
        primaryDefects.transport = transport.name
        for outflow in outflows.values { outflow.strand = nil }
    }
}
