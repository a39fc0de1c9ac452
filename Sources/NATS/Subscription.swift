internal import CNATS
internal import Synchronization

/// A message, copied out of the library.
public struct Message: Sendable {
    /// The subject that it was published to.
    public let subject: String
    /// Where an answer is wanted.
    public let reply: String?
    /// The headers in no particular order; of a repeated one the first value.
    public let headers: [(name: String, value: String)]
    /// The content.
    public let content: [UInt8]

    /// The value of a header.
    public func header(_ name: String) -> String? {
        headers.first { $0.name == name }?.value
    }

    init(copying message: OpaquePointer) {
        subject = String(cString: natsMsg_GetSubject(message))
        reply = natsMsg_GetReply(message).map { String(cString: $0) }
        let count = Int(natsMsg_GetDataLength(message))
        content =
            natsMsg_GetData(message).map {
                [UInt8](UnsafeRawBufferPointer(start: $0, count: count))
            } ?? []
        headers = Self.headers(of: message)
    }

    private static func headers(of message: OpaquePointer) -> [(name: String, value: String)] {
        var keys: UnsafeMutablePointer<UnsafePointer<CChar>?>?
        var count: CInt = 0
        guard natsMsgHeader_Keys(message, &keys, &count) == NATS_OK, let keys else { return [] }
        // The array is ours to free, the names in it are not.
        defer { free(keys) }
        var headers: [(name: String, value: String)] = []
        headers.reserveCapacity(Int(count))
        for index in 0..<Int(count) {
            var value: UnsafePointer<CChar>?
            guard let key = keys[index], natsMsgHeader_Get(message, key, &value) == NATS_OK,
                let value
            else { continue }
            headers.append((String(cString: key), String(cString: value)))
        }
        return headers
    }
}

/// A synchronous subscription: messages wait in it until they are fetched.
///
/// Ends by itself when it is released; what still waits in it is then discarded, so `drain` first
/// where that matters.
public final class Subscription: Sendable {
    // libnats guards its subscriptions by a lock of their own, and the pointer is never changed
    // and only freed in `deinit`.
    nonisolated(unsafe) private let handle: OpaquePointer
    /// What is subscribed to.
    public let subject: String
    private let isDraining = Atomic<Bool>(false)
    // The connection must not be freed before its subscriptions.
    private let connection: Connection

    init(handle: OpaquePointer, subject: String, connection: Connection) {
        self.handle = handle
        self.subject = subject
        self.connection = connection
    }

    deinit {
        natsSubscription_Destroy(handle)
    }

    /// Fetches the next message, copied out of the library.
    ///
    /// - Returns: The message, or nil when none came in time.
    /// - Throws: `NATSError` with code `.subscriptionEnded` after a drain once everything was
    ///   fetched, or `.closed`.
    public func next(timeout: Duration) throws(NATSError) -> Message? {
        guard let received = try nextReceived(timeout: timeout) else { return nil }
        return received.copy
    }

    /// Fetches the next message where it is.
    ///
    /// - Returns: The message, or nil when none came in time.
    /// - Throws: `NATSError` as `next`.
    public func nextReceived(timeout: Duration) throws(NATSError) -> ReceivedMessage? {
        var message: OpaquePointer?
        // Mostly one waits already, and nobody has to know the time.
        let status = natsSubscription_NextMsg(&message, handle, timeout.milliseconds)
        if status == NATS_OK, let message { return ReceivedMessage(taking: message) }
        // While it drains, or has lost something, the library answers at once although more may
        // come in the time that was given.
        let isPassing =
            status == NATS_SLOW_CONSUMER
            || status == NATS_TIMEOUT && isDraining.load(ordering: .acquiring)
        guard !isPassing else { return try awaitNext(timeout: timeout) }
        guard status == NATS_TIMEOUT else {
            throw NATSError(.next(subject), NATSError.Code(status))
        }
        return nil
    }

    private func awaitNext(timeout: Duration) throws(NATSError) -> ReceivedMessage? {
        let end = ContinuousClock.now + timeout
        while true {
            var message: OpaquePointer?
            let left = max(.zero, end - ContinuousClock.now)
            let status = natsSubscription_NextMsg(&message, handle, left.milliseconds)
            if status == NATS_OK, let message { return ReceivedMessage(taking: message) }
            switch status {
            case NATS_TIMEOUT:
                guard isDraining.load(ordering: .acquiring), left > .zero else { return nil }
                // While it drains, the library answers so at once when nothing waits, although
                // more may come until the server has heard of it.
                natsSubscription_WaitForDrainCompletion(
                    handle, min(left, .milliseconds(5)).milliseconds)
            // Said once for each spell of losses; `dropped` counts them.
            case NATS_SLOW_CONSUMER: continue
            default: throw NATSError(.next(subject), NATSError.Code(status))
            }
        }
    }

    /// Starts to end the subscription without losing what waits: the server is told, and what had
    /// been sent until then is still fetched by `next`, which then throws `.subscriptionEnded`.
    ///
    /// Returns at once.
    ///
    /// - Parameter timeout: After this time the subscription ends in any case.
    /// - Throws: `NATSError` when it has ended already.
    public func drain(timeout: Duration) throws(NATSError) {
        try check(.drain(subject), natsSubscription_DrainTimeout(handle, timeout.milliseconds))
        isDraining.store(true, ordering: .releasing)
    }

    /// Whether a drain has come to its end: the server confirmed it, and everything was fetched.
    ///
    /// - Parameter timeout: The longest wait for the library to notice; the last message may be
    ///   fetched a moment earlier.
    /// - Returns: False where there was no drain, it failed, or it does not end in time.
    public func isDrained(within timeout: Duration) -> Bool {
        natsSubscription_WaitForDrainCompletion(handle, timeout.milliseconds)
        return natsSubscription_DrainCompletionStatus(handle) == NATS_OK
    }

    /// Ends the subscription at once; what waits is discarded.
    public func unsubscribe() throws(NATSError) {
        try check(.unsubscribe(subject), natsSubscription_Unsubscribe(handle))
    }

    /// Whether the subscription, or its connection, has ended.
    public var isClosed: Bool { !natsSubscription_IsValid(handle) }

    /// Messages that were dropped because too many waited.
    public var dropped: Int64 {
        var dropped: Int64 = 0
        guard natsSubscription_GetDropped(handle, &dropped) == NATS_OK else { return 0 }
        return dropped
    }

    /// Messages that have arrived so far: those that were fetched and those that wait; nil when the
    /// subscription has ended.
    public var arrived: UInt64? {
        var (waiting, fetched): (CInt, Int64) = (0, 0)
        // One call, so that a message on its way from one to the other is counted once.
        let status = natsSubscription_GetStats(handle, &waiting, nil, nil, nil, &fetched, nil)
        return status == NATS_OK ? UInt64(fetched) + UInt64(waiting) : nil
    }

    /// Messages that wait to be fetched.
    public var pending: Int {
        var messages: CInt = 0
        guard natsSubscription_GetPending(handle, &messages, nil) == NATS_OK else { return 0 }
        return Int(messages)
    }
}
