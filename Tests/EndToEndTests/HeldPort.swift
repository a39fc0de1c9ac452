import Glibc
import Testing

/// A TCP port of this machine that the test listens on.
final class HeldPort {
    let number: UInt16
    private let listener: CInt

    init() throws {
        let listener = socket(
            AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutableBytes(of: &address) { bytes in
            let pointer = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self)
            guard let pointer, bind(listener, pointer, length) == 0, listen(listener, 8) == 0
            else { return CInt(-1) }
            return getsockname(listener, pointer, &length)
        }
        try #require(result == 0, "could not listen on a port")
        self.listener = listener
        number = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(listener) }
}
