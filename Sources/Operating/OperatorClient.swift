internal import Glibc
public import JSON

/// The asking end: blocking, for one thread.
public final class OperatorClient {
    private let socket: CInt
    private var received: [UInt8] = []
    private var next: Int64 = 0

    /// Connects to a mesh that runs.
    ///
    /// - Throws: `OperatingError.unreachable` where nobody listens.
    public init(path: String) throws(OperatingError) {
        socket = try UnixSocket.open(path) { connect($0, $1, $2) }
        guard UnixSocket.peer(of: socket) == geteuid() else {
            throw OperatingError(.unreachable, "\(path) is another user's")
        }
    }

    deinit { close(socket) }

    /// Asks, and waits for the answer.
    ///
    /// - Parameters:
    ///   - request: What is asked.
    ///   - timeout: How long to wait at most for each part of the answer; nil: for ever.
    ///   - item: Told of each part; false ends it.
    /// - Returns: The end of the answer; null where `item` ended it.
    /// - Throws: `OperatingError`: why there is none.
    public func ask(
        _ request: Request, timeout: Duration?, item: (Value) -> Bool = { _ in true }
    ) throws(OperatingError) -> Value {
        next += 1
        try send(Message.encode(request, id: next))
        while true {
            let (identifier, reply) = try Message.reply(try line(timeout))
            // What cannot be read has no number.
            guard identifier == next || identifier == 0 else { continue }
            switch reply {
            case .item(let value): if !item(value) { return .null }
            case .result(let value): return value
            case .failure(let error): throw error
            }
        }
    }

    private func send(_ bytes: [UInt8]) throws(OperatingError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw gone }
            rest = rest.dropFirst(count)
        }
    }

    private var gone: OperatingError {
        OperatingError(.unreachable, "the mesh has ended without an answer")
    }

    private func line(_ timeout: Duration?) throws(OperatingError) -> [UInt8] {
        let deadline = timeout.map { ContinuousClock.now + $0 }
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return Array(received[..<end])
            }
            if let deadline {
                let left = deadline - ContinuousClock.now
                guard left > .zero else { throw OperatingError(.late, "no answer in time") }
                let milliseconds = left / .milliseconds(1)
                var item = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
                guard poll(&item, 1, CInt(min(milliseconds + 1, 1e9))) > 0 else { continue }
            }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = read(socket, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw gone }
            received += buffer.prefix(count)
        }
    }
}
