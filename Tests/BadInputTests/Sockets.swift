import Glibc
import TestSupport
import Testing
import Wire
import ZeroMQ

/// A socket of a stranger's: no rule of ours is kept by it.
final class Stranger {
    var socket: Socket

    init(
        _ pattern: Socket.Pattern, named name: String? = nil, at endpoint: String?,
        in context: Context
    ) throws {
        var options = SocketOptions(routingID: name, linger: .zero)
        options.xpubVerbose = true
        socket = try Socket(pattern, in: context, options: options)
        try socket.connect(to: try #require(endpoint))
    }

    /// Sends as far as there is room within the patience.
    func send(_ frames: [[UInt8]], _ what: Comment = "room to send") throws {
        // libzmq knows no message without a frame.
        let frames = frames.isEmpty ? [[]] : frames
        try eventually(what) {
            // Some patterns refuse some messages: those cannot come from a peer of that kind.
            guard let result = try? socket.send(frames) else { return () }
            return result == .wouldBlock ? nil : ()
        }
    }

    /// Takes everything that is there.
    func drain() throws {
        while try socket.receive() != nil {}
    }
}

/// The envelope in frames that end with header and content, if there is one.
func envelope(in frames: [[UInt8]]) -> Envelope? {
    guard frames.count >= 2 else { return nil }
    return try? Envelope(header: frames[frames.count - 2], content: frames[frames.count - 1])
}

extension Envelope {
    /// Whether it is the good one of a round.
    func isGood(_ round: Int) -> Bool {
        type == "good" && content == Array("\(round)".utf8) && source == "good-\(round)"
    }
}

/// Bytes that no library stands before: a TCP connection.
final class RawConnection {
    private let descriptor: Int32

    /// Connects to `tcp://127.0.0.1:PORT`.
    init(to endpoint: String?) throws {
        let endpoint = try #require(endpoint)
        let port = try #require(endpoint.split(separator: ":").last.flatMap { UInt16($0) })
        descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw TestFailure("no connection to \(endpoint)")
        }
    }

    deinit { close(descriptor) }

    /// Writes; a peer that has hung up is no failure.
    func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// ZMTP 3.0 as a peer of that kind says it, and a frame that says it has that length.
    static func greeting() -> [UInt8] {
        [0xFF] + [UInt8](repeating: 0, count: 8) + [0x7F, 3, 0] + Array("NULL".utf8)
            + [UInt8](repeating: 0, count: 48)
    }

    static func ready(_ pattern: String) -> [UInt8] {
        let name = Array("Socket-Type".utf8)
        let body =
            [5] + Array("READY".utf8) + [UInt8(name.count)] + name
            + [0, 0, 0, UInt8(pattern.utf8.count)] + Array(pattern.utf8)
        return [4, UInt8(body.count)] + body
    }

    static func longFrame(ofLength length: UInt64, flags: UInt8 = 2) -> [UInt8] {
        [flags] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) }
    }
}
