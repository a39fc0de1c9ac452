internal import CLinux
internal import Glibc
internal import Synchronization
internal import TestSupport
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

extension TemporaryDirectory {
    func text(of name: String) -> String {
        String(decoding: readSmallFile(file(name), limit: 64 << 20) ?? [], as: UTF8.self)
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

/// A program outside any supervisor, as a shell would start it.
struct Launched {
    let process: Int32
    let output: CInt

    init(_ arguments: [String], environment: [String] = ["PATH=/usr/bin:/bin"]) throws {
        var ends: [CInt] = [-1, -1]
        try #require(synmesh_pipe(&ends) == 0)
        defer { close(ends[1]) }
        do {
            process = try spawn(arguments, environment: environment, output: ends[1])
        } catch {
            close(ends[0])
            throw error
        }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
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
