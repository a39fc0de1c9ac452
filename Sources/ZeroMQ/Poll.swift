internal import CZMQ

/// A socket or a file descriptor to wait for, and what was seen on it.
public struct PollItem {
    /// What to wait for.
    public struct Events: OptionSet, Sendable {
        /// The bits.
        public let rawValue: UInt8

        /// Makes a set from its bits.
        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// Something can be received or read.
        public static let readable = Events(rawValue: 1)
        /// Something can be sent or written.
        public static let writable = Events(rawValue: 2)
    }

    fileprivate let handle: UnsafeMutableRawPointer?
    fileprivate let descriptor: CInt
    /// What to wait for.
    public var events: Events
    fileprivate var seen: Events = []

    init(handle: UnsafeMutableRawPointer?, descriptor: CInt, events: Events) {
        self.handle = handle
        self.descriptor = descriptor
        self.events = events
    }

    /// A file descriptor to wait for; the caller keeps it open.
    public static func fileDescriptor(
        _ descriptor: Int32, _ events: Events = .readable
    ) -> PollItem {
        PollItem(handle: nil, descriptor: descriptor, events: events)
    }

    /// Whether the last `poll` saw something to receive or read, or (descriptors) an end or error.
    public var isReadable: Bool { seen.contains(.readable) }

    /// Whether the last `poll` saw room to send or write.
    public var isWritable: Bool { seen.contains(.writable) }
}

/// Waits until one of the items is ready, or the time is up, or a signal arrived.
///
/// - Parameters:
///   - items: What to wait for; afterwards what was seen is in them.
///   - timeout: The longest wait; zero looks and returns.
/// - Returns: How many items are ready; zero after a timeout or a signal.
/// - Throws: `ZeroMQError` when an item is no socket or descriptor, or its context is gone.
public func poll(_ items: inout [PollItem], timeout: Duration) throws(ZeroMQError) -> Int {
    var raw = items.map { item in
        zmq_pollitem_t(
            socket: item.handle, fd: item.descriptor,
            events: (item.events.contains(.readable) ? CShort(ZMQ_POLLIN) : 0)
                | (item.events.contains(.writable) ? CShort(ZMQ_POLLOUT) : 0),
            revents: 0)
    }
    let count = zmq_poll(&raw, CInt(raw.count), CLong(max(timeout.milliseconds, 0)))
    if count == -1 {
        let error = ZeroMQError.last(.poll)
        guard error.code.rawValue == EINTR else { throw error }
        for index in items.indices { items[index].seen = [] }
        return 0
    }
    for index in items.indices {
        var seen = PollItem.Events()
        let bits = CInt(raw[index].revents)
        if bits & (ZMQ_POLLIN | ZMQ_POLLERR) != 0 { seen.insert(.readable) }
        if bits & ZMQ_POLLOUT != 0 { seen.insert(.writable) }
        items[index].seen = seen
    }
    return Int(count)
}
