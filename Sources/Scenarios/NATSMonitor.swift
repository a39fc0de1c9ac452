internal import Glibc
internal import JSON

/// What a NATS server tells about itself over HTTP.
enum NATSMonitor {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let timeout = timeval(tv_sec: 2, tv_usec: 0)
    private static let answerLengthMax = 64 << 20

    /// Asks a server on this machine; blocks for a few seconds at most.
    static func get(_ path: String, port: UInt16) throws -> Value {
        let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | closeOnExec, 0)
        guard connection >= 0 else { throw failure("socket") }
        defer { close(connection) }
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            var limit = timeout
            let size = socklen_t(MemoryLayout<timeval>.size)
            guard setsockopt(connection, SOL_SOCKET, option, &limit, size) == 0 else {
                throw failure("setsockopt")
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(connection, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { throw failure("connect") }
        try send("GET \(path) HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", on: connection)
        return try body(of: try receive(on: connection))
    }

    private static let closeOnExec = Int32(SOCK_CLOEXEC.rawValue)

    private static func failure(_ call: String) -> Failure {
        Failure(description: "\(call): \(String(cString: strerror(errno)))")
    }

    private static func send(_ request: String, on connection: Int32) throws {
        var rest = Array(request.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw failure("send") }
            rest = rest.dropFirst(count)
        }
    }

    private static func receive(on connection: Int32) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= answerLengthMax {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count >= 0 else { throw failure("recv") }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
        throw Failure(description: "the answer has more than \(answerLengthMax) bytes")
    }

    private static func body(of answer: [UInt8]) throws -> Value {
        let blank = Array("\r\n\r\n".utf8)
        var position = 0
        while position + blank.count <= answer.count {
            if answer[position..<(position + blank.count)].elementsEqual(blank) {
                return try Value(parsing: Array(answer[(position + blank.count)...]))
            }
            position += 1
        }
        throw Failure(description: "no answer of HTTP")
    }
}
