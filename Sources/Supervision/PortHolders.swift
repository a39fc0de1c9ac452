internal import Glibc

/// Who listens on the TCP ports of this machine, as /proc shows it: IPv4 and IPv6.
public enum PortHolders {
    /// The ports that somebody listens on.
    static func ports() -> Set<UInt16> { Set(listening().map(\.port)) }

    /// The processes that hold a socket which listens on a port, in the order of their numbers.
    ///
    /// Looks at the descriptors of all processes, which may take tens of milliseconds.
    ///
    /// - Returns: Nil where nobody listens; without any process where those of another user do, whose
    ///   descriptors cannot be seen.
    public static func holders(of port: UInt16) -> [ProcessRecord]? {
        let sockets = Set(listening().filter { $0.port == port }.map { "socket:[\($0.inode)]" })
        guard !sockets.isEmpty else { return nil }
        return ProcessTable.all()
            .filter { !$0.isZombie && holds(any: sockets, $0.process) }
            .sorted { $0.process < $1.process }
    }

    private static func listening() -> [(port: UInt16, inode: UInt64)] {
        var found: [(UInt16, UInt64)] = []
        for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
            guard let bytes = readSmallFile(path, limit: 64 << 20) else { continue }
            for line in bytes.split(separator: UInt8(ascii: "\n")).dropFirst() {
                // slot: address:port remote:port state queues timer retransmits user timeout inode ...,
                // in hexadecimal but for the last ones; state 0A is LISTEN.
                let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 10)
                guard fields.count > 9, fields[3].elementsEqual("0A".utf8),
                    let digits = fields[1].split(separator: UInt8(ascii: ":")).last,
                    let port = UInt16(String(decoding: digits, as: UTF8.self), radix: 16),
                    let inode = UInt64(String(decoding: fields[9], as: UTF8.self))
                else { continue }
                found.append((port, inode))
            }
        }
        return found
    }

    private static func holds(any files: Set<String>, _ process: Int32) -> Bool {
        let folder = "/proc/\(process)/fd"
        guard let directory = opendir(folder) else { return false }
        defer { closedir(directory) }
        var target = [UInt8](repeating: 0, count: 64)
        while let entry = readdir(directory) {
            let length = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) {
                    readlinkat(dirfd(directory), $0, &target, target.count)
                }
            }
            guard length > 0, length < target.count else { continue }
            if files.contains(String(decoding: target[..<length], as: UTF8.self)) { return true }
        }
        return false
    }
}
