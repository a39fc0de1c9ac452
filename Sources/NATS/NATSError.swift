internal import CNATS

/// A failed call into libnats: what was attempted, and the reason it gave.
public struct NATSError: Error, Hashable, Sendable {
    /// What was being attempted.
    public enum Operation: Hashable, Sendable {
        case configure(String)
        case connect(String)
        case publish(subject: String, bytes: Int)
        case flush
        case subscribe(String)
        case next(String)
        case drain(String)
        case unsubscribe(String)
    }

    /// Why it failed: an open set, as libnats adds states.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// libnats's `natsStatus`.
        public let rawValue: UInt32

        /// Names a status.
        public init(rawValue: UInt32) {
            self.rawValue = rawValue
        }

        init(_ status: natsStatus) {
            self.init(rawValue: UInt32(status.rawValue))
        }

        /// Nothing happened in time.
        public static let timeout = Code(NATS_TIMEOUT)
        /// No server answers there.
        public static let noServer = Code(NATS_NO_SERVER)
        /// The connection is lost, and being restored.
        public static let disconnected = Code(NATS_CONNECTION_DISCONNECTED)
        /// The connection is closed for good.
        public static let closed = Code(NATS_CONNECTION_CLOSED)
        /// The subscription ended.
        public static let subscriptionEnded = Code(NATS_INVALID_SUBSCRIPTION)
        /// More than the server carries in one message.
        public static let oversize = Code(NATS_MAX_PAYLOAD)
        /// Not a subject.
        public static let invalidSubject = Code(NATS_INVALID_SUBJECT)
        /// The buffer for the time without a connection is full.
        public static let bufferFull = Code(NATS_INSUFFICIENT_BUFFER)
    }

    /// What was being attempted.
    public let operation: Operation
    /// Why it failed.
    public let code: Code
    /// The limit that was exceeded, where one was.
    public let limit: Int?

    /// Makes one; who builds on the library may have to refuse what it would.
    public init(_ operation: Operation, _ code: Code, limit: Int? = nil) {
        self.operation = operation
        self.code = code
        self.limit = limit
    }
}

extension NATSError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        let text = String(cString: natsStatus_GetText(natsStatus(rawValue: code.rawValue)))
        let reason = text + (limit.map { " (limit \($0) bytes)" } ?? "")
        guard let remedy else { return "\(operation.phrase): \(reason)" }
        return "\(operation.phrase): \(reason). \(remedy)"
    }

    private var remedy: String? {
        switch (operation, code) {
        case (.connect, .noServer): "Is nats-server running there? URLs look like nats://host:4222."
        case (.publish, .oversize):
            "Raise the server's max_payload, send the content through shared memory, "
                + "or send it in chunks."
        case (_, .disconnected): "The library reconnects by itself; send again when it has."
        default: nil
        }
    }
}

extension NATSError.Operation {
    fileprivate var phrase: String {
        switch self {
        case .configure(let option): "could not set \(option) of the NATS connection"
        case .connect(let url): "could not connect to \(url)"
        case .publish(let subject, let bytes): "could not publish \(bytes) bytes to \(subject)"
        case .flush: "could not flush the NATS connection"
        case .subscribe(let subject): "could not subscribe to \(subject)"
        case .next(let subject): "could not receive from \(subject)"
        case .drain(let subject): "could not drain the subscription to \(subject)"
        case .unsubscribe(let subject): "could not unsubscribe from \(subject)"
        }
    }
}

/// Turns every status but success into a typed error.
func check(
    _ operation: @autoclosure () -> NATSError.Operation, _ status: natsStatus
) throws(NATSError) {
    guard status != NATS_OK else { return }
    throw NATSError(operation(), NATSError.Code(status))
}

extension Duration {
    /// The duration in libnats's unit, rounded up, at least one.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return max(
            1, seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
