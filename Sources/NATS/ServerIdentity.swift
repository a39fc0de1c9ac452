internal import Glibc

/// Who a NATS server says it is, in the greeting that it sends to whoever connects.
public struct ServerIdentity: Hashable, Sendable {
    /// Unique for each start of a server.
    public let identifier: String
    /// As given by `nats-server -n`.
    public let name: String

    /// The longest greeting that is read, in bytes.
    private static let greetingLengthMax = 32_768

    /// Connects to `url` (`nats://127.0.0.1:4222`, numeric host), reads the greeting, disconnects.
    ///
    /// Nil when nobody answers within the timeout, or not as a NATS server does.
    public init?(greetingFrom url: String, timeout: Duration = .seconds(2)) {
        guard let (host, port) = Self.parse(url) else { return nil }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // The send timeout also bounds `connect`.
        let (seconds, attoseconds) = timeout.components
        var limit = timeval(
            tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return nil }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0, let greeting = Self.line(from: descriptor) else { return nil }
        self.init(greeting: greeting)
    }

    /// Reads a greeting (`INFO {…}`); nil where it is none.
    public init?(greeting: String) {
        guard greeting.hasPrefix("INFO "),
            let identifier = Self.member("server_id", in: greeting),
            let name = Self.member("server_name", in: greeting)
        else { return nil }
        self.identifier = identifier
        self.name = name
    }

    private static func parse(_ url: String) -> (host: String, port: UInt16)? {
        let scheme = "nats://"
        let address = url.hasPrefix(scheme) ? url.dropFirst(scheme.utf8.count) : url[...]
        let parts = address.split(separator: "@").last?.split(separator: ":") ?? []
        guard let host = parts.first else { return nil }
        let port = parts.count > 1 ? UInt16(parts[1].prefix { $0 != "/" }) : 4_222
        return port.map { (host == "localhost" ? "127.0.0.1" : String(host), $0) }
    }

    private static func line(from descriptor: Int32) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while bytes.count < greetingLengthMax {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes.append(contentsOf: buffer[..<count])
            if let end = bytes.firstIndex(of: 0x0A) {
                return String(decoding: bytes[..<end], as: UTF8.self)
            }
        }
        return nil
    }

    /// The text of a string member of the greeting's JSON object; names of servers hold no escapes.
    private static func member(_ name: String, in greeting: String) -> String? {
        let key = "\"\(name)\":\""
        guard let start = greeting.firstRange(of: key)?.upperBound,
            let end = greeting[start...].firstIndex(of: "\"")
        else { return nil }
        return String(greeting[start..<end])
    }
}
