internal import Glibc
public import JSON
internal import Synchronization
internal import Threads

/// One request, and the way back to who asked it.
public struct Exchange: Sendable {
    /// What is asked.
    public let request: Request
    fileprivate let identifier: Int64
    fileprivate let connection: Int
    fileprivate let server: OperatorServer

    /// Sends one of several parts of the answer.
    ///
    /// - Returns: Whether somebody still listens; a listener that takes too little is let go.
    @discardableResult
    public func send(_ item: Value) -> Bool { server.reply(.item(item), to: self) }

    /// Ends the answer.
    public func finish(_ result: Value = [:]) { _ = server.reply(.result(result), to: self) }

    /// Ends the answer with why there is none.
    public func fail(_ error: OperatingError) { _ = server.reply(.failure(error), to: self) }
}

/// The orchestrator's end of the socket that people ask it by: their own alone, one JSON object a
/// line, versioned.
///
/// One thread moves the bytes; requests are answered by tasks. Whoever reads slowly has a bounded
/// queue and then no connection: nothing of the mesh ever waits for them.
public final class OperatorServer: Sendable {
    /// Answers requests; it must not block.
    public typealias Handler = @Sendable (Exchange) async -> Void

    static let connectionsMax = 64
    static let queueMax = 8 << 20

    /// Where it listens.
    public let path: String

    struct Outgoing {
        var bytes: [UInt8]
        var connection: Int
    }

    struct State {
        var outgoing: [Outgoing] = []
        /// What waits for each connection, in bytes; those that are not there are closed.
        var queued: [Int: Int] = [:]
        var isClosing = false
    }

    let state = Mutex(State())
    let wakeUp: WakeUp
    private let thread: DedicatedThread

    /// Listens at a path in a folder that only this user may enter.
    ///
    /// - Throws: `OperatingError` when it cannot.
    public init(path: String, handler: @escaping Handler) throws(OperatingError) {
        unlink(path)
        let listener = try UnixSocket.open(path) { socket, address, size in
            guard bind(socket, address, size) == 0 else { return -1 }
            // Who may connect is said before anybody can.
            return chmod(path, 0o600) == 0 ? listen(socket, 16) : -1
        }
        _ = fcntl(listener, F_SETFL, O_NONBLOCK)
        self.path = path
        do throws(ThreadError) {
            wakeUp = try WakeUp()
            let start = try Handoff<OperatorServer>()
            thread = try DedicatedThread(named: "operator") {
                let server = start.take()
                OperatorLoop(server: server, listener: listener, handler: handler).run()
            }
            start.give(self)
        } catch {
            Glibc.close(listener)
            throw OperatingError(.unreachable, error.description)
        }
    }

    /// Sends what is queued, ends the connections and removes the socket.
    public func close() {
        state.withLock { $0.isClosing = true }
        wakeUp.signal()
        thread.join()
    }

    fileprivate func reply(_ reply: Message.Reply, to exchange: Exchange) -> Bool {
        let bytes = Message.encode(reply, id: exchange.identifier)
        let isOpen = state.withLock { state in
            guard let queued = state.queued[exchange.connection] else { return false }
            guard queued + bytes.count <= Self.queueMax else {
                state.queued[exchange.connection] = nil
                return false
            }
            state.queued[exchange.connection] = queued + bytes.count
            state.outgoing.append(Outgoing(bytes: bytes, connection: exchange.connection))
            return true
        }
        wakeUp.signal()
        return isOpen
    }
}

/// The thread that moves the bytes.
private final class OperatorLoop {
    private final class Connection {
        let socket: CInt
        var incoming: [UInt8] = []
        var outgoing: [UInt8] = []
        var sent = 0

        init(_ socket: CInt) { self.socket = socket }
    }

    private let server: OperatorServer
    private let listener: CInt
    private let handler: OperatorServer.Handler
    private var connections: [Int: Connection] = [:]
    private var next = 0

    init(server: OperatorServer, listener: CInt, handler: @escaping OperatorServer.Handler) {
        self.server = server
        self.listener = listener
        self.handler = handler
    }

    func run() {
        while !server.state.withLock({ $0.isClosing }) { step(timeout: -1) }
        // The last words go out, but nobody is waited for who does not read.
        close(listener)
        unlink(server.path)
        let deadline = ContinuousClock.now + .seconds(1)
        var hasMore = true
        while hasMore, ContinuousClock.now < deadline {
            step(timeout: 20, isClosing: true)
            hasMore = connections.values.contains { $0.sent < $0.outgoing.count }
        }
        for (number, _) in connections { end(number) }
    }

    private func step(timeout: CInt, isClosing: Bool = false) {
        var items = [pollfd(fd: server.wakeUp.descriptor, events: Int16(POLLIN), revents: 0)]
        let accepts = !isClosing && connections.count < OperatorServer.connectionsMax
        items.append(pollfd(fd: accepts ? listener : -1, events: Int16(POLLIN), revents: 0))
        let order = Array(connections)
        for (_, connection) in order {
            let wants = connection.sent < connection.outgoing.count ? POLLIN | POLLOUT : POLLIN
            items.append(pollfd(fd: connection.socket, events: Int16(wants), revents: 0))
        }
        guard poll(&items, nfds_t(items.count), timeout) >= 0 else { return }
        server.wakeUp.take()
        if items[1].revents != 0 { accept() }
        for (item, (number, connection)) in zip(items.dropFirst(2), order)
        where item.revents != 0 {
            if Int32(item.revents) & ~POLLOUT != 0 { receive(number, connection) }
        }
        takeOutgoing()
        for (number, connection) in connections { send(number, connection) }
    }

    private func accept() {
        let socket = Glibc.accept(listener, nil, nil)
        guard socket >= 0 else { return }
        guard UnixSocket.peer(of: socket) == geteuid() else {
            Glibc.close(socket)
            return
        }
        _ = fcntl(socket, F_SETFL, O_NONBLOCK)
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        next += 1
        connections[next] = Connection(socket)
        let number = next
        server.state.withLock { $0.queued[number] = 0 }
    }

    private func end(_ number: Int) {
        guard let connection = connections.removeValue(forKey: number) else { return }
        Glibc.close(connection.socket)
        server.state.withLock { state in
            state.queued[number] = nil
            state.outgoing.removeAll { $0.connection == number }
        }
    }

    private func takeOutgoing() {
        let (outgoing, open) = server.state.withLock { state in
            defer { state.outgoing = [] }
            return (state.outgoing, Set(state.queued.keys))
        }
        for part in outgoing { connections[part.connection]?.outgoing += part.bytes }
        for number in connections.keys where !open.contains(number) { end(number) }
    }

    private func send(_ number: Int, _ connection: Connection) {
        while connection.sent < connection.outgoing.count {
            let count = connection.outgoing[connection.sent...].withUnsafeBytes {
                Glibc.send(connection.socket, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { break }
            guard count > 0 else { return end(number) }
            connection.sent += count
            server.state.withLock { state in
                if let queued = state.queued[number] { state.queued[number] = queued - count }
            }
        }
        if connection.sent == connection.outgoing.count || connection.sent > 1 << 20 {
            connection.outgoing.removeFirst(connection.sent)
            connection.sent = 0
        }
    }

    private func receive(_ number: Int, _ connection: Connection) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = read(connection.socket, &buffer, buffer.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return end(number) }
        connection.incoming += buffer.prefix(count)
        while let end = connection.incoming.firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(connection.incoming[..<end])
            connection.incoming.removeFirst(end + 1)
            heed(line, of: number)
        }
        guard connection.incoming.count <= Message.lengthMax else { return end(number) }
    }

    private func heed(_ line: [UInt8], of number: Int) {
        do throws(OperatingError) {
            let (identifier, request) = try Message.request(line)
            let exchange = Exchange(
                request: request, identifier: identifier, connection: number, server: server)
            Task { [handler] in await handler(exchange) }
        } catch {
            Exchange(request: Request(""), identifier: 0, connection: number, server: server)
                .fail(error)
        }
    }
}
