internal import Glibc
internal import Synchronization

/// A nats-server of our own, on a port that the system chose.
///
/// It runs under a shell that ends it when our end of a pipe closes: also when the tests crash.
package final class NATSServer: Sendable {
    /// Where clients connect.
    package let url: String
    /// What it calls itself.
    package let name: String
    private let shell: pid_t
    private let server: pid_t
    private let lifeline: Int32
    private let log: Int32
    private let isStopped = Mutex(false)

    /// One for all the tests that do not end it.
    package static let shared = Result { try NATSServer() }

    /// Starts a server and waits until it can be used.
    package init(arguments: [String] = []) throws {
        name = "test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        var input: [Int32] = [0, 0]
        var output: [Int32] = [0, 0]
        guard pipe(&input) == 0, pipe(&output) == 0 else { throw TestFailure("no pipe") }
        for descriptor in input + output { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        defer {
            close(input[0])
            close(output[1])
        }
        lifeline = input[1]
        log = output[0]
        shell = try Self.spawn(
            ["-a", "127.0.0.1", "-p", "-1", "-n", name] + arguments,
            input: input[0], output: output[1])
        (server, url) = try Self.awaitReady(output[0])
    }

    deinit { stop() }

    /// Kills the server at once.
    package func stop() {
        let wasStopped = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return isStopped
        }
        guard !wasStopped else { return }
        // A line, not only the end: another child may have inherited the pipe before it was marked.
        _ = write(lifeline, "\n", 1)
        close(lifeline)
        var status: Int32 = 0
        waitpid(shell, &status, 0)
        close(log)
    }

    /// Lets the server do nothing until `thaw`, with its connections open.
    package func freeze() { signal(SIGSTOP) }

    /// Ends what `freeze` began.
    package func thaw() { signal(SIGCONT) }

    private func signal(_ number: Int32) {
        isStopped.withLock { if !$0 { kill(server, number) } }
    }

    private static func spawn(
        _ arguments: [String], input: Int32, output: Int32
    ) throws -> pid_t {
        // PATH may lack the directories of servers.
        let script = """
            PATH=$PATH:/usr/sbin:/usr/local/sbin; nats-server "$@" & server=$!; \
            echo "process $server."; read -r _; kill -9 $server; wait $server
            """
        let words = ["sh", "-c", script, "nats-server"] + arguments
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        // The threads that run tests block signals, and the shell waits for one.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var raw: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for word in raw { free(word) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, "/bin/sh", &actions, &attributes, &raw, environ)
        guard result == 0 else { throw TestFailure(String(cString: strerror(result))) }
        return process
    }

    /// Reads the log until the server says that it is ready.
    private static func awaitReady(_ descriptor: Int32) throws -> (server: pid_t, url: String) {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            if text.contains("Server is ready"),
                let server = part(of: text, after: "process ", "."),
                let process = pid_t(server),
                let address = part(of: text, after: "client connections on ", "\n")
            {
                return (process, "nats://" + address)
            }
            var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&item, 1, 10_000) == 1 else { throw TestFailure("not ready: \(text)") }
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { throw TestFailure("ended: \(text)") }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    private static func part(
        of text: String, after start: String, _ end: Character
    ) -> Substring? {
        guard let start = text.firstRange(of: start)?.upperBound,
            let end = text[start...].firstIndex(of: end)
        else { return nil }
        return text[start..<end]
    }
}
