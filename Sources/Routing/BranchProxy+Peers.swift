internal import JSON
internal import Moves
internal import Wire
internal import ZeroMQ

extension BranchProxy {
    /// A message with an empty destination is for the proxy itself.
    func handleForProxy(
        _ header: [UInt8], _ content: [UInt8], from sender: [UInt8], _ peer: Peer?
    ) throws(RoutingError) {
        guard let view = HeaderView(header) else {
            return malformed("a header that is none", from: sender, isMessage: false)
        }
        switch view.kind {
        case .hello: try handleHello(content, from: sender, peer)
        case .credit:
            guard let count = UInt64(decimal: content).flatMap(Int.init(exactly:)) else {
                return malformed("credit that is no number", from: sender, isMessage: false)
            }
            guard let peer else { return }
            peer.outlet.replenish(count)
            try pump(peer)
        case .marker:
            let type = (try? Envelope(header: header, content: []))?.type
            if type == MoveWord.ask, let peer {
                try decide(content, for: peer)
            } else if type == MoveWord.settle {
                try settle(header, content, from: sender, peer)
            } else {
                try handleMarker(header, content, from: sender, peer)
            }
        case .content, .acknowledgement, .gap, .batch:
            malformed(
                "\(view.kind) for the proxy", from: sender, isMessage: view.kind.carriesContent)
        }
    }

    private func handleHello(
        _ content: [UInt8], from sender: [UInt8], _ peer: Peer?
    ) throws(RoutingError) {
        guard let hello = try? Value(parsing: content), hello.object != nil else {
            return malformed("a hello that is no JSON object", from: sender, isMessage: false)
        }
        // Whoever asks is answered, registered or not: that is how readiness is checked.
        try say([sender] + ownHello(to: sender, isRegistered: peer != nil))
        guard let peer else { return }
        unasked.removeAll { $0 === peer }
        let window = hello["window"]?.integer.map { Int(min(max($0, 1), 1_000_000)) }
        peer.outlet.attach(window: window)
        // What ended before has given its number back, perhaps to the connection of this hello.
        try hearOfDisconnects()
        peer.seat = passage.incoming.connection()
        peer.beatDue =
            hello["beats"] == true ? .now + configuration.peerTimeout + Self.beatGrace : nil
        peer.heedsPauses = hello["pauses"]?.bool ?? false
        peer.wasAskedToPause = false
        forgetPauses(of: peer)
        peer.saidBatches = hello["batches"]?.bool == true
        let incarnation = hello["incarnation"]?.integer.flatMap(UInt32.init(exactly:)) ?? 0
        if incarnation != peer.incarnation { peer.outlet.removeOwn() }
        peer.incarnation = incarnation
        log("HELLO: \(peer.name), incarnation \(peer.incarnation)")
        try pump(peer)
    }

    private func ownHello(
        to receiver: [UInt8], isRegistered: Bool, isAsking: Bool = false
    ) -> [[UInt8]] {
        var content: [String: Value] = [
            "branch": .string(configuration.name), "incarnation": Value(incarnation),
            "registered": .bool(isRegistered),
            "peer_timeout_ms": Value(Int(configuration.peerTimeout / .milliseconds(1))),
        ]
        if isAsking { content["again"] = true }
        return own(.hello, type: "hello", to: receiver, content: .object(content))
    }

    /// After a restart, says hello to every agent as soon as it can be reached.
    ///
    /// Its connection comes back by itself, and it does not know that the proxy behind it is another
    /// one, which has not heard how much it takes: it says hello again when it hears of that.
    func askForHellos() throws(RoutingError) {
        guard !unasked.isEmpty, ContinuousClock.now >= nextAsk else { return }
        nextAsk = .now + askInterval
        var left: [Peer] = []
        for peer in unasked {
            guard peer.transport == .zmq else {
                left.append(peer)
                continue
            }
            let frames =
                [peer.routingID] + ownHello(to: peer.routingID, isRegistered: true)
            let result = try zeroMQ { () throws(ZeroMQError) in try passage.router.send(frames) }
            if result != .sent { left.append(peer) }
        }
        unasked = left
    }

    /// Asks agents whose connection was lost to say hello again, where something depends on it.
    ///
    /// libzmq connects again by itself, and the agent does not know that what was in the connection
    /// is gone: credit for what waits here, or the word that it may go on. An agent that was started
    /// again says hello before anything is asked.
    func askTheStrayed() throws(RoutingError) {
        guard !strayed.isEmpty, ContinuousClock.now >= nextSearch else { return }
        nextSearch = .now + .milliseconds(100)
        strayed.removeAll { $0.seat != nil || $0.transport != .zmq }
        for peer in strayed where peer.held == nil && peer.nextAsk <= .now {
            guard peer.wasAskedToPause || peer.outlet.waitsForCredit else { continue }
            let frames =
                [peer.routingID]
                + ownHello(to: peer.routingID, isRegistered: true, isAsking: true)
            let result = try zeroMQ { () throws(ZeroMQError) in try passage.router.send(frames) }
            guard result == .sent else { continue }
            log("ASKED: \(peer.name) lost its connection, and is to say hello again")
            peer.nextAsk = .now + .seconds(1)
        }
    }

    /// How often those are tried that were not there: often at first, since whoever is still there
    /// is back within milliseconds.
    var askInterval: Duration {
        ContinuousClock.now < began + .seconds(3) ? .milliseconds(2) : .milliseconds(100)
    }

    /// Header and content of something that the proxy itself says.
    func own(
        _ kind: Envelope.Kind, type: String, to receiver: [UInt8], content: Value? = nil
    ) -> [[UInt8]] {
        let envelope = ownEnvelope(
            kind, type: type, to: String(decoding: receiver.prefix(255), as: UTF8.self),
            content: content.map { Array($0.canonical.utf8) } ?? [])
        guard envelope.isEncodable else {
            // A routing id that is no name: its owner knows who it is.
            let nameless = ownEnvelope(kind, type: type, to: "", content: envelope.content)
            return [nameless.header, nameless.content]
        }
        return [envelope.header, envelope.content]
    }

    func ownEnvelope(
        _ kind: Envelope.Kind, type: String, to receiver: String, content: [UInt8] = []
    ) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(
                    source: "_branch.\(configuration.name)", destination: .agent(receiver)),
                incarnation: incarnation, sequence: 0),
            kind: kind, type: type, sent: clock.now, contentEncoding: .json, content: content)
    }

    /// The marker goes back once everything before it has left this proxy, the proxies of the
    /// branches that it went to, and is with the NATS server.
    private func handleMarker(
        _ header: [UInt8], _ content: [UInt8], from sender: [UInt8], _ peer: Peer?
    ) throws(RoutingError) {
        let isLink = sender.starts(with: Link.routingIDPrefix)
        let passed = isLink ? [] : links.values.filter { peer?.linksUsed.contains($0.name) ?? true }
        let needsFlush = bridge != nil && (isLink || peer?.usedNATS ?? true)
        peer?.linksUsed = []
        peer?.usedNATS = false
        try echo([sender, header, content], after: passed.count + (needsFlush ? 1 : 0)) {
            [self] finish throws(RoutingError) in
            for link in passed {
                try pass("pass", over: link, Array(String(pending.add(finish)).utf8))
            }
            if needsFlush { bridge?.flush(token: pending.add(finish)) }
        }
    }

    /// Sends a marker back once all of several things are done.
    ///
    /// - Parameters:
    ///   - frames: The marker.
    ///   - count: How many things.
    ///   - begin: Begins them; what it is given is to be called with the end of each.
    /// - Throws: `RoutingError` when a socket fails.
    func echo(
        _ frames: [[UInt8]], after count: Int,
        _ begin: (@escaping (Bool) -> Void) throws(RoutingError) -> Void
    ) throws(RoutingError) {
        guard count > 0 else { return try say(frames) }
        let wait = Countdown(count)
        try begin { [self] isDone in
            guard let isAllDone = wait.end(isDone) else { return }
            guard isAllDone else {
                return log("MARKER: what came before it could not be passed on in time")
            }
            do throws(RoutingError) {
                try say(frames)
            } catch {
                log("ROUTING: \(error)")
            }
        }
    }

    /// Sends a marker behind all that waits for another branch, whose proxy sends it back.
    func pass(_ type: String, over link: Link, _ content: [UInt8]) throws(RoutingError) {
        link.outlet.append(
            Parcel(ownEnvelope(.marker, type: type, to: "", content: content), isOwn: true))
        try pump(link)
    }

    /// Remembers by which connection an agent that keeps no history speaks.
    ///
    /// One that speaks by another has left the first, and what that had for it is gone.
    func noteConnection(of peer: Peer) {
        guard !peer.keepsHistory, let connection = passage.incoming.connection(),
            connection != peer.connection
        else { return }
        if peer.connection != nil { noteDisconnect(of: peer) }
        peer.connection = connection
    }

    /// Finds out who has gone: what was handed to a connection that ends may not have been read.
    func noteDisconnects() throws(RoutingError) {
        try hearOfDisconnects()
        // What it sent before it went says whose connection it was, and its number may be given to
        // the next at once.
        guard !gone.isEmpty, try !receiveBatch() else { return }
        for peer in peers.values {
            guard let connection = peer.connection, gone.contains(connection) else { continue }
            noteDisconnect(of: peer)
            peer.connection = nil
        }
        gone = []
    }

    private func hearOfDisconnects() throws(RoutingError) {
        try zeroMQ { () throws(ZeroMQError) in
            while let connection = try monitor.nextDisconnected() {
                gone.append(connection)
                noteGone(connection)
            }
        }
    }

    private func noteDisconnect(of peer: Peer) {
        defer { peer.wasHanded = false }
        // In a move it is ended, and what came of that is another's to say.
        guard peer.wasHanded, peer.held == nil, peer.transport == .zmq else { return }
        peer.disconnects += 1
        log("GONE: \(peer.name) closed a connection by which it had been handed messages")
    }
}
