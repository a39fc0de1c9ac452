internal import JSON
internal import Recording
internal import Wire
internal import ZeroMQ

extension BranchProxy {
    /// Where an envelope came from decides where it may go.
    enum Origin {
        case agent
        case link
        /// The subject of the agent itself: who is on NATS has it already.
        case nats
        /// NATS, but not as its receiver could have it.
        case translation
    }

    /// One message from the ROUTER: the sender's routing id, and what it sent.
    ///
    /// - Parameters:
    ///   - frames: Its frames, or the first of them where it has more than any that is known.
    ///   - count: How many frames it had.
    /// - Throws: `RoutingError` when a socket fails.
    func handle(_ frames: [[UInt8]], of count: Int) throws(RoutingError) {
        let sender = frames[0]
        // Nothing is said there; but by whom somebody calls himself so, it is.
        guard !sender.starts(with: Self.beatPrefix) else { return }
        let peer = peers[sender]
        if let peer { noteConnection(of: peer) }
        switch count {
        case 2: try routeSeed(frames[1], from: sender, peer)
        case 4 where frames[1].isEmpty:
            try handleForProxy(frames[2], frames[3], from: sender, peer)
        case 4: try routeFrames(frames, from: sender, peer)
        default:
            malformed("\(count - 1) frames", from: sender)
        }
        // After a hello, which says how much it takes.
        guard let peer, !peer.wasAttached else { return }
        peer.wasAttached = true
        try pump(peer)
    }

    /// Accounts for what cannot be read: a message, unless it was for the proxy itself.
    func malformed(_ what: String, from sender: [UInt8], isMessage: Bool = true) {
        let name = String(decoding: sender.prefix(80), as: UTF8.self)
        guard isMessage else {
            return deadLetters.addMalformed("\(what) from '\(name)'", history: history)
        }
        let isNamed = sender.first.map { $0 > 0 } ?? false
        deadLetters.addUnreadable(
            "\(what) from '\(name)'", from: isNamed ? name : "", history: history)
    }

    private func routeFrames(
        _ frames: [[UInt8]], from sender: [UInt8], _ peer: Peer?
    ) throws(RoutingError) {
        let header = frames[2]
        guard let view = HeaderView(header), !view.isTopic,
            header[view.destination].elementsEqual(frames[1])
        else { return malformed("a header that is none", from: sender) }
        guard view.kind.isForAgents else {
            return malformed("\(view.kind) for an agent", from: sender)
        }
        let isLink = sender.starts(with: Link.routingIDPrefix)
        let parcel = Parcel(header: header, content: frames[3])
        guard parcel.isWhole else { return malformed("a batch that is none", from: sender) }
        if peer?.keepsHistory == false, view.kind.carriesContent {
            guard let envelopes = parcel.envelopes else {
                return malformed("a batch that is none", from: sender)
            }
            for envelope in envelopes { history.record(envelope, .sent, transport: .zmq) }
        }
        try deliver(
            parcel, view, to: frames[1],
            origin: isLink ? .link : .agent,
            source: peer?.number ?? number(of: isLink ? [] : sender, else: header[view.source]),
            sender: peer)
    }

    private func routeSeed(
        _ bytes: [UInt8], from sender: [UInt8], _ peer: Peer?
    ) throws(RoutingError) {
        let message: SeedMessage
        do throws(WireError) {
            message = try SeedMessage(parsing: bytes)
        } catch {
            return malformed(error.description, from: sender)
        }
        let name = String(decoding: sender, as: UTF8.self)
        guard let envelope = stamper.stamp(message, bytes, sender: name, now: clock.now) else {
            return malformed("a seed message with a name that is not legal", from: sender)
        }
        history.record(envelope, .sent, transport: .zmq)
        let parcel = Parcel(envelope, seed: bytes)
        guard let view = HeaderView(parcel.header) else { return }
        try deliver(
            parcel, view, to: Array(message.to.utf8), origin: .agent,
            source: peer?.number ?? number(of: sender, else: parcel.header[view.source]),
            sender: peer)
    }

    /// Who a sender is in the statistics: its connection's name or, without one, what it says.
    private func number(of sender: [UInt8], else said: ArraySlice<UInt8>) -> Int {
        let isNamed = sender.first.map { $0 > 0 } ?? false
        return passage.statistics.number(of: isNamed ? sender : Array(said))
    }

    /// Brings a parcel on its way: to the agent, to its branch, or to NATS.
    func deliver(
        _ parcel: Parcel, _ view: HeaderView, to destination: [UInt8], origin: Origin,
        source: Int, sender: Peer? = nil
    ) throws(RoutingError) {
        guard view.hops <= Envelope.hopsMax else { return drop(parcel, .hopLimit) }
        if let peer = peers[destination] {
            count(parcel, source, peer.number)
            if origin == .link, peer.transport == .nats || peer.held != nil {
                publishedFromLinks.insert(source)
            }
            try deliver(parcel, to: peer, origin: origin, sender: sender)
        } else if origin == .agent, let link = remote[destination] {
            count(parcel, source, passage.statistics.number(of: destination))
            sender?.linksUsed.insert(link.name)
            try admit(parcel, to: link, for: destination, from: sender)
            try pump(link)
        } else if origin == .agent, try sendToStranger(parcel, destination) {
            count(parcel, source, passage.statistics.number(of: destination))
        } else {
            drop(parcel, .unknownDestination)
        }
    }

    private func count(_ parcel: Parcel, _ source: Int, _ destination: Int) {
        passage.statistics.count(
            from: source, to: destination, bytes: parcel.seed?.count ?? parcel.content.count,
            messages: parcel.messageCount)
    }

    private func deliver(
        _ parcel: Parcel, to peer: Peer, origin: Origin, sender: Peer?
    ) throws(RoutingError) {
        if peer.held != nil {
            sender?.usedNATS = true
            return keep(parcel, for: peer)
        }
        switch peer.transport {
        case .zmq:
            try admit(parcel, to: peer, for: peer.routingID, from: sender)
            try pump(peer)
        case .nats where origin == .nats: noteDirect(parcel, to: peer)
        case .nats:
            sender?.usedNATS = true
            publish(parcel, to: peer)
        }
    }

    /// Somebody who is no agent of the topology but is connected; false when nobody is.
    private func sendToStranger(
        _ parcel: Parcel, _ destination: [UInt8]
    ) throws(RoutingError) -> Bool {
        // Other proxies and probes are nobody to send to, nor are connections without a name.
        guard let first = destination.first, first > 0, first != UInt8(ascii: "_") else {
            return false
        }
        if parcel.isBatch {
            guard let parts = parcel.split else { return false }
            for part in parts where try !sendToStranger(part, destination) { return false }
            return true
        }
        // No queue is kept for strangers.
        let result = try zeroMQ { () throws(ZeroMQError) in
            try passage.router.send([destination, parcel.header, parcel.content])
        }
        if result == .wouldBlock { drop(parcel, .queueFull) }
        return result != .unreachable
    }

    /// Accounts for a parcel that goes no further.
    func drop(_ parcel: Parcel, _ reason: DeadLetterReason) {
        for identity in parcel.identities {
            deadLetters.add(identity, reason, history: history)
        }
    }

    /// The same, and has its receiver told.
    func drop(_ parcel: Parcel, _ reason: DeadLetterReason, tell gaps: inout GapLedger) {
        for identity in parcel.identities {
            deadLetters.add(identity, reason, history: history)
            if parcel.takesCredit {
                gaps.add(identity, isKept: parcel.isKept, reason: reason.rawValue)
            }
        }
    }

    /// Sends what waits for an agent, as far as it takes it.
    func pump(_ peer: Peer) throws(RoutingError) {
        blocked[ObjectIdentifier(peer)] = nil
        guard peer.isReady else { return }
        peer.outlet.prependEvicted(clock: clock)
        while let parcel = peer.outlet.next {
            if parcel.isBatch, !peer.takesBatches {
                if !peer.outlet.splitNext() {
                    peer.outlet.removeNext()
                    drop(parcel, .malformed, tell: &peer.outlet.gaps)
                }
                continue
            }
            let frames: [[UInt8]]
            switch peer.wire {
            case .frames: frames = [peer.routingID, parcel.header, parcel.content]
            case .json where !parcel.takesCredit:
                // Markers and gap notices mean nothing to it.
                peer.outlet.sent()
                continue
            case .json: frames = [peer.routingID, parcel.seedBytes]
            }
            let result = try zeroMQ { () throws(ZeroMQError) in try passage.router.send(frames) }
            guard result == .sent else {
                peer.isReachable = result == .wouldBlock
                // Who comes back is another incarnation, and a last marker is not meant for it.
                if !peer.isReachable { peer.outlet.removeOwn() }
                blocked[ObjectIdentifier(peer)] = peer
                return
            }
            peer.isReachable = true
            peer.outlet.sent()
            if !peer.keepsHistory, parcel.takesCredit, let envelope = parcel.envelope {
                peer.wasHanded = true
                history.record(envelope, .delivered, transport: .zmq)
            }
        }
        guard !peer.outlet.gaps.isEmpty, peer.outlet.isEmpty else { return }
        peer.outlet.appendGaps(clock: clock)
        try pump(peer)
    }

    /// Sends what waits for another branch, as far as its proxy takes it.
    func pump(_ link: Link) throws(RoutingError) {
        link.outlet.prependEvicted(clock: clock)
        while let parcel = link.outlet.next {
            let destination = HeaderView(parcel.header).map { Array(parcel.header[$0.destination]) }
            let result = try zeroMQ { () throws(ZeroMQError) in
                try link.socket.send([destination ?? [], parcel.header, parcel.content])
            }
            guard result == .sent else { return }
            link.outlet.sent()
        }
        guard !link.outlet.gaps.isEmpty else { return }
        link.outlet.appendGaps(clock: clock)
        try pump(link)
    }
}
