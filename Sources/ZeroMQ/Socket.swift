internal import CZMQ

/// What became of a message that was given to a socket.
public enum SendResult: Hashable, Sendable {
    /// libzmq has it.
    case sent
    /// There is no room for it now; nothing was sent.
    case wouldBlock
    /// A mandatory router knows no such peer; nothing was sent.
    case unreachable
}

/// A ZeroMQ socket with exactly one owner.
///
/// libzmq sockets are not thread-safe and must be closed exactly once. `Socket` makes both rules
/// the compiler's business: it is noncopyable, so there is one owner, and it is not `Sendable`, so
/// two tasks can never share it. Closing is the end of the value's life; there is no `close()` to
/// forget and no closed socket to misuse.
///
/// Nothing blocks unless it says so: receiving answers `nil` when nothing is there, sending answers
/// `.wouldBlock`; `poll` waits, for many sockets and file descriptors at once.
///
/// ```swift
/// let context = try Context()
/// var dealer = try Socket(.dealer, in: context, options: SocketOptions(routingID: "capture"))
/// try dealer.connect(to: "tcp://127.0.0.1:5555")
/// _ = try dealer.send([Array("report".utf8), Array("{}".utf8)])
/// ```
public struct Socket: ~Copyable {
    /// The messaging pattern, fixed when the socket is opened.
    public enum Pattern: String, CaseIterable, Sendable {
        case publish, subscribe, xpub, xsub, request, reply, push, pull, dealer, router, pair
    }

    let handle: UnsafeMutableRawPointer

    // A context that terminates before its sockets close blocks for ever. Retaining it here means
    // that `Context.deinit` cannot run until every socket is gone.
    private let context: Context
    let life = SocketLife()

    /// Opens a socket.
    ///
    /// - Parameters:
    ///   - pattern: The messaging pattern that the socket speaks.
    ///   - context: The context that owns the socket's I/O threads.
    ///   - options: Everything that is to be decided before the first bind or connect.
    /// - Throws: `ZeroMQError` with code `.tooManySockets` when the context is full.
    public init(
        _ pattern: Pattern, in context: Context, options: SocketOptions = SocketOptions()
    ) throws(ZeroMQError) {
        guard let handle = zmq_socket(context.handle, pattern.rawType) else {
            throw ZeroMQError.last(.open(pattern))
        }
        // Everything that can fail comes before `self` exists: a noncopyable value with a `deinit`
        // cannot be half made.
        do throws(ZeroMQError) {
            try options.apply(to: handle, pattern: pattern)
        } catch {
            zmq_close(handle)
            throw error
        }
        self.handle = handle
        self.context = context
    }

    deinit {
        life.isOpen = false
        // Who listens may be gone before the connections are, and libzmq's I/O thread would then wait
        // for ever to tell him of their end.
        zmq_socket_monitor(handle, nil, 0)
        // The only documented failure is ENOTSOCK, which single ownership rules out.
        let result = zmq_close(handle)
        assert(result == 0, "closed a socket that libzmq does not know")
    }

    /// Accepts peers at `endpoint`, for example `tcp://127.0.0.1:*`.
    public mutating func bind(to endpoint: String) throws(ZeroMQError) {
        try retrying(.bind(endpoint)) { zmq_bind(handle, endpoint) }
    }

    /// Stops accepting peers at `endpoint`, named as `lastEndpoint` named it.
    public mutating func unbind(from endpoint: String) throws(ZeroMQError) {
        try retrying(.unbind(endpoint)) { zmq_unbind(handle, endpoint) }
    }

    /// Reaches out to a peer at `endpoint`; returns before the peer is known to exist.
    public mutating func connect(to endpoint: String) throws(ZeroMQError) {
        try retrying(.connect(endpoint)) { zmq_connect(handle, endpoint) }
    }

    /// Leaves the peer at `endpoint`; what waits for it on the way out is dropped after `linger`.
    public mutating func disconnect(from endpoint: String) throws(ZeroMQError) {
        try retrying(.disconnect(endpoint)) { zmq_disconnect(handle, endpoint) }
    }

    /// The endpoint of the last bind or connect, with the port that the system chose for `*`.
    public var lastEndpoint: String {
        var buffer = [UInt8](repeating: 0, count: 1_024)
        var count = buffer.count
        guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &buffer, &count) == 0 else { return "" }
        return String(decoding: buffer.prefix(count).prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Lets through what begins with `prefix` (subscribe sockets).
    public mutating func subscribe(to prefix: [UInt8]) throws(ZeroMQError) {
        try setSubscription(ZMQ_SUBSCRIBE, prefix)
    }

    /// Takes back one `subscribe(to:)` of the same prefix.
    public mutating func unsubscribe(from prefix: [UInt8]) throws(ZeroMQError) {
        try setSubscription(ZMQ_UNSUBSCRIBE, prefix)
    }

    private mutating func setSubscription(
        _ option: CInt, _ prefix: [UInt8]
    ) throws(ZeroMQError) {
        try retrying(.subscribe) {
            prefix.withUnsafeBytes { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
        }
    }

    /// Whether an xpub socket answers `.wouldBlock` (true) or drops for a subscriber that is full.
    public mutating func setXPubNoDrop(_ noDrop: Bool) throws(ZeroMQError) {
        try handle.setOption("XPUB_NODROP", ZMQ_XPUB_NODROP, to: noDrop ? 1 : 0)
    }

    /// Changes how long what is not yet sent may outlive the socket.
    public mutating func setLinger(_ linger: Duration) throws(ZeroMQError) {
        try handle.setOption("linger", ZMQ_LINGER, to: linger.milliseconds)
    }

    /// Sends one message of one or more frames; they arrive together or not at all.
    ///
    /// - Precondition: `frames` is not empty.
    /// - Parameters:
    ///   - frames: The frames, copied.
    ///   - wait: Wait for room, as long as the option `sendTimeout` says.
    /// - Returns: Whether it was sent, and if not, why.
    /// - Throws: `ZeroMQError` for anything but a lack of room or of a peer.
    public mutating func send(
        _ frames: [[UInt8]], wait: Bool = false
    ) throws(ZeroMQError) -> SendResult {
        precondition(!frames.isEmpty, "a message has at least one frame")
        var result = SendResult.sent
        for (index, frame) in frames.enumerated() {
            let more = index < frames.count - 1 ? ZMQ_SNDMORE : 0
            do throws(ZeroMQError) {
                try retrying(.send) {
                    frame.withUnsafeBytes {
                        zmq_send(
                            handle, $0.baseAddress, $0.count, more | (wait ? 0 : ZMQ_DONTWAIT))
                    }
                }
            } catch let error where error.code == .wouldBlock {
                // Beyond the first frame this means that the peer went away in the middle. libzmq
                // has forgotten the frames before, and drops what follows up to the last frame of
                // this message: it must be given those, or it would drop the next message instead.
                result = .wouldBlock
                if index == 0 { return result }
            } catch let error where error.code == .unreachable && index == 0 {
                return .unreachable
            }
        }
        return result
    }

    /// Receives one message, if one is there.
    ///
    /// - Returns: The frames of the message, or `nil`: silence is an answer, not an error.
    public mutating func receive() throws(ZeroMQError) -> [[UInt8]]? {
        var frames: [[UInt8]] = []
        while true {
            guard let (frame, hasMore) = try receiveFrame() else {
                assert(frames.isEmpty, "libzmq delivered half a message")
                return nil
            }
            frames.append(frame)
            if !hasMore { return frames }
        }
    }

    private mutating func receiveFrame() throws(ZeroMQError) -> (bytes: [UInt8], hasMore: Bool)? {
        var storage = zmq_msg_t()
        // A `zmq_msg_t` may not move between init and close, so its whole life is this closure.
        return try withUnsafeMutablePointer(to: &storage) {
            message throws(ZeroMQError) -> (bytes: [UInt8], hasMore: Bool)? in
            zmq_msg_init(message)
            defer { zmq_msg_close(message) }
            do throws(ZeroMQError) {
                try retrying(.receive) { zmq_msg_recv(message, handle, ZMQ_DONTWAIT) }
            } catch let error where error.code == .wouldBlock {
                return nil
            }
            let bytes = UnsafeRawBufferPointer(
                start: zmq_msg_data(message), count: zmq_msg_size(message))
            return (bytes: [UInt8](bytes), hasMore: zmq_msg_more(message) == 1)
        }
    }

    /// The socket as something to wait for.
    ///
    /// The item holds the raw handle: use it only while the socket lives, on the socket's thread.
    public borrowing func pollItem(_ events: PollItem.Events = .readable) -> PollItem {
        PollItem(handle: handle, descriptor: -1, events: events)
    }
}

/// Whether a socket's handle is still one: what outlives the socket must not use it.
final class SocketLife {
    var isOpen = true
}

@available(*, unavailable, message: "give the socket away, or open one per thread")
extension Socket: Sendable {}

extension Socket.Pattern {
    fileprivate var rawType: CInt {
        switch self {
        case .publish: ZMQ_PUB
        case .subscribe: ZMQ_SUB
        case .xpub: ZMQ_XPUB
        case .xsub: ZMQ_XSUB
        case .request: ZMQ_REQ
        case .reply: ZMQ_REP
        case .push: ZMQ_PUSH
        case .pull: ZMQ_PULL
        case .dealer: ZMQ_DEALER
        case .router: ZMQ_ROUTER
        case .pair: ZMQ_PAIR
        }
    }
}
