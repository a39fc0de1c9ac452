internal import CZMQ

/// The I/O threads that sockets share.
///
/// One per process is almost always right.
public final class Context: Sendable {
    // libzmq contexts, unlike sockets, are documented as thread-safe, and the pointer is never
    // changed and only freed in `deinit`.
    nonisolated(unsafe) let handle: UnsafeMutableRawPointer

    /// The most sockets that one context opens.
    public static let socketsMax = 8_192

    /// The version of libzmq that is loaded, as `4.3.4`.
    public static var libraryVersion: String {
        var major: CInt = 0
        var minor: CInt = 0
        var patch: CInt = 0
        zmq_version(&major, &minor, &patch)
        return "\(major).\(minor).\(patch)"
    }

    /// Creates a context.
    public init() throws(ZeroMQError) {
        guard let handle = zmq_ctx_new() else { throw ZeroMQError.last(.createContext) }
        // libzmq's own limit is 1,023 sockets; a refused larger one leaves that in force.
        _ = zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, CInt(Self.socketsMax))
        self.handle = handle
    }

    deinit {
        // Returns as soon as what lingers is sent: every socket retains its context, so none can
        // still be open.
        while zmq_ctx_term(handle) == -1, zmq_errno() == EINTR {}
    }
}
