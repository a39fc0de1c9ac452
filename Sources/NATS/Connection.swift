internal import CNATS
internal import Synchronization

/// What is decided about a connection before it is made.
public struct ConnectionOptions: Hashable, Sendable {
    /// The name that the server's monitoring shows.
    public var name: String
    /// The connection does not receive what it publishes itself.
    public var noEcho: Bool
    /// Each publish goes to the socket at once, instead of up to a millisecond later.
    public var sendAsap: Bool
    /// Attempts to reconnect before the connection closes for good; nil is no limit.
    public var reconnectAttemptsMax: Int?
    /// Time between two attempts to reconnect.
    public var reconnectWait: Duration = .milliseconds(50)
    /// The longest that connecting may take.
    public var timeout: Duration = .seconds(2)
    /// The longest that one write to the socket may take before the connection counts as lost.
    public var writeDeadline: Duration = .seconds(2)
    /// Time between two pings.
    public var pingInterval: Duration = .seconds(1)
    /// Pings without an answer after which the connection counts as lost.
    public var pingsUnansweredMax = 2
    /// Bytes of the read and write buffers.
    public var bufferSize = 65_536

    /// The defaults; set what differs.
    public init(
        name: String, noEcho: Bool = false, sendAsap: Bool = true, reconnectAttemptsMax: Int? = nil
    ) {
        self.name = name
        self.noEcho = noEcho
        self.sendAsap = sendAsap
        self.reconnectAttemptsMax = reconnectAttemptsMax
    }
}

/// A connection to a NATS server, shared freely among threads.
///
/// It reconnects by itself, for ever unless told otherwise. While it is not connected, publishing
/// fails with `.disconnected` instead of going into a buffer that dies with the process: whoever
/// wants to wait has a queue of its own whose losses it can name.
public final class Connection: Sendable {
    // libnats guards its connections by a lock of their own, and the pointer is never changed and
    // only freed in `deinit`.
    nonisolated(unsafe) let handle: OpaquePointer
    /// The URL that was connected to.
    public let url: String
    private let namedServer = Mutex<ServerIdentity?>(nil)

    /// Connects.
    ///
    /// - Parameters:
    ///   - url: For example `nats://127.0.0.1:4222`.
    ///   - options: Everything that is decided beforehand.
    /// - Throws: `NATSError` with code `.noServer` when nobody answers in time.
    public init(to url: String, options: ConnectionOptions) throws(NATSError) {
        var created: OpaquePointer?
        try check(.configure("options"), natsOptions_Create(&created))
        defer { natsOptions_Destroy(created) }
        try Self.apply(options, url: url, to: created)
        var connection: OpaquePointer?
        let status = natsConnection_Connect(&connection, created)
        guard status == NATS_OK, let connection else {
            throw NATSError(.connect(url), NATSError.Code(status))
        }
        self.handle = connection
        self.url = url
    }

    deinit {
        natsConnection_Destroy(handle)
    }

    private static func apply(
        _ options: ConnectionOptions, url: String, to raw: OpaquePointer?
    ) throws(NATSError) {
        func set(_ name: String, _ status: natsStatus) throws(NATSError) {
            try check(.configure(name), status)
        }
        try set("URL", natsOptions_SetURL(raw, url))
        try set("name", natsOptions_SetName(raw, options.name))
        try set("no echo", natsOptions_SetNoEcho(raw, options.noEcho))
        try set("send at once", natsOptions_SetSendAsap(raw, options.sendAsap))
        try set("timeout", natsOptions_SetTimeout(raw, options.timeout.milliseconds))
        try set(
            "write deadline", natsOptions_SetWriteDeadline(raw, options.writeDeadline.milliseconds))
        try set(
            "reconnect attempts",
            natsOptions_SetMaxReconnect(raw, CInt(clamping: options.reconnectAttemptsMax ?? -1)))
        try set(
            "reconnect wait", natsOptions_SetReconnectWait(raw, options.reconnectWait.milliseconds))
        try set("reconnect jitter", natsOptions_SetReconnectJitter(raw, 5, 5))
        try set(
            "ping interval", natsOptions_SetPingInterval(raw, options.pingInterval.milliseconds))
        try set(
            "unanswered pings",
            natsOptions_SetMaxPingsOut(raw, CInt(clamping: options.pingsUnansweredMax)))
        try set("buffer size", natsOptions_SetIOBufSize(raw, CInt(clamping: options.bufferSize)))
        // The default handler writes every asynchronous error to standard error.
        try set("error handler", natsOptions_SetErrorHandler(raw, ignoreAsynchronousError, nil))
    }

    /// Whether the server is there now, as far as is known.
    public var isConnected: Bool { natsConnection_Status(handle) == NATS_CONN_STATUS_CONNECTED }

    /// Whether the connection is closed for good.
    public var isClosed: Bool { natsConnection_IsClosed(handle) }

    /// The largest content that the server carries, headers included, in bytes.
    public var maxPayload: Int { Int(natsConnection_GetMaxPayload(handle)) }

    /// Bytes that wait in the library to be written to the socket.
    public var pendingBytes: Int { max(0, Int(natsConnection_Buffered(handle))) }

    /// How often the connection was lost and restored.
    public var reconnects: Int {
        var statistics: OpaquePointer?
        guard natsStatistics_Create(&statistics) == NATS_OK else { return 0 }
        defer { natsStatistics_Destroy(statistics) }
        guard natsConnection_GetStats(handle, statistics) == NATS_OK else { return 0 }
        var reconnects: UInt64 = 0
        natsStatistics_GetCounts(statistics, nil, nil, nil, nil, &reconnects)
        return Int(reconnects)
    }

    /// The unique identifier of the server that is connected now.
    public var serverID: String? {
        text { natsConnection_GetConnectedServerId(handle, $0, $1) }
    }

    /// The name of the server that is connected now (`nats-server -n`).
    ///
    /// The library does not keep it; it is read from the greeting of a second connection, and only
    /// believed when that came from the same server.
    public var serverName: String? {
        guard let identifier = serverID else { return nil }
        return namedServer.withLock { known in
            if let known, known.identifier == identifier { return known.name }
            guard
                let url = text({ natsConnection_GetConnectedUrl(handle, $0, $1) }),
                let server = ServerIdentity(greetingFrom: url), server.identifier == identifier
            else { return nil }
            known = server
            return server.name
        }
    }

    private func text(
        _ call: (UnsafeMutablePointer<CChar>, Int) -> natsStatus
    ) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1_024) { buffer in
            guard let base = buffer.baseAddress, call(base, buffer.count) == NATS_OK else {
                return nil
            }
            let text = String(cString: base)
            return text.isEmpty ? nil : text
        }
    }

    /// Publishes with headers.
    ///
    /// - Throws: `NATSError` with code `.oversize` (nothing is sent; the limit is in it) or
    ///   `.disconnected`.
    public func publish(
        _ subject: String, headers: [(name: String, value: String)], content: [UInt8]
    ) throws(NATSError) {
        var lines: [UInt8] = []
        for header in headers {
            if !lines.isEmpty { lines += [0x0D, 0x0A] }
            lines += Array(header.name.utf8) + [0x3A, 0x20]
            lines += header.value.utf8.map { $0 < 0x20 ? 0x20 : $0 }
        }
        guard !lines.isEmpty else { return try publish(subject, content: content) }
        try content.withUnsafeBufferPointer { content throws(NATSError) in
            try publish(subject, headerLines: &lines, content: UnsafeRawBufferPointer(content))
        }
    }

    /// Publishes with headers that are written out already: `name: value`, lines apart by CR LF.
    ///
    /// The library takes headers one by one, copies each twice and keeps them in a table, which
    /// costs more than all else. It writes the name of a header as it is, so that all lines but the
    /// end of the last can be the name of one: nobody who receives them can tell. A library that
    /// refuses such a name gets them one by one.
    ///
    /// - Parameters:
    ///   - subject: The subject.
    ///   - lines: At least one line, none of them without a name or with a zero in it; as it was
    ///     when this returns.
    ///   - content: The content.
    /// - Throws: `NATSError` with code `.oversize` (nothing is sent; the limit is in it) or
    ///   `.disconnected`.
    public func publish(
        _ subject: String, headerLines lines: inout [UInt8], content: UnsafeRawBufferPointer
    ) throws(NATSError) {
        let operation = NATSError.Operation.publish(subject: subject, bytes: content.count)
        try checkSendable(operation, bytes: content.count + lines.count + Self.headerOverhead)
        var created: OpaquePointer?
        try check(
            operation,
            natsMsg_Create(
                &created, subject, nil, content.baseAddress?.assumingMemoryBound(to: CChar.self),
                CInt(content.count)))
        defer { natsMsg_Destroy(created) }
        lines.append(0)
        defer { lines.removeLast() }
        try check(operation, Self.setHeaders(of: created, to: &lines))
        try check(operation, natsConnection_PublishMsg(handle, created))
    }

    /// What headers take beside their lines: the status line, and the ends of two lines.
    public static let headerOverhead = 14

    private static func setHeaders(of message: OpaquePointer?, to lines: inout [UInt8])
        -> natsStatus
    {
        // Where the value of the last line begins.
        guard
            let colon = lines.lastIndex(of: UInt8(ascii: "\n")).map({ lines[$0...] }).map({ line in
                line.firstIndex(of: UInt8(ascii: ":"))
            }) ?? lines.firstIndex(of: UInt8(ascii: ":"))
        else { return NATS_INVALID_ARG }
        lines[colon] = 0
        defer { lines[colon] = UInt8(ascii: ":") }
        let status = lines.withUnsafeBytes { bytes in
            guard let name = bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else {
                return NATS_INVALID_ARG
            }
            return natsMsgHeader_Set(message, name, name + colon + 2)
        }
        guard status == NATS_INVALID_ARG else { return status }
        lines[colon] = UInt8(ascii: ":")
        for line in lines.dropLast().split(separator: UInt8(ascii: "\n")) {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            let text = String(decoding: line, as: UTF8.self)
            guard let end = text.firstIndex(of: ":") else { return NATS_INVALID_ARG }
            let status = natsMsgHeader_Set(
                message, String(text[..<end]), String(text[end...].dropFirst(2)))
            guard status == NATS_OK else { return status }
        }
        return NATS_OK
    }

    /// Publishes bytes alone.
    public func publish(_ subject: String, content: [UInt8]) throws(NATSError) {
        let operation = NATSError.Operation.publish(subject: subject, bytes: content.count)
        try checkSendable(operation, bytes: content.count)
        try check(
            operation,
            content.withUnsafeBytes {
                natsConnection_Publish(handle, subject, $0.baseAddress, CInt($0.count))
            })
    }

    private func checkSendable(
        _ operation: NATSError.Operation, bytes: Int
    ) throws(NATSError) {
        guard isConnected else {
            throw NATSError(operation, isClosed ? .closed : .disconnected)
        }
        let limit = maxPayload
        guard bytes <= limit else { throw NATSError(operation, .oversize, limit: limit) }
    }

    /// Returns when the server has everything that was sent before (subscriptions too).
    public func flush(timeout: Duration) throws(NATSError) {
        try check(.flush, natsConnection_FlushTimeout(handle, timeout.milliseconds))
    }

    /// Subscribes; messages are fetched by `next(timeout:)`.
    ///
    /// The server knows of it for certain after the next `flush`.
    ///
    /// - Parameters:
    ///   - subject: A subject; `*` stands for one token, a last `>` for one or more.
    ///   - pendingMessagesMax: Messages that may wait to be fetched; more are dropped and counted.
    ///   - pendingBytesMax: The same in bytes.
    /// - Returns: The subscription; releasing it ends it.
    /// - Throws: `NATSError` when the connection is closed or `subject` is none.
    public func subscribe(
        to subject: String, pendingMessagesMax: Int = 1_000_000,
        pendingBytesMax: Int = 1 << 30
    ) throws(NATSError) -> Subscription {
        var created: OpaquePointer?
        try check(.subscribe(subject), natsConnection_SubscribeSync(&created, handle, subject))
        guard let created else { throw NATSError(.subscribe(subject), .closed) }
        let subscription = Subscription(handle: created, subject: subject, connection: self)
        try check(
            .subscribe(subject),
            natsSubscription_SetPendingLimits(
                created, CInt(clamping: pendingMessagesMax), CInt(clamping: pendingBytesMax)))
        return subscription
    }

    /// Closes for good; every subscription ends, and what waits in them is discarded.
    public func close() {
        natsConnection_Close(handle)
    }
}

// A C function of its own: a closure could inherit an actor's isolation, and libnats calls it on
// its own threads. What it would report is seen in the counters and states of both classes.
private func ignoreAsynchronousError(
    _: OpaquePointer?, _: OpaquePointer?, _: natsStatus, _: UnsafeMutableRawPointer?
) {}
