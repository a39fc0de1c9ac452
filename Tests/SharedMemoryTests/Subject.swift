internal import Glibc
internal import SharedMemory
internal import TestSupport

/// The program that uses pools and is killed.
enum Subject {
    /// How a process ended, and what it printed.
    struct End {
        let process: Int32
        /// Nil when a signal ended it.
        let code: Int32?
        let signal: Int32?
        let text: String
    }

    /// Runs it to its end.
    static func run(_ arguments: [String]) throws -> End {
        try run(program: builtProgram("shared-memory-subject"), arguments)
    }

    /// Runs any program to its end.
    static func run(program: String, _ arguments: [String]) throws -> End {
        let directory = try TemporaryDirectory()
        let path = directory.file("output")
        let file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(file) }
        let process = try spawn(
            [program] + arguments, environment: environment, output: file)
        var status: Int32 = 0
        guard waitpid(process, &status, 0) == process else { throw TestFailure("not reaped") }
        let end = outcome(status)
        return End(
            process: process, code: end.code, signal: end.signal, text: text(of: file))
    }

    /// Enough for Python to find its modules, and for a shell to find what administrators use.
    private static var environment: [String] {
        let more = ["PATH": ":/usr/sbin:/sbin", "HOME": ""]
        return more.compactMap { (name: String, more: String) -> String? in
            getenv(name).map { "\(name)=\(String(cString: $0))\(more)" }
        }
    }

    /// What a status of `waitpid` says.
    static func outcome(_ status: Int32) -> (code: Int32?, signal: Int32?) {
        let signal = status & 0x7F
        return signal == 0 ? ((status >> 8) & 0xFF, nil) : (nil, signal)
    }

    /// All that is in an open file.
    static func text(of file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 100_000)
        let count = pread(file, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }

    /// A reference as arguments.
    static func words(_ reference: SlotReference) -> [String] {
        [
            "\(reference.slot)", "\(reference.generation)", "\(reference.size)",
            reference.digest.map { "\($0)" } ?? "-",
        ]
    }
}
