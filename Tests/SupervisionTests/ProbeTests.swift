internal import Glibc
internal import TestSupport
internal import Testing

@testable internal import Supervision

@Suite("Probes")
struct ProbeTests {
    @Test("A probe turns when enough in a row say so, as often as they do")
    func tally() {
        let rule = ProbeRule(name: "p", test: .line("x"), successes: 2, failures: 3)
        var tally = ProbeTally()
        let turns = "++-+--+---++---".map { tally.take($0 == "+", by: rule) }
        let expected = [
            false, true, false, false, false, false, false, false, false, true, false, true, false,
            false, true,
        ]
        #expect(turns == expected)
    }

    /// A process with probes, and what was said of it.
    private func supervised(
        _ script: String, _ probes: [ProbeRule], restart: RestartPolicy = .never,
        in directory: TemporaryDirectory
    ) async throws -> (ProcessSupervisor, AsyncStream<ProcessEvent>) {
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let events = supervisor.events()
        try await supervisor.spawn("child") { _ in
            var specification = shell(script, in: directory, restart: restart)
            specification.probes = probes
            specification.workingDirectory = directory.path
            return specification
        }
        return (supervisor, events)
    }

    private func probe(
        _ test: ProbeRule.Test, as role: ProbeRule.Role = .readiness, failures: Int = 1
    ) -> ProbeRule {
        ProbeRule(
            name: "probe", role: role, test: test, period: .milliseconds(20),
            timeout: .seconds(10), failures: failures)
    }

    @Test(
        "A line and a descriptor say once that a process is ready",
        arguments: [
            (
                "echo no; echo 'listening on 80'; exec sleep 1000",
                ProbeRule.Test.line("^listen.* [0-9]+$")
            ),
            ("printf 'unterminated'; exec >/dev/null 2>&1; exec sleep 1000", .line("^untermin")),
            ("sleep 0.05; echo >&3; exec sleep 1000", .descriptor(3)),
            ("echo >&5; exec sleep 1000", .descriptor(5)),
        ])
    func heard(script: String, test: ProbeRule.Test) async throws {
        let directory = try TemporaryDirectory()
        let (supervisor, _) = try await supervised(script, [probe(test)], in: directory)
        #expect(await supervisor.waitReady("child", timeout: .seconds(30)) == .ready)
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
    }

    @Test("What is said before anybody listens is heard: a hundred that say it at once")
    func heardAtOnce() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let rule = probe(.line("up"))
        for number in 0..<100 {
            try await supervisor.spawn("child-\(number)") { _ in
                var specification = ProcessSpecification(
                    executable: "sh", arguments: ["-c", "echo up; exec sleep 1000"],
                    environment: ["PATH": "/usr/bin:/bin"],
                    logPath: directory.file("\(number).log"), probes: [rule])
                specification.grace = .seconds(1)
                return specification
            }
        }
        for number in 0..<100 {
            let outcome = await supervisor.waitReady("child-\(number)", timeout: .seconds(30))
            #expect(outcome == .ready)
        }
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
    }

    @Test("The descriptor is the only one that a process gets, and is none without such a probe")
    func descriptors() async throws {
        let directory = try TemporaryDirectory()
        let script =
            "ls /proc/self/fd | tr '\\n' ' '; echo; [ -e /proc/$$/fd/7 ] && echo >&7; exec sleep 1000"
        let (supervisor, _) = try await supervised(
            script, [probe(.descriptor(7))], in: directory)
        #expect(await supervisor.waitReady("child", timeout: .seconds(30)) == .ready)
        // 3 is what `ls` opened.
        // What it says on its descriptor may be heard before what it has written is in the log.
        #expect(try await eventually { directory.text(of: "log") == "0 1 2 3 7 \n" })
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
    }

    @Test("A process that closes its descriptor without a word is not ready, and that is said")
    func closed() async throws {
        let directory = try TemporaryDirectory()
        let (supervisor, _) = try await supervised(
            "exec 3>&-; exec sleep 1000", [probe(.descriptor(3))], in: directory)
        let isKnown = try await eventually {
            await supervisor.statuses().first?.probes.first?.passes == false
        }
        #expect(isKnown)
        let outcome = await supervisor.waitReady("child", timeout: .milliseconds(1))
        #expect(
            outcome
                == .late(
                    "its probe probe (a line break on descriptor 3): it was closed without one"))
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
    }

    @Test("A wait for one that ends for good, or that has ended, ends with how")
    func ended() async throws {
        let directory = try TemporaryDirectory()
        let (supervisor, _) = try await supervised(
            "sleep 0.05; exit 7", [probe(.line("never"))], in: directory)
        for _ in 0..<2 {
            let outcome = await supervisor.waitReady("child", timeout: .seconds(30))
            guard case .ended(let report) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(report.cause == .exited(code: 7))
        }
    }

    @Test("Readiness is a level: it goes and comes back as the process does")
    func level() async throws {
        let directory = try TemporaryDirectory()
        let (supervisor, events) = try await supervised(
            "exec sleep 1000", [probe(.command(["test", "-e", "good"]), failures: 2)],
            in: directory)
        let good = directory.file("good")
        var seen: [String] = []
        try directory.write("", to: "good")
        for await event in events {
            switch event {
            case .ready: seen.append("ready")
            case .unready(_, _, let reason): seen.append(reason)
            default: continue
            }
            if seen.count == 4 { break }
            if seen.count.isMultiple(of: 2) {
                try directory.write("", to: "good")
            } else {
                unlink(good)
            }
        }
        #expect(seen == ["ready", "probe: exit code 1", "ready", "probe: exit code 1"])
        #expect(await supervisor.statuses().first?.incarnation == 1, "it was not restarted for it")
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
    }

    @Test("A process that does not answer any more is ended, and comes back by its policy")
    func liveness() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("", to: "alive")
        let (supervisor, _) = try await supervised(
            "touch alive; trap 'exit 0' TERM; while :; do sleep 0.01; done",
            [probe(.command(["test", "-e", "alive"]), as: .liveness, failures: 3)],
            restart: RestartPolicy(.onFailure, backoff: .zero), in: directory)
        #expect(
            try await eventually { await supervisor.statuses().first?.probes.first?.passes == true }
        )
        unlink(directory.file("alive"))
        #expect(try await eventually { await supervisor.statuses().first?.incarnation == 2 })
        let report = await supervisor.statuses().first?.lastExit
        #expect(report?.attribution == .probe("probe"))
        #expect(report?.cause == .exited(code: 0), "a failure all the same")
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
    }

    @Test("Nothing else is asked before a startup probe has passed, and its failure is an end")
    func startup() async throws {
        let directory = try TemporaryDirectory()
        let late = ProbeRule(
            name: "late", role: .liveness, test: .command(["touch", "asked"]),
            period: .milliseconds(20))
        let (supervisor, _) = try await supervised(
            "exec sleep 1000",
            [probe(.command(["false"]), as: .startup, failures: 3), late], in: directory)
        let report = try await supervisor.waitExit("child", timeout: .seconds(30))
        #expect(report?.attribution == .probe("probe"))
        #expect(!exists(directory.file("asked")))
    }

    @Test("A probe that takes too long dies with all that it started")
    func timeout() async throws {
        let directory = try TemporaryDirectory()
        let slow = ProbeRule(
            name: "slow", test: .command(["sh", "-c", "echo begun; sleep 1000 & sleep 1000"]),
            period: .seconds(1_000), timeout: .milliseconds(100), failures: 1)
        let (supervisor, _) = try await supervised("exec sleep 1000", [slow], in: directory)
        let isKnown = try await eventually {
            await supervisor.statuses().first?.probes.first?.passes == false
        }
        #expect(isKnown)
        #expect(
            await supervisor.statuses().first?.probes.first?.reason == "no answer in time: begun")
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
        #expect(living(supervisor.token).isEmpty)
    }

    @Test("A connection and a page are asked for; a port that nobody has refuses")
    func connections() async throws {
        let directory = try TemporaryDirectory()
        let server = try Server()
        defer { server.end() }
        let port = server.port
        let rules: [(String, ProbeRule.Test, Bool)] = [
            ("open", .tcp(host: "127.0.0.1", port: port), true),
            ("page", .http(host: "127.0.0.1", port: port, path: "/good"), true),
            ("error", .http(host: "127.0.0.1", port: port, path: "/bad"), false),
            ("silent", .http(host: "127.0.0.1", port: port, path: "/silent"), false),
            ("refused", .tcp(host: "127.0.0.1", port: 1), false),
        ]
        let probes = rules.map { name, test, _ in
            ProbeRule(
                name: name, test: test, period: .milliseconds(20), timeout: .milliseconds(500),
                failures: 1)
        }
        let (supervisor, _) = try await supervised("exec sleep 1000", probes, in: directory)
        let areKnown = try await eventually {
            await supervisor.statuses().first?.probes.allSatisfy { $0.passes != nil } == true
        }
        #expect(areKnown)
        let found = await supervisor.statuses().first?.probes ?? []
        #expect(found.map(\.passes) == rules.map(\.2))
        #expect(
            found.map(\.reason) == [
                "connected", "status 204", "status 503", "no answer in time", "connection refused",
            ])
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
    }
}

/// Answers `/good` and `/bad`, and nothing else.
private final class Server: Sendable {
    let port: UInt16
    private let listener: CInt

    init() throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, size) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, generic, &size) == 0
            }
        }
        try #require(code)
        port = UInt16(bigEndian: address.sin_port)
        try startThread(named: "test-server") {
            var open: [CInt] = []
            while case let connection = accept(listener, nil, nil), connection >= 0 {
                open.append(connection)
                var buffer = [UInt8](repeating: 0, count: 1_024)
                var item = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
                guard poll(&item, 1, 1_000) == 1,
                    case let count = read(connection, &buffer, buffer.count), count > 0
                else { continue }
                let request = String(decoding: buffer.prefix(count), as: UTF8.self)
                if request.hasPrefix("GET /good ") {
                    writeAll("HTTP/1.1 204 No Content\r\n\r\n", to: connection)
                } else if request.hasPrefix("GET /bad ") {
                    writeAll("HTTP/1.1 503 Service Unavailable\r\n\r\n", to: connection)
                }
            }
            for connection in open { close(connection) }
        }
    }

    func end() { shutdown(listener, CInt(SHUT_RDWR)) }
}
