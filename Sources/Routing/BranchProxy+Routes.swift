internal import Glibc
internal import JSON
internal import Moves
internal import Wire

/// Moves that agents ask for while they go on.
///
/// A `RouteOwner` says what happens when; here is what carries it out. Nothing is held: the agent hears on both
/// ways for a while, and what is decided between two messages is where the next one goes.
extension BranchProxy {
    private var now: UInt64 { clock.now }
    /// So many questions are under way at most as fit into the time after which one is given up.
    private static let settlingPatience = Duration.milliseconds(250)

    /// An agent asks to live somewhere.
    func decide(_ content: [UInt8], for peer: Peer) throws(RoutingError) {
        guard let target = (try? Value(parsing: content)).flatMap({ Route($0) }) else {
            return malformed("a move to nowhere", from: peer.routingID, isMessage: false)
        }
        let route = Route(peer.transport, epoch: peer.epoch)
        // Who is moved by a restart, or cannot hear on both ways, stays where it is.
        guard peer.wire == .frames, peer.keepsHistory, peer.held == nil, !peer.isReleasing else {
            return try answer(
                Route(route.transport, epoch: max(route.epoch, target.epoch)), to: peer)
        }
        if peer.owner == nil {
            // The end of what was asked in an earlier decision must not be taken for one of this.
            peer.owner = RouteOwner(route, firstToken: routeTokens)
            routeTokens += 1_000_000
            deciding.append(peer)
        }
        try tell(peer, .asked(target))
    }

    /// Decides nothing more of what an agent has asked for.
    func abandonDecision(about peer: Peer) {
        peer.owner = nil
        deciding.removeAll { $0 === peer }
    }

    private func tell(_ peer: Peer, _ event: RouteOwner.Event) throws(RoutingError) {
        for action in peer.owner?.take(event, at: now) ?? [] { try perform(action, for: peer) }
        if peer.owner?.isSettled == true { abandonDecision(about: peer) }
    }

    private func perform(_ action: RouteOwner.Action, for peer: Peer) throws(RoutingError) {
        switch action {
        case .listen: listen(to: peer) { _ in }
        case .unlisten: unlisten(to: peer)
        case .flush(let token): flush(for: peer, token)
        case .register(let route):
            flip(peer, to: route.transport, epoch: route.epoch)
        case .answer(let route): try answer(route, to: peer)
        }
        if let step = peer.haltAt, step == MoveDecisionStep(action) {
            peer.haltAt = nil
            log("HALT: at '\(step.rawValue)', as asked")
            raise(SIGSTOP)
        }
    }

    /// Has NATS take all that is for it, and takes all that it has.
    private func flush(for peer: Peer, _ token: UInt64) {
        let wait = Countdown(2)
        let finish: (Bool) -> Void = { [self] isDone in
            guard let isAllDone = wait.end(isDone) else { return }
            do throws(RoutingError) {
                try tell(peer, isAllDone ? .flushed(token: token) : .notFlushed(token: token))
            } catch {
                log("ROUTING: \(error)")
            }
        }
        guard let bridge, bridge.isConnected else {
            // Not from within the event that asks for it.
            inbox.post(.done(token: pending.add(finish), false))
            return inbox.post(.done(token: pending.add(finish), false))
        }
        bridge.flush(token: pending.add(finish))
        catchUp(with: peer, finish)
    }

    /// Ends the bridge's subscription for an agent that hears NATS itself.
    private func unlisten(to peer: Peer) {
        guard let bridge, peer.isListening, !isWatching(peer) else { return }
        peer.isListening = false
        peer.isLeaving = true
        bridge.drain(tag: peer.name, token: pending.add { _ in peer.isLeaving = false })
    }

    /// Behind all that was sent to the agent on ZeroMQ.
    private func answer(_ route: Route, to peer: Peer) throws(RoutingError) {
        peer.outlet.append(
            Parcel(
                ownEnvelope(
                    .marker, type: MoveWord.answer, to: peer.name,
                    content: Array(route.json.canonical.utf8)), isOwn: true))
        try pump(peer)
    }

    /// Lets time pass for what is being decided.
    func tendDecisions() throws(RoutingError) {
        for peer in deciding { try tell(peer, .tick) }
    }

    /// All that an agent sent on a way that ends has gone on: from here, from the proxies beside this one that
    /// had some of it, and NATS has it, or has given it.
    func settle(
        _ header: [UInt8], _ content: [UInt8], from sender: [UInt8], _ peer: Peer?
    ) throws(RoutingError) {
        let asked = try? Value(parsing: content)
        if sender.starts(with: Link.routingIDPrefix) {
            guard let question = asked.flatMap({ LinkQuestion($0) }) else {
                return malformed("the end of no way", from: sender, isMessage: false)
            }
            return try settle(question, [sender, header, content])
        }
        guard let peer, let former = asked.flatMap({ Route($0) }) else {
            return malformed("the end of no way", from: sender, isMessage: false)
        }
        // Asked again soon, it is answered when that is done; later, somebody who was asked is not there any more.
        if let (epoch, since) = peer.settling, epoch == former.epoch,
            ContinuousClock.now - since < Self.settlingPatience
        {
            return
        }
        let isOnNATS = former.transport == .nats
        // Whatever it published there went to whoever hears it.
        let passed =
            isOnNATS
            ? Array(links.values) : links.values.filter { peer.linksUsed.contains($0.name) }
        let needsNATS = needsNATS(isOnNATS: isOnNATS, hasPublished: peer.usedNATS)
        let count = passed.count + (needsNATS ? 1 : 0)
        if count > 0 { peer.settling = (former.epoch, .now) }
        let wait = Countdown(max(count, 1))
        try echo([sender, header, content], after: count) {
            [self] done throws(RoutingError) in
            let finish: (Bool) -> Void = { isDone in
                if wait.end(isDone) != nil { peer.settling = nil }
                done(isDone)
            }
            for link in passed {
                let question = LinkQuestion(
                    token: pending.add(finish), agent: peer.name, transport: former.transport)
                try pass(MoveWord.settle, over: link, question.bytes)
            }
            if needsNATS { bridge?.catchUp(token: pending.add(finish)) }
        }
    }

    /// The same for an agent of another branch, whose proxy asks.
    private func settle(_ question: LinkQuestion, _ echo: [[UInt8]]) throws(RoutingError) {
        let source = passage.statistics.number(of: Array(question.agent.utf8))
        let needsNATS = needsNATS(
            isOnNATS: question.transport == .nats,
            hasPublished: publishedFromLinks.contains(source))
        try self.echo(echo, after: needsNATS ? 1 : 0) { [self] finish throws(RoutingError) in
            bridge?.catchUp(
                token: pending.add { [self] isDone in
                    if isDone { publishedFromLinks.remove(source) }
                    finish(isDone)
                })
        }
    }

    /// Whether NATS has to answer before all that an agent sent is known to have gone on.
    ///
    /// A server that is away has nothing any more that it could still give; what waits here for it has to go.
    private func needsNATS(isOnNATS: Bool, hasPublished: Bool) -> Bool {
        guard let bridge else { return false }
        return isOnNATS ? bridge.isConnected : hasPublished
    }
}

/// What one proxy asks another about an agent that leaves a way, in the content of a marker that comes back.
struct LinkQuestion {
    let token: UInt64
    let agent: String
    let transport: Transport

    var bytes: [UInt8] {
        let value: Value = [
            "token": Value(token), "agent": .string(agent),
            "transport": .string(transport.rawValue),
        ]
        return Array(value.canonical.utf8)
    }
}

extension LinkQuestion {
    init?(_ value: Value) {
        guard let token = value["token"]?.integer.flatMap(UInt64.init(exactly:)),
            let agent = value["agent"]?.string,
            let transport = value["transport"]?.string.flatMap(Transport.init(rawValue:))
        else { return nil }
        self.init(token: token, agent: agent, transport: transport)
    }
}

/// What has just been done for a decision where an agent lives.
public enum MoveDecisionStep: String, Sendable, CaseIterable {
    /// NATS was asked to confirm.
    case collecting
    /// The registry says what was decided.
    case registered
    /// The agent was answered.
    case answered

    init?(_ action: RouteOwner.Action) {
        switch action {
        case .flush: self = .collecting
        case .register: self = .registered
        case .answer: self = .answered
        case .listen, .unlisten: return nil
        }
    }
}
