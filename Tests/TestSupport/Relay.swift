internal import Foundation
internal import Synchronization

/// A stretch of network between two programs, on which what is underway can be lost.
///
/// Accepts connections at a port of its own and passes every byte on to another port of this machine.
package final class Relay: Sendable {
    private enum Mode {
        /// Everything is passed on.
        case passing
        /// Everything that comes is lost, and nobody is told.
        case swallowing
        /// All connections are to be ended.
        case cutting
        case closed
    }

    private let mode = Shared()
    /// Where to connect.
    package let endpoint: String

    private final class Shared: Sendable { let value = Mutex(Mode.passing) }

    /// A relay to `tcp://127.0.0.1:PORT`.
    package init(to endpoint: String) throws {
        guard let port = endpoint.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            throw TestFailure("'\(endpoint)' has no port")
        }
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw TestFailure("no port for a relay") }
        self.endpoint = "tcp://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
        let mode = mode
        Thread.detachNewThread { Self.run(listener, port, mode) }
    }

    deinit { mode.value.withLock { $0 = .closed } }

    /// From now on everything that comes is lost.
    package func swallow() { mode.value.withLock { $0 = .swallowing } }

    /// Ends all connections, and passes on what comes by later ones; returns when that is done.
    package func cut() throws {
        mode.value.withLock { $0 = .cutting }
        for _ in 0..<20_000 {
            if mode.value.withLock({ $0 == .passing }) { return }
            usleep(1_000)
        }
        throw TestFailure("the relay does not cut its connections")
    }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        return address
    }

    private static func run(_ listener: Int32, _ port: UInt16, _ shared: Shared) {
        /// The other end of each connection.
        var others: [Int32: Int32] = [:]
        func end(_ connection: Int32) {
            guard let other = others.removeValue(forKey: connection) else { return }
            others[other] = nil
            close(connection)
            close(other)
        }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let mode = shared.value.withLock { $0 }
            if mode == .cutting || mode == .closed {
                for connection in Array(others.keys) { end(connection) }
            }
            if mode == .closed { break }
            if mode == .cutting { shared.value.withLock { $0 = .passing } }
            var items = ([listener] + others.keys).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            guard poll(&items, nfds_t(items.count), 5) > 0 else { continue }
            if items[0].revents != 0 {
                let near = accept(listener, nil, nil)
                let far = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                var address = address(port)
                let isThere = withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(far, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                    }
                }
                if near >= 0, isThere {
                    (others[near], others[far]) = (far, near)
                } else {
                    close(near)
                    close(far)
                }
            }
            // Looked at again: what came since it was said that all is lost is lost.
            let isPassing = shared.value.withLock { $0 == .passing }
            for item in items.dropFirst() where item.revents != 0 {
                guard let other = others[item.fd] else { continue }
                let count = recv(item.fd, &buffer, buffer.count, 0)
                guard count > 0 else {
                    end(item.fd)
                    continue
                }
                guard isPassing else { continue }
                var sent = 0
                while sent < count {
                    let written = buffer[sent..<count].withUnsafeBytes {
                        send(other, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    guard written > 0 else { break }
                    sent += written
                }
            }
        }
        close(listener)
    }
}
