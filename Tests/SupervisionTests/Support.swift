internal import CLinux
internal import Glibc
internal import Synchronization
internal import Testing

@testable internal import Supervision

/// Asks again until `condition` holds, with a limit that only a hang reaches.
func eventually(
    within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
) async throws -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while try await !condition() {
        guard clock.now < end else { return false }
        try await Task.sleep(for: .milliseconds(5))
    }
    return true
}

/// A directory that is gone after the test, or at the latest when the tests' process ends.
final class TemporaryDirectory: Sendable {
    let path: String

    /// The directories still there: what a supervisor's thread holds may never be released.
    private static let remaining: Mutex<Set<String>> = {
        atexit {
            for path in TemporaryDirectory.remaining.withLock({ $0 }) { synmesh_remove_tree(path) }
        }
        return Mutex([])
    }()

    init() throws {
        var template = Array("/tmp/synmesh-supervision-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { String(cString: $0) } ?? ""
        }
        _ = Self.remaining.withLock { $0.insert(path) }
    }

    deinit {
        synmesh_remove_tree(path)
        _ = Self.remaining.withLock { $0.remove(path) }
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func text(of name: String) -> String {
        String(decoding: readSmallFile(file(name), limit: 64 << 20) ?? [], as: UTF8.self)
    }

    func write(_ text: String, to name: String, mode: mode_t = 0o644) throws {
        let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        try #require(descriptor >= 0)
        writeAll(text, to: descriptor)
        close(descriptor)
    }
}

func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
}

/// A token that no other test has.
func uniqueToken() -> String {
    String(UInt64.random(in: 0...UInt64.max), radix: 16)
}

/// The living processes of a token.
func living(_ token: String) -> [ProcessRecord] {
    ProcessTable.carrying(["SYNMESH_TOKEN=\(token)"], in: ProcessTable.all())
}

/// The path of a program of this package, which is built next to the tests.
func builtProgram(_ name: String) throws -> String {
    var bytes = [CChar](repeating: 0, count: 4_096)
    let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
    try #require(count > 0)
    let own = String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // The tests' own executable, or a bundle's inside it.
    var directory = own
    while let slash = directory.utf8.lastIndex(of: UInt8(ascii: "/")) {
        directory = String(directory[..<slash])
        if exists("\(directory)/\(name)") { return "\(directory)/\(name)" }
    }
    let built = ".build/debug/\(name)"
    try #require(exists(built), "\(name) is not built")
    return built
}

/// A program outside any supervisor, as a shell would start it.
struct Launched {
    let process: Int32
    let output: CInt

    init(_ arguments: [String], environment: [String] = ["PATH=/usr/bin:/bin"]) throws {
        var ends: [CInt] = [-1, -1]
        try #require(synmesh_pipe(&ends) == 0)
        var process: pid_t = 0
        let error = withCStrings(arguments) { arguments in
            withCStrings(environment) { environment in
                var request = synmesh_spawn_request()
                request.executable = UnsafePointer(arguments[0])
                request.arguments = arguments
                request.environment = environment
                request.output = ends[1]
                request.kept = -1
                request.own_group = true
                return synmesh_spawn(&request, &process)
            }
        }
        close(ends[1])
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        try #require(error == 0)
        self.process = process
        output = ends[0]
    }

    /// Starts it as the leader of a session on a terminal of its own, whose other end is `output`.
    init(onTerminal arguments: [String], environment: [String]) throws {
        let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
        try #require(terminal >= 0)
        var unlocked: CInt = 0
        var number: CInt = 0
        let (unlock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
        try #require(ioctl(terminal, unlock, &unlocked) == 0)
        try #require(ioctl(terminal, getNumber, &number) == 0)
        let other = "/dev/pts/\(number)"
        let script = "exec setsid --ctty --wait \"$@\" <\(other) >\(other) 2>&1"
        let launched = try Launched(
            ["sh", "-c", script, "sh"] + arguments, environment: environment)
        close(launched.output)
        process = launched.process
        output = terminal
    }

    /// What it has written so far, added to `text`.
    func read(into text: inout String) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while case let count = Glibc.read(output, &buffer, buffer.count), count > 0 {
            text += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
    }

    /// Waits for its end, and says the exit code or 1000 + the signal.
    func exitCode() async throws -> Int32 {
        var result = synmesh_exit()
        let ended = try await eventually { synmesh_reap(process, &result) == process }
        if !ended { kill(process, SIGKILL) }
        try #require(ended)
        return result.signalled ? 1_000 + result.status : result.status
    }
}

/// Specifications for `/bin/sh` scripts.
func shell(
    _ script: String, in directory: TemporaryDirectory, log: String = "log",
    restart: RestartPolicy = .never, console: Bool = false, grace: Duration = .milliseconds(200)
) -> ProcessSpecification {
    ProcessSpecification(
        executable: "sh", arguments: ["-c", script], environment: ["PATH": "/usr/bin:/bin"],
        logPath: directory.file(log), showsOnConsole: console, restart: restart, grace: grace)
}
