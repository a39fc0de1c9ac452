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

extension PollItem.Events {
    /// As libzmq writes it.
    fileprivate var bits: CShort {
        (contains(.readable) ? CShort(ZMQ_POLLIN) : 0)
            | (contains(.writable) ? CShort(ZMQ_POLLOUT) : 0)
    }

    /// From what libzmq says; an end or an error is something to read.
    fileprivate init(_ bits: CShort) {
        self = []
        if CInt(bits) & (ZMQ_POLLIN | ZMQ_POLLERR) != 0 { insert(.readable) }
        if CInt(bits) & ZMQ_POLLOUT != 0 { insert(.writable) }
    }
}

/// What libzmq is asked for some items: each socket once.
///
/// `zmq_poll` looks at its items one after another, and each look takes in all that was said to the
/// socket. Of a socket that it is given twice, to write and to read, the second look can take in that
/// there is room again, of which nobody is told then: the wait goes on until its time is up.
struct PollRequest {
    var raw: [zmq_pollitem_t] = []
    /// Where each item is asked for.
    private(set) var places: [Int] = []

    /// What is asked for at each place.
    var wanted: [PollItem.Events] { raw.map { PollItem.Events($0.events) } }

    init(_ items: [PollItem]) {
        raw.reserveCapacity(items.count)
        places.reserveCapacity(items.count)
        for item in items {
            let events = item.events.bits
            // Few items, and mostly none that is there twice: a search is cheaper than a table.
            if let handle = item.handle,
                let place = raw.firstIndex(where: { $0.socket == handle })
            {
                raw[place].events |= events
                places.append(place)
            } else {
                places.append(raw.count)
                raw.append(
                    zmq_pollitem_t(
                        socket: item.handle, fd: item.descriptor, events: events, revents: 0))
            }
        }
    }
}

/// Waits until one of the items is ready, or the time is up, or a signal arrived.
///
/// - Parameters:
///   - items: What to wait for, the same socket more than once where that is convenient; afterwards
///     what was seen is in them.
///   - timeout: The longest wait; zero looks and returns.
/// - Returns: How many items are ready; zero after a timeout or a signal.
/// - Throws: `ZeroMQError` when an item is no socket or descriptor, or its context is gone.
public func poll(_ items: inout [PollItem], timeout: Duration) throws(ZeroMQError) -> Int {
    var request = PollRequest(items)
    let result = zmq_poll(
        &request.raw, CInt(request.raw.count), CLong(max(timeout.milliseconds, 0)))
    if result == -1 {
        let error = ZeroMQError.last(.poll)
        guard error.code.rawValue == EINTR else { throw error }
        for index in items.indices { items[index].seen = [] }
        return 0
    }
    var count = 0
    for index in items.indices {
        let seen = PollItem.Events(request.raw[request.places[index]].revents)
            .intersection(items[index].events)
        items[index].seen = seen
        if !seen.isEmpty { count += 1 }
    }
    return count
}
