internal import CZMQ
internal import Synchronization

/// Tells of the connections of one socket that come and end, by the numbers that `MultipartMessage`
/// has them under.
public struct Monitor: ~Copyable {
    /// What happened to a connection.
    public enum Event: Hashable, Sendable {
        /// A peer's connection was accepted; its number is the descriptor.
        case accepted(Int32)
        /// The greeting of a connection is over: its peer is alive.
        case greeted
        /// A connection has ended.
        case disconnected(Int32)
    }

    /// How many there have been in this process: each has a name of its own.
    private static let count = Atomic<UInt64>(0)

    private var events: Socket
    private let handle: UnsafeMutableRawPointer
    private let life: SocketLife

    /// Watches a socket of the same thread, which is watched by nobody else.
    ///
    /// - Parameters:
    ///   - socket: The socket; the monitor may outlive it.
    ///   - context: The context that both belong to.
    /// - Throws: `ZeroMQError`.
    public init(of socket: borrowing Socket, in context: Context) throws(ZeroMQError) {
        // Not after the socket's address: a new socket may have that of one whose monitor libzmq has
        // not let go of yet.
        let number = Self.count.add(1, ordering: .relaxed).newValue
        let endpoint = "inproc://monitor-\(number)"
        let handle = socket.handle
        try retrying(.configure("a monitor")) {
            zmq_socket_monitor(
                handle, endpoint,
                ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED)
        }
        // Nothing of what happens may be missed, and it is small.
        var events = try Socket(
            .pair, in: context, options: SocketOptions(receiveHighWaterMark: 0))
        try events.connect(to: endpoint)
        self.events = events
        self.handle = handle
        life = socket.life
    }

    deinit {
        // Both are of one thread. Nobody is told any more, before the last who listens is gone.
        if life.isOpen { zmq_socket_monitor(handle, nil, 0) }
    }

    /// The next thing that happened, if there is one of which nobody was told yet.
    public mutating func next() throws(ZeroMQError) -> Event? {
        while let frames = try events.receive() {
            // A number of the event, then its value: as the machine has them, without a gap.
            guard let frame = frames.first, frame.count >= 6 else { continue }
            let (event, value) = frame.withUnsafeBytes { bytes in
                (
                    bytes.loadUnaligned(as: UInt16.self),
                    bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self)
                )
            }
            switch CInt(event) {
            case ZMQ_EVENT_ACCEPTED: return .accepted(value)
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: return .greeted
            case ZMQ_EVENT_DISCONNECTED: return .disconnected(value)
            default: continue
            }
        }
        return nil
    }

    /// A connection that has ended, if there is one of which nobody was told yet.
    public mutating func nextDisconnected() throws(ZeroMQError) -> Int32? {
        while let event = try next() {
            if case .disconnected(let connection) = event { return connection }
        }
        return nil
    }

    /// The monitor as something to wait for, as `Socket.pollItem` is.
    public borrowing func pollItem() -> PollItem { events.pollItem() }
}
