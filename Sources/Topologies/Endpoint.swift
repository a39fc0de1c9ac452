/// Where a proxy binds, as ZeroMQ writes it.
public enum Endpoint: Sendable, Hashable {
    /// `tcp://HOST:PORT`; the port is `nil` for `*`, which lets the system choose.
    case tcp(host: String, port: UInt16?)
    /// `ipc://PATH`; a path that does not start with `/` is in the run's runtime folder.
    case ipc(path: String)
    /// `ipc://@NAME`: a socket without a file.
    case abstract(name: String)

    /// The most bytes that a socket's path may have: Linux's 108 with the NUL at its end.
    public static let pathByteCountMax = 107

    /// Reads an endpoint; `nil` where it is none.
    public init?(_ text: String) {
        if text.hasPrefix("ipc://") {
            let path = text.dropFirst(6)
            guard !path.isEmpty, !path.utf8.contains(0), path != "@", path != "*" else {
                return nil
            }
            self =
                path.first == "@"
                ? .abstract(name: String(path.dropFirst())) : .ipc(path: String(path))
            return
        }
        guard text.hasPrefix("tcp://") else { return nil }
        let address = text.dropFirst(6)
        guard let colon = address.lastIndex(of: ":") else { return nil }
        let (host, port) = (address[..<colon], address[address.index(after: colon)...])
        guard Self.isHost(host) else { return nil }
        if port == "*" {
            self = .tcp(host: String(host), port: nil)
        } else {
            guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let number = UInt16(port), number > 0
            else { return nil }
            self = .tcp(host: String(host), port: number)
        }
    }

    /// The endpoint as a proxy binds to it, with paths in the run's runtime folder completed.
    public func resolved(in runtimeDirectory: String) -> String {
        switch self {
        case .tcp(let host, let port): "tcp://\(host):\(port.map(String.init) ?? "*")"
        case .ipc(let path) where path.first == "/": "ipc://" + path
        case .ipc(let path): "ipc://\(runtimeDirectory)/\(path)"
        case .abstract(let name): "ipc://@" + name
        }
    }

    /// The bytes that a socket's address needs, or `nil` where that is no path.
    func pathByteCount(runtimeDirectoryByteCount: Int) -> Int? {
        switch self {
        case .tcp: nil
        case .ipc(let path) where path.first == "/": path.utf8.count
        case .ipc(let path): runtimeDirectoryByteCount + 1 + path.utf8.count
        case .abstract(let name): name.utf8.count + 1
        }
    }

    /// Whether only one of both can be bound.
    func collides(with other: Endpoint) -> Bool {
        guard case .tcp(let host, let port?) = self,
            case .tcp(let otherHost, let otherPort?) = other
        else { return self == other && !isChosenBySystem }
        let (one, two) = (Self.canonical(host), Self.canonical(otherHost))
        return port == otherPort && (one == two || one == "*" || two == "*")
    }

    private var isChosenBySystem: Bool {
        if case .tcp(_, nil) = self { true } else { false }
    }

    private static func canonical(_ host: String) -> String {
        switch host {
        case "localhost": "127.0.0.1"
        case "0.0.0.0": "*"
        default: host
        }
    }

    private static func isHost(_ host: Substring) -> Bool {
        if host == "*" { return true }
        if host.first == "[", host.last == "]", host.count > 2 {
            return host.dropFirst().dropLast().allSatisfy { $0.isHexDigit || $0 == ":" }
        }
        return !host.isEmpty
            && host.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
                    || (0x61...0x7A).contains($0) || [0x2D, 0x2E, 0x5F].contains($0)
            }
    }
}
