internal import CLinux
internal import Glibc

/// A stream socket of this machine, by its path.
enum UnixSocket {
    /// Opens a socket and has `body` bind or connect it.
    static func open(
        _ path: String, _ body: (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) throws(OperatingError) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else {
            throw OperatingError(
                .unreachable, "the path \(path) is longer than a socket's may be",
                remedy: "Set XDG_RUNTIME_DIR to a shorter folder.")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let socket = socket(AF_UNIX, kind, 0)
        guard socket >= 0 else {
            throw OperatingError(.unreachable, String(cString: strerror(errno)))
        }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body(socket, $0, size) }
        }
        guard code == 0 else {
            let reason = String(cString: strerror(errno))
            close(socket)
            throw OperatingError(.unreachable, "\(path): \(reason.lowercased())")
        }
        return socket
    }

    /// The user at the other end.
    static func peer(of socket: CInt) -> uid_t? {
        var user: uid_t = 0
        return synmesh_peer_user(socket, &user) == 0 ? user : nil
    }
}
