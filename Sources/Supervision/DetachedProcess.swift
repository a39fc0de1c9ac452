internal import CLinux
internal import Glibc

/// A program that goes on when this one has ended: in a session of its own, and nobody's child.
///
/// What it says on descriptor 3, a line at a time, its starter hears.
public final class DetachedProcess {
    /// The descriptor on which it speaks.
    public static let reportDescriptor: Int32 = 3

    /// What its starter hears.
    public enum Word: Hashable, Sendable {
        /// A line.
        case line(String)
        /// It has ended, or says no more.
        case silence
        /// Nothing yet, and time is up.
        case late
    }

    /// Its process number.
    public let process: Int32
    private let pipe: CInt
    private var received: [UInt8] = []

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - executable: Its path.
    ///   - arguments: Its arguments, without its own name.
    ///   - logPath: What its output is written to; what was there is gone.
    /// - Throws: `SupervisionError` when it cannot be started.
    public init(
        executable: String, arguments: [String], logPath: String
    ) throws(SupervisionError) {
        let log = open(logPath, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
        guard log >= 0 else { throw .system("could not write \(logPath)") }
        defer { close(log) }
        var ends: [CInt] = [-1, -1]
        guard synmesh_pipe(&ends) == 0 else { throw .system("could not make a pipe") }
        defer { close(ends[1]) }
        var process: pid_t = 0
        let code = withCStrings([executable] + arguments) { words in
            var request = synmesh_spawn_request()
            request.executable = UnsafePointer(words[0])
            request.arguments = words
            request.output = log
            request.kept = -1
            request.ready = ends[1]
            request.ready_number = Self.reportDescriptor
            request.own_session = true
            return synmesh_spawn(&request, &process)
        }
        guard code == 0 else {
            close(ends[0])
            throw .system("could not start \(executable)", code)
        }
        self.process = process
        pipe = ends[0]
    }

    deinit { close(pipe) }

    /// Waits for its next word.
    public func next(timeout: Duration) -> Word {
        let deadline = monotonicNow() + timeout.nanoseconds
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return .line(String(decoding: received[..<end], as: UTF8.self))
            }
            var item = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
            let count = poll(&item, 1, pollTimeout(until: deadline, now: monotonicNow()))
            if count == 0 { return .late }
            guard count > 0 else { continue }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let size = read(pipe, &buffer, buffer.count)
            if size < 0, errno == EINTR { continue }
            guard size > 0 else { return .silence }
            received += buffer.prefix(size)
        }
    }

    /// How it ended, for a starter that waits a moment for that; nil while it runs.
    public func exitCode() -> Int32? {
        var result = synmesh_exit()
        for _ in 0..<200 {
            if synmesh_reap(process, &result) == process {
                return result.signalled ? 128 + result.status : result.status
            }
            sleepFor(milliseconds: 5)
        }
        return nil
    }

    /// Says a line to whoever started this process; nothing where that is gone.
    public static func say(_ line: String, on descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        writeAll(line + "\n", to: descriptor)
    }
}
