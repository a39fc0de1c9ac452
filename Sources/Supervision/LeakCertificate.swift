internal import Glibc

/// What a run left behind, looked for after its end: all zero is the proof that it left nothing.
public struct LeakCertificate: Hashable, Sendable {
    /// Processes of the run that live on; zombies do not.
    public let processes: [ProcessRecord]
    /// Ports of the run that somebody listens on.
    public let ports: [UInt16]
    /// Unix sockets that still exist.
    public let sockets: [String]
    /// Shared-memory segments that still exist.
    public let segments: [String]
    /// Other files and directories that still exist.
    public let files: [String]

    /// Whether nothing at all is left.
    public var isClean: Bool {
        processes.isEmpty && ports.isEmpty && sockets.isEmpty && segments.isEmpty && files.isEmpty
    }

    /// Looks at the paths and ports.
    init(processes: [ProcessRecord], paths: [String], ports: [UInt16]) {
        self.processes = processes
        self.ports = Set(ports).intersection(PortHolders.ports()).sorted()
        var sockets: [String] = []
        var segments: [String] = []
        var files: [String] = []
        for path in Set(paths).sorted() {
            var status = stat()
            guard lstat(path, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFSOCK {
                sockets.append(path)
            } else if path.hasPrefix("/dev/shm/") {
                segments.append(path)
            } else {
                files.append(path)
            }
        }
        self.sockets = sockets
        self.segments = segments
        self.files = files
    }
}

extension LeakCertificate: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        guard !isClean else { return "nothing is left behind" }
        let named = processes.map { "process \($0.process) (\($0.name))" }
        let listening = ports.map { "port \($0)" }
        let all =
            named + listening + sockets.map { "socket \($0)" }
            + segments.map { "segment \($0)" } + files
        return "left behind: \(all.joined(separator: ", "))"
    }
}
