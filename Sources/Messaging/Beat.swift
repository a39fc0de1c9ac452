internal import Wire
internal import ZeroMQ

/// A connection beside the one that carries messages, on which either end finds out that the other
/// is frozen or cannot be reached.
///
/// libzmq closes a connection whose peer does not answer its heartbeats, and with it goes what
/// waited there. Here nothing does: what carries messages stays open, and what a frozen peer has not
/// read is there when it goes on. Heartbeats are answered by libzmq's own thread, so an agent that
/// is merely busy is not taken for a frozen one.
final class Beat {
    /// What is at the other end.
    private let peer: String
    private let clock: RunClock
    private var socket: Socket
    private var monitor: Monitor
    private var silentSince: UInt64?

    /// To a branch's ROUTER, which knows whose it is by its routing id, and sends it an empty message
    /// now and then to see whether it is there.
    static func toBranch(
        at endpoint: String, of agent: String, within timeout: Duration, clock: RunClock,
        in context: Context
    ) throws(ZeroMQError) -> Beat {
        var options = options(within: timeout)
        options.routingID = "_beat.\(agent)"
        return try Beat(
            to: "the branch's proxy", at: endpoint, Socket(.dealer, in: context, options: options),
            clock: clock, in: context)
    }

    /// To a topic proxy's XPUB, which hears of a subscription, and of its end with the connection.
    static func toTopics(
        _ proxy: TopicProxyEndpoints, of agent: String, clock: RunClock, in context: Context
    ) throws(ZeroMQError) -> Beat {
        var socket = try Socket(
            .subscribe, in: context, options: options(within: proxy.peerTimeout))
        try socket.subscribe(to: Array("_beat.\(agent)".utf8))
        return try Beat(
            to: "the topic proxy '\(proxy.name)'", at: proxy.subscribe, socket, clock: clock,
            in: context)
    }

    private static func options(within timeout: Duration) -> SocketOptions {
        // Noticed after an interval and a timeout at the latest.
        let part = max(.milliseconds(10), timeout / 3)
        var options = SocketOptions(
            heartbeat: .init(
                interval: part, timeout: part, timeToLive: max(.milliseconds(100), part * 2)))
        // Whoever froze before the first one accepts the connection, and greets nobody.
        options.handshakeTimeout = max(.milliseconds(10), timeout)
        return options
    }

    private init(
        to peer: String, at endpoint: String, _ socket: consuming Socket, clock: RunClock,
        in context: Context
    ) throws(ZeroMQError) {
        self.peer = peer
        self.clock = clock
        monitor = try Monitor(of: socket, in: context)
        try socket.connect(to: endpoint)
        self.socket = socket
    }

    /// What says that the peer is silent, or back; nothing else is of interest here.
    func look() throws(ZeroMQError) -> String? {
        while try socket.receive() != nil {}
        while let event = try monitor.next() {
            switch event {
            case .accepted: continue
            case .greeted:
                guard let since = silentSince else { continue }
                silentSince = nil
                let milliseconds = (clock.now - since) / 1_000_000
                return "\(peer) answers again, after \(milliseconds) ms"
            case .disconnected:
                guard silentSince == nil else { continue }
                silentSince = clock.now
                return "\(peer) is silent: it was ended, is frozen, or cannot be reached"
            }
        }
        return nil
    }

    var pollItem: PollItem { monitor.pollItem() }
}
