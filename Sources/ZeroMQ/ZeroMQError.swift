internal import CZMQ

/// A failed call into libzmq: what was attempted, and the reason libzmq gave.
public struct ZeroMQError: Error, Hashable, Sendable {
    /// What was being attempted.
    public enum Operation: Hashable, Sendable {
        case createContext
        case open(Socket.Pattern)
        case configure(String)
        case bind(String)
        case unbind(String)
        case connect(String)
        case disconnect(String)
        case subscribe
        case send
        case receive
        case poll
    }

    /// Why it failed: an open set, as libzmq may report any `errno`.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The `errno` value, from the system or from libzmq's own range.
        public let rawValue: Int32

        /// Names an `errno` value.
        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        /// Another socket is bound to the endpoint.
        public static let addressInUse = Self(rawValue: EADDRINUSE)
        /// The endpoint is not written as `transport://address`.
        public static let invalid = Self(rawValue: EINVAL)
        /// The context, or the process, has no room for another socket.
        public static let tooManySockets = Self(rawValue: EMFILE)
        /// The pattern does not allow this call now, such as two requests without a reply.
        public static let wrongState = Self(rawValue: EFSM)
        /// A signal came; the call is to be made again.
        public static let interrupted = Self(rawValue: EINTR)
        /// It cannot happen without waiting.
        public static let wouldBlock = Self(rawValue: EAGAIN)
        /// A mandatory router has no peer of that name.
        public static let unreachable = Self(rawValue: EHOSTUNREACH)
        /// A path or name is longer than the system allows.
        public static let nameTooLong = Self(rawValue: ENAMETOOLONG)
    }

    /// What was being attempted.
    public let operation: Operation

    /// Why it failed.
    public let code: Code
}

extension ZeroMQError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        let reason = String(cString: zmq_strerror(code.rawValue))
        guard let remedy else { return "\(operation.phrase): \(reason)" }
        return "\(operation.phrase): \(reason). \(remedy)"
    }

    /// What the reader can do about it, where there is something to do.
    private var remedy: String? {
        switch (operation, code) {
        case (.bind, .addressInUse):
            "Is an earlier run still alive? Bind to port * to let the system choose."
        case (.bind, .invalid), (.connect, .invalid):
            "Endpoints look like tcp://127.0.0.1:5555, ipc:///tmp/name or inproc://name."
        case (.bind, .nameTooLong), (.connect, .nameTooLong):
            "The path of an ipc endpoint has at most 107 bytes; choose a shorter directory."
        case (.send, .wrongState): "A request socket must receive a reply before it sends again."
        case (.open, .tooManySockets): "Raise the limit of open files (ulimit -n)."
        default: nil
        }
    }
}

extension ZeroMQError.Operation {
    fileprivate var phrase: String {
        switch self {
        case .createContext: "could not create a ZeroMQ context"
        case .open(let pattern): "could not open a \(pattern.rawValue) socket"
        case .configure(let option): "could not set \(option) of the socket"
        case .bind(let endpoint): "could not bind to \(endpoint)"
        case .unbind(let endpoint): "could not unbind from \(endpoint)"
        case .connect(let endpoint): "could not connect to \(endpoint)"
        case .disconnect(let endpoint): "could not disconnect from \(endpoint)"
        case .subscribe: "could not change the subscription"
        case .send: "could not send"
        case .receive: "could not receive"
        case .poll: "could not wait for sockets"
        }
    }
}

extension ZeroMQError {
    /// The error that libzmq just reported on this thread.
    ///
    /// Ask before anything else can set `errno`.
    static func last(_ operation: Operation) -> ZeroMQError {
        ZeroMQError(operation: operation, code: Code(rawValue: zmq_errno()))
    }
}

/// Calls libzmq until a signal no longer interrupts it, and turns `-1` into a typed error.
///
/// Every call that can fail goes through here or `ZeroMQError.last`, so `errno` is read in one
/// place.
@discardableResult
func retrying(
    _ operation: @autoclosure () -> ZeroMQError.Operation,
    _ call: () -> CInt
) throws(ZeroMQError) -> CInt {
    while true {
        let result = call()
        if result != -1 { return result }
        let code = ZeroMQError.Code(rawValue: zmq_errno())
        if code.rawValue == EINTR { continue }
        throw ZeroMQError(operation: operation(), code: code)
    }
}
