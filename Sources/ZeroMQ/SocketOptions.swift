internal import CZMQ

/// What is decided about a socket before it is bound or connected.
public struct SocketOptions: Hashable, Sendable {
    /// Heartbeats, by which a frozen or unreachable peer is noticed.
    public struct Heartbeat: Hashable, Sendable {
        /// Time between two heartbeats.
        public var interval: Duration
        /// The connection is closed when a heartbeat is not answered within this time.
        public var timeout: Duration
        /// The peer is told to close the connection when it hears nothing for this time, in tenths
        /// of a second; zero: it is told nothing.
        public var timeToLive: Duration

        /// Makes heartbeat settings.
        public init(interval: Duration, timeout: Duration, timeToLive: Duration = .zero) {
            self.interval = interval
            self.timeout = timeout
            self.timeToLive = timeToLive
        }
    }

    /// The name under which a router knows this socket.
    public var routingID: String?
    /// How long what is not yet sent may outlive the socket; libzmq's own default is for ever.
    public var linger: Duration = .zero
    /// Messages that may wait per peer on the way out; zero is no limit.
    public var sendHighWaterMark = 1_000
    /// Messages that may wait per peer on the way in; zero is no limit.
    public var receiveHighWaterMark = 1_000
    /// The longest that `send(_:wait: true)` waits.
    public var sendTimeout: Duration = .seconds(10)
    /// A router answers `.unreachable` instead of dropping silently.
    public var routerMandatory = false
    /// A peer that comes with a known routing id takes it over (discarding what the first had
    /// not read).
    public var routerHandover = false
    /// A publisher answers `.wouldBlock` instead of dropping silently for a slow subscriber.
    public var xpubNoDrop = false
    /// A publisher hears of every subscription, not only of the first to each topic.
    public var xpubVerbose = false
    /// A publisher also hears of every unsubscription, not only of the last from each topic.
    public var xpubVerboser = false
    /// Time between attempts to reach a peer.
    public var reconnectInterval: Duration = .milliseconds(5)
    /// Send only to peers that are connected, not to those still being reached.
    public var immediate = false
    /// The largest frame that is accepted, in bytes; a peer that sends more is disconnected.
    ///
    /// libzmq reserves what a frame says that it is long, before any of it has come.
    public var messageSizeMax: Int? = SocketOptions.frameSizeMax
    /// Heartbeats, where wanted.
    public var heartbeat: Heartbeat?
    /// The longest that the greeting of a connection may take; libzmq's own default is 30 seconds.
    public var handshakeTimeout: Duration?

    /// The largest frame of any socket that says nothing else: 512 MiB.
    public static let frameSizeMax = 512 << 20

    /// The defaults; set what differs.
    public init(
        routingID: String? = nil, linger: Duration = .zero, sendHighWaterMark: Int = 1_000,
        receiveHighWaterMark: Int = 1_000, routerMandatory: Bool = false,
        routerHandover: Bool = false, xpubNoDrop: Bool = false, xpubVerbose: Bool = false,
        reconnectInterval: Duration = .milliseconds(5), heartbeat: Heartbeat? = nil
    ) {
        self.routingID = routingID
        self.linger = linger
        self.sendHighWaterMark = sendHighWaterMark
        self.receiveHighWaterMark = receiveHighWaterMark
        self.routerMandatory = routerMandatory
        self.routerHandover = routerHandover
        self.xpubNoDrop = xpubNoDrop
        self.xpubVerbose = xpubVerbose
        self.reconnectInterval = reconnectInterval
        self.heartbeat = heartbeat
    }
}

extension SocketOptions {
    /// Sets everything on a fresh socket.
    func apply(
        to handle: UnsafeMutableRawPointer, pattern: Socket.Pattern
    ) throws(ZeroMQError) {
        func set(_ name: String, _ option: CInt, _ value: CInt) throws(ZeroMQError) {
            try handle.setOption(name, option, to: value)
        }
        try set("linger", ZMQ_LINGER, linger.milliseconds)
        try set("send high-water mark", ZMQ_SNDHWM, CInt(clamping: sendHighWaterMark))
        try set("receive high-water mark", ZMQ_RCVHWM, CInt(clamping: receiveHighWaterMark))
        try set("send timeout", ZMQ_SNDTIMEO, sendTimeout.milliseconds)
        try set("reconnect interval", ZMQ_RECONNECT_IVL, reconnectInterval.milliseconds)
        if immediate { try set("immediate", ZMQ_IMMEDIATE, 1) }
        if let routingID {
            let bytes = Array(routingID.utf8)
            try retrying(.configure("routing id")) {
                bytes.withUnsafeBytes {
                    zmq_setsockopt(handle, ZMQ_ROUTING_ID, $0.baseAddress, $0.count)
                }
            }
        }
        if let messageSizeMax {
            let bytes = Int64(messageSizeMax)
            try retrying(.configure("message size")) {
                withUnsafeBytes(of: bytes) {
                    zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, $0.baseAddress, $0.count)
                }
            }
        }
        if let heartbeat {
            try set("heartbeat interval", ZMQ_HEARTBEAT_IVL, heartbeat.interval.milliseconds)
            try set("heartbeat timeout", ZMQ_HEARTBEAT_TIMEOUT, heartbeat.timeout.milliseconds)
            if heartbeat.timeToLive > .zero {
                try set("heartbeat TTL", ZMQ_HEARTBEAT_TTL, heartbeat.timeToLive.milliseconds)
            }
        }
        if let handshakeTimeout {
            try set("handshake timeout", ZMQ_HANDSHAKE_IVL, handshakeTimeout.milliseconds)
        }
        if pattern == .router {
            try set("mandatory routing", ZMQ_ROUTER_MANDATORY, routerMandatory ? 1 : 0)
            try set("router handover", ZMQ_ROUTER_HANDOVER, routerHandover ? 1 : 0)
        }
        if pattern == .xpub {
            try set("XPUB_NODROP", ZMQ_XPUB_NODROP, xpubNoDrop ? 1 : 0)
            if xpubVerboser {
                try set("XPUB_VERBOSER", ZMQ_XPUB_VERBOSER, 1)
            } else if xpubVerbose {
                try set("XPUB_VERBOSE", ZMQ_XPUB_VERBOSE, 1)
            }
        }
    }
}

extension UnsafeMutableRawPointer {
    /// Sets an integer option on the libzmq socket that this handle names.
    func setOption(_ name: String, _ option: CInt, to value: CInt) throws(ZeroMQError) {
        try retrying(.configure(name)) {
            withUnsafeBytes(of: value) { zmq_setsockopt(self, option, $0.baseAddress, $0.count) }
        }
    }
}

extension Duration {
    /// The duration in libzmq's unit, rounded up so that a short wait is never a busy one.
    var milliseconds: CInt {
        let (seconds, attoseconds) = components
        return CInt(
            clamping: seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
