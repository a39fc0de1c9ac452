internal import JSON
internal import Moves
internal import Recording
internal import Wire
internal import ZeroMQ

/// Subscribers that hold up the others, and those that do not answer.
///
/// The XPUB drops nothing: while one subscriber has no room, nobody gets anything. After the stall
/// timeout the connection that takes nothing is ended from here, so that whoever reads loses nothing,
/// however briefly it was full as well. Its subscriber reads what is underway, then connects and
/// subscribes again by itself; one that does not read does not come back either, and so holds up
/// nobody a second time.
extension TopicProxy {
    /// Whether the message has left; without a subscriber whose time is up, if need be.
    func sendOrStall(_ frames: [[UInt8]]) throws(RoutingError) -> Bool {
        let result = try zeroMQ { () throws(ZeroMQError) in try passage.subscribers.send(frames) }
        let now = ContinuousClock.now
        if result == .sent {
            if absent.isGathering {
                // The connection is gone: what it was subscribed to is known now.
                try takeSubscriptions()
                absent.endGathering()
            }
            stall.hadRoom(timeout: configuration.stallTimeout, now: now)
            stalled += absent.missed(frames[0])
            return true
        }
        if !stall.isSeen { connections.forgetMoves() }
        connections.look(now: now)
        guard connections.count > 0 else { return try sendPast(frames, now) }
        let isKnown = connections.hasStuck(for: configuration.stallTimeout, now: now)
        guard stall.isOver(timeout: configuration.stallTimeout, isKnown: isKnown, now: now),
            let slowest = connections.slowest()
        else { return false }
        try noteConnections()
        connections.cut(slowest)
        absent.begin()
        cuts += 1
        let topic = String(decoding: frames[0], as: UTF8.self)
        tellOf(
            "stall", "a subscriber of '\(topic)'",
            "has no room, was cut off, and loses until it reads again")
        return false
    }

    /// Where there is no connection to be ended (within one process there is none), the message is
    /// sent past all who have no room.
    private func sendPast(
        _ frames: [[UInt8]], _ now: ContinuousClock.Instant
    ) throws(RoutingError) -> Bool {
        guard stall.isOver(timeout: configuration.stallTimeout, now: now) else { return false }
        try zeroMQ { () throws(ZeroMQError) in
            try passage.subscribers.setXPubNoDrop(false)
            _ = try passage.subscribers.send(frames)
            try passage.subscribers.setXPubNoDrop(true)
        }
        stall.lost(now: now)
        stalled += 1
        // One line for the first, then for each thousand.
        if stalled % 1_000 == 1 {
            let topic = String(decoding: frames[0], as: UTF8.self)
            tellOf(
                "stall", "a subscriber of '\(topic)'",
                "has no room and loses (\(stalled) until now)")
        }
        return true
    }

    /// Connections as they come and go.
    func noteConnections() throws(RoutingError) {
        try zeroMQ { () throws(ZeroMQError) in
            while let event = try monitor.next() {
                switch event {
                case .accepted(let descriptor): connections.accepted(descriptor, now: .now)
                case .disconnected(let descriptor): connections.ended(descriptor)
                case .greeted: continue
                }
            }
        }
    }

    /// Subscriptions as they come and go, and the answers to those that only ask.
    func takeSubscriptions() throws(RoutingError) {
        while true {
            let frames = try zeroMQ { () throws(ZeroMQError) in
                try passage.subscribers.receive()
            }
            guard let frame = frames?.first else { return }
            guard frames?.count == 1, let action = frame.first, action <= 1 else {
                deadLetters.addMalformed("from a subscriber", history: history)
                continue
            }
            let topic = frame.dropFirst()
            note(topic, isSubscribed: action == 1)
            guard topic.first == UInt8(ascii: "_") else {
                // A log is read line by line.
                let name = String(
                    decoding: topic.prefix(Names.topicLengthMax).map { $0 < 0x20 ? 0x3F : $0 },
                    as: UTF8.self)
                log("\(action == 1 ? "SUB" : "UNSUB"): \(name)")
                continue
            }
            if action == 1, topic.starts(with: MoveWord.lastTopic.utf8) {
                answer(last: Array(topic))
                continue
            }
            // Being behind the subscriber's other subscriptions, it says that they are in force.
            guard action == 1, topic.starts(with: "_confirm.".utf8) else { continue }
            let hello = ownEnvelope(.hello, type: "confirm", about: "")
            try deliver([Array(topic), hello.header, []])
        }
    }

    private func note(_ topic: ArraySlice<UInt8>, isSubscribed: Bool) {
        if isSubscribed {
            if let back = absent.subscribed(topic) {
                let name = back.name.isEmpty ? "a subscriber" : back.name
                tellOf(
                    "unstalled", name,
                    "reads again; \(back.lost) were sent without it, besides what its connection had"
                )
            }
        } else {
            absent.unsubscribed(topic)
        }
        silences.note(topic, isSubscribed: isSubscribed, now: .now)
    }

    /// Says who has become silent, and who is no longer.
    func watchSubscribers() {
        guard configuration.peerTimeout > .zero else { return }
        let (silent, back) = silences.changes(now: .now)
        for name in silent {
            tellOf("silent", name, "does not answer: it is frozen, or cannot be reached")
        }
        for name in back { tellOf("answers", name, "answers again") }
    }

    func tellOf(_ event: String, _ peer: String, _ what: String) {
        log("\(event.uppercased()): \(peer) \(what)")
        history.annotate(.note("\(configuration.name): \(peer) \(what)", at: clock.now))
        commands.event(event, ["peer": .string(peer), "what": .string(what)])
    }
}

/// Agents whose connection for heartbeats (a subscription to `_beat.<agent>`) is lost while the one for
/// messages (`_marker.<agent>`) is not.
struct SubscriberSilences {
    private struct Agent {
        var markers = 0
        var beats = 0
        var lostAt: ContinuousClock.Instant?
        var isSilent = false
    }

    private var agents: [String: Agent] = [:]
    private var back: [String] = []
    /// By when the two connections of a process that ended are both gone.
    static let grace = Duration.milliseconds(250)
    /// A stranger's imagination must not fill memory.
    private static let agentsMax = 10_000

    /// Who has a connection for heartbeats.
    var beating: [String] { agents.filter { $0.value.beats > 0 }.keys.sorted() }

    /// Who is silent now.
    var silent: [String] { agents.filter(\.value.isSilent).keys.sorted() }

    mutating func note(
        _ topic: ArraySlice<UInt8>, isSubscribed: Bool, now: ContinuousClock.Instant
    ) {
        let isBeat = topic.starts(with: "_beat.".utf8)
        guard isBeat || topic.starts(with: "_marker.".utf8) else { return }
        let name = String(
            decoding: topic.drop { $0 != UInt8(ascii: ".") }.dropFirst(), as: UTF8.self)
        guard agents[name] != nil || agents.count < Self.agentsMax else { return }
        var agent = agents[name] ?? Agent()
        if isBeat {
            agent.beats = max(0, agent.beats + (isSubscribed ? 1 : -1))
            agent.lostAt = agent.beats == 0 ? now : nil
            if agent.beats > 0, agent.isSilent {
                agent.isSilent = false
                back.append(name)
            }
        } else {
            agent.markers = max(0, agent.markers + (isSubscribed ? 1 : -1))
        }
        agents[name] = agent.markers == 0 && agent.beats == 0 ? nil : agent
    }

    /// Who has become silent since the last time, and who answers again.
    mutating func changes(now: ContinuousClock.Instant) -> (silent: [String], back: [String]) {
        var silent: [String] = []
        for (name, agent) in agents {
            guard let lostAt = agent.lostAt, now - lostAt >= Self.grace else { continue }
            agents[name]?.lostAt = nil
            guard agent.markers > 0 else { continue }
            agents[name]?.isSilent = true
            silent.append(name)
        }
        defer { back = [] }
        return (silent.sorted(), back)
    }
}
