internal import JSON
internal import Wire
internal import ZeroMQ

/// Peers that do not answer.
///
/// An agent of ours keeps a second connection to the ROUTER, `_beat.<name>`, on which libzmq's
/// heartbeats run. When that one is lost and the agent's own is not, the agent is frozen or cannot be
/// reached: a process that ended took both with it. What is for it is kept as for any slow
/// one. A peer without such a connection is silent when it has taken nothing for that long although
/// something waits for it.
extension BranchProxy {
    static let beatPrefix = Array("_beat.".utf8)
    /// By when the two connections of a process that ended are both gone.
    static let beatGrace = Duration.milliseconds(250)

    /// A connection has ended by which an agent said hello.
    func noteGone(_ connection: Int32) {
        for peer in peers.values where peer.seat == connection {
            peer.seat = nil
            peer.beatDue = nil
            guard !strayed.contains(where: { $0 === peer }) else { continue }
            strayed.append(peer)
        }
    }

    /// Says who has become silent, and who is no longer.
    func watchPeers() throws(RoutingError) {
        let timeout = configuration.peerTimeout
        let now = ContinuousClock.now
        guard timeout > .zero, now >= nextWatch else { return }
        nextWatch = now + max(.milliseconds(10), timeout / 6)
        for peer in peers.values where peer.transport == .zmq && peer.wasAttached {
            try lookForBeat(of: peer, now)
            let isBlocked = blocked[ObjectIdentifier(peer)] != nil && peer.isReachable
            guard !peer.isBeating, peer.beatDue == nil, isBlocked || peer.stuck != nil else {
                continue
            }
            watch(peer.name, peer.outlet, &peer.stuck, &peer.silentSince)
        }
        for link in links.values {
            watch(link.name, link.outlet, &link.stuck, &link.silentSince)
        }
    }

    /// An empty message tells whether the ROUTER still has the connection; its agent throws it away.
    private func lookForBeat(
        of peer: Peer, _ now: ContinuousClock.Instant
    ) throws(RoutingError) {
        guard peer.wire == .frames else { return }
        let frames = [Self.beatPrefix + peer.routingID, []]
        let result = try zeroMQ { () throws(ZeroMQError) in try passage.router.send(frames) }
        guard result == .unreachable else {
            peer.isBeating = true
            peer.beatLost = nil
            peer.beatDue = nil
            return end(&peer.silentSince, of: peer.name)
        }
        guard peer.isBeating else { return missFirstBeat(of: peer, now) }
        let lost = peer.beatLost ?? now
        peer.beatLost = lost
        guard peer.silentSince == nil, now - lost >= Self.beatGrace else { return }
        guard peer.seat != nil, peer.held == nil else {
            peer.isBeating = false
            return
        }
        peer.silentSince = lost - configuration.peerTimeout
        tellOf("silent", peer.name, Self.noAnswer)
    }

    private static let noAnswer = "does not answer: it is frozen, or cannot be reached"

    /// Whether an agent said hello, and froze before there was a heartbeat of it.
    private func missFirstBeat(of peer: Peer, _ now: ContinuousClock.Instant) {
        guard let due = peer.beatDue, now >= due, peer.silentSince == nil, peer.seat != nil,
            peer.held == nil
        else { return }
        peer.silentSince = due - configuration.peerTimeout
        tellOf("silent", peer.name, Self.noAnswer)
    }

    /// Whether somebody who has no connection for heartbeats takes anything.
    private func watch(
        _ name: String, _ outlet: Outlet, _ stuck: inout Stuck?,
        _ silentSince: inout ContinuousClock.Instant?
    ) {
        guard outlet.next != nil else {
            stuck = nil
            return end(&silentSince, of: name)
        }
        guard let known = stuck, known.taken == outlet.taken else {
            stuck = Stuck(since: .now, taken: outlet.taken)
            return
        }
        guard silentSince == nil, ContinuousClock.now - known.since >= configuration.peerTimeout
        else { return }
        silentSince = known.since
        tellOf("silent", name, "takes nothing of what waits for it")
    }

    /// A peer that was silent takes something, or answers.
    func end(_ silentSince: inout ContinuousClock.Instant?, of name: String) {
        guard let since = silentSince else { return }
        silentSince = nil
        let milliseconds = (ContinuousClock.now - since) / .milliseconds(1)
        tellOf("answers", name, "answers again, after \(Int(milliseconds)) ms")
    }

    /// For the report: who is silent now, and since when.
    var silenceLines: [String] {
        let silent =
            peers.values.compactMap { peer in peer.silentSince.map { (peer.name, $0) } }
            + links.values.compactMap { link in link.silentSince.map { (link.name, $0) } }
        return silent.sorted { $0.0 < $1.0 }.map { name, since in
            "Silent: \(name), for \(Int((ContinuousClock.now - since) / .seconds(1))) s"
        }
    }
}

/// How much a peer had taken when it stopped to take anything, and when that was.
struct Stuck {
    let since: ContinuousClock.Instant
    let taken: Int
}
