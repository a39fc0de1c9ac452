internal import CZMQ

/// Tells of the connections of one socket that end, by the numbers that `MultipartMessage` has them
/// under.
public struct Monitor: ~Copyable {
    private var events: Socket

    /// Watches a socket of the same thread, which is watched by nobody else.
    ///
    /// - Parameters:
    ///   - socket: The socket; the monitor may outlive it.
    ///   - context: The context that both belong to.
    /// - Throws: `ZeroMQError`.
    public init(of socket: borrowing Socket, in context: Context) throws(ZeroMQError) {
        let endpoint = "inproc://monitor-\(UInt(bitPattern: socket.handle))"
        let handle = socket.handle
        try retrying(.configure("a monitor")) {
            zmq_socket_monitor(handle, endpoint, ZMQ_EVENT_DISCONNECTED)
        }
        var events = try Socket(.pair, in: context)
        try events.connect(to: endpoint)
        self.events = events
    }

    /// A connection that has ended, if there is one of which nobody was told yet.
    public mutating func nextDisconnected() throws(ZeroMQError) -> Int32? {
        while let frames = try events.receive() {
            // A number of the event, then its value: as the machine has them, without a gap.
            guard let frame = frames.first, frame.count >= 6 else { continue }
            let (event, value) = frame.withUnsafeBytes { bytes in
                (
                    bytes.loadUnaligned(as: UInt16.self),
                    bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self)
                )
            }
            if CInt(event) == ZMQ_EVENT_DISCONNECTED { return value }
        }
        return nil
    }

    /// The monitor as something to wait for, as `Socket.pollItem` is.
    public borrowing func pollItem() -> PollItem { events.pollItem() }
}
