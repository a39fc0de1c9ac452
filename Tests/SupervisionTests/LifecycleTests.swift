internal import Glibc
internal import TestSupport
internal import Testing

@testable internal import Supervision

@Suite("Processes that run and end")
struct LifecycleTests {
    @Test("A process has the environment, the directory and the output that it was given")
    func surroundings() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { incarnation in
            var specification = shell("pwd; env | sort; echo error >&2", in: directory)
            specification.environment["INCARNATION"] = "\(incarnation)"
            specification.workingDirectory = directory.path
            return specification
        }
        let report = try await supervisor.waitExit("child", timeout: .seconds(30))
        #expect(report?.cause == .exited(code: 0))
        #expect(
            directory.text(of: "log")
                == """
                \(directory.path)
                INCARNATION=1
                PATH=/usr/bin:/bin
                PWD=\(directory.path)
                SYNMESH_PROCESS=child/1
                SYNMESH_TOKEN=\(supervisor.token)
                error

                """)
    }

    @Test("A burst of 200,000 lines loses none, and the last line needs no end")
    func burst() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("burst") { _ in
            shell("seq 1 200000; printf unfinished", in: directory)
        }
        let report = try await supervisor.waitExit("burst", timeout: .seconds(60))
        #expect(report?.cause == .exited(code: 0))
        let expected = (1...200_000).map { "\($0)\n" }.joined() + "unfinished"
        #expect(directory.text(of: "log") == expected)
    }

    @Test("A log that is full makes room at the end of a line, and no line is lost or cut")
    func rotation() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { _ in
            var specification = shell("seq 1 20000; printf unfinished", in: directory)
            specification.logLimit = LogLimit(bytes: 16_384, kept: 50)
            specification.notesTimes = true
            return specification
        }
        _ = try await supervisor.waitExit("child", timeout: .seconds(30))
        let count = (1...50).filter { exists(directory.file("log.\($0)")) }.count
        #expect(count >= 1)
        let older = (1...max(count, 1)).reversed().map { directory.text(of: "log.\($0)") }
        #expect(older.allSatisfy { $0.hasSuffix("\n") })
        let expected = (1...20_000).map { "\($0)\n" }.joined() + "unfinished"
        #expect(older.joined() + directory.text(of: "log") == expected)
        #expect(!directory.text(of: "log.times").isEmpty)
    }

    @Test("Of older logs so many are kept as are said, also none", arguments: [0, 1])
    func keptLogs(kept: Int) async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { _ in
            var specification = shell(
                "for n in 1 2 3 4; do seq 1 20000; sleep 0.05; done", in: directory)
            specification.logLimit = LogLimit(bytes: 4_096, kept: kept)
            return specification
        }
        _ = try await supervisor.waitExit("child", timeout: .seconds(30))
        #expect(exists(directory.file("log")))
        #expect(exists(directory.file("log.1")) == (kept == 1))
        #expect(!exists(directory.file("log.2")))
    }

    @Test("A restart does not continue the unfinished line of the incarnation before")
    func unfinishedLine() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("twice") { _ in shell("printf unfinished", in: directory) }
        _ = try await supervisor.waitExit("twice", timeout: .seconds(30))
        let second = try await supervisor.respawn("twice")
        #expect(second.incarnation == 2)
        _ = try await supervisor.waitExit("twice", timeout: .seconds(30))
        #expect(directory.text(of: "log") == "unfinished\nunfinished")
    }

    @Test("The console shows lines under their process's name")
    func console() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("", to: "console")
        let descriptor = open(directory.file("console"), O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { close(descriptor) }
        let console = try Console(descriptor: descriptor, isColoured: false)
        let supervisor = try ProcessSupervisor(token: uniqueToken(), console: console)
        try await supervisor.spawn("loud") { _ in
            shell("echo one; printf two", in: directory, log: "loud.log", console: true)
        }
        try await supervisor.spawn("quiet") { _ in
            shell("echo three", in: directory, log: "quiet.log")
        }
        for name in ["loud", "quiet"] {
            _ = try await supervisor.waitExit(name, timeout: .seconds(30))
        }
        _ = await supervisor.stopAll(grace: .seconds(1))
        #expect(directory.text(of: "console") == "loud | one\nloud | two\n")
        #expect(directory.text(of: "quiet.log") == "three\n")
    }

    @Test(
        "The cause of an end is what happened",
        arguments: [
            ("exit 0", "exited with code 0, by itself"),
            ("exit 3", "exited with code 3, by itself"),
            ("kill -SEGV $$", "killed by signal 11 (SIGSEGV), by itself"),
            ("kill -KILL $$", "killed by signal 9 (SIGKILL), by someone outside the run"),
        ])
    func causes(script: String, expected: String) async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { _ in
            shell("ulimit -c 0; \(script)", in: directory)
        }
        let report = try await supervisor.waitExit("child", timeout: .seconds(30))
        let words = try #require(report).description.replacing(", core dumped", with: "")
        #expect(words.hasSuffix(") \(expected)"))
    }

    @Test("A process may use what its limits say, and an end by one is said to be the kernel's")
    func limits() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { _ in
            var specification = shell(
                "while [ ! -e go ]; do :; done; ulimit -n; ulimit -v; nice; cat /dev/zero > file",
                in: directory)
            specification.workingDirectory = directory.path
            specification.limits = ResourceLimits(
                addressSpace: 512 << 20, files: 64, fileSize: 4_096, nice: 3)
            return specification
        }
        // Its limits are there once its start has returned.
        try directory.write("", to: "go")
        let report = try #require(
            try await supervisor.waitExit("child", timeout: .seconds(30)))
        let nice = getpriority(Int32(PRIO_PROCESS.rawValue), 0) + 3
        #expect(directory.text(of: "log").hasPrefix("64\n524288\n\(nice)\n"))
        #expect(directory.text(of: "file").utf8.count == 4_096)
        // The shell passes on that its `cat` was ended by SIGXFSZ.
        #expect(report.cause == .exited(code: 128 + SIGXFSZ))
    }

    @Test("A killed process is restarted under the next incarnation, and the fault is named")
    func injectedKill() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let events = supervisor.events()
        try await supervisor.spawn("child") { incarnation in
            shell(
                "exec sleep 1000", in: directory, log: "\(incarnation).log",
                restart: RestartPolicy(.onFailure, backoff: .zero))
        }
        try await supervisor.kill("child", fault: "kill-1")
        var seen: [String] = []
        for await event in events {
            switch event {
            case .started(let running): seen.append("started \(running.incarnation)")
            case .exited(let report): seen.append("\(report.cause), \(report.attribution)")
            case .restarting(_, let incarnation, _): seen.append("restarting \(incarnation)")
            case .givenUp, .paused, .resumed, .ready, .unready: seen.append("\(event)")
            }
            if seen.count == 4 { break }
        }
        #expect(
            seen == [
                "started 1", "killed by signal 9 (SIGKILL), by injected fault kill-1",
                "restarting 2", "started 2",
            ])
        #expect(await supervisor.stopAll(grace: .zero).isComplete)
        #expect(exists(directory.file("2.log")))
    }

    @Test("Restarts end when there are more than the policy allows within its period")
    func intensity() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let events = supervisor.events()
        try await supervisor.spawn("crashes") { _ in
            shell(
                "exit 1", in: directory,
                restart: RestartPolicy(.always, backoff: .milliseconds(1), maxRestarts: 3))
        }
        var starts = 0
        var end = ""
        for await event in events {
            if case .started = event { starts += 1 }
            if case .givenUp(_, let reason) = event {
                end = reason
                break
            }
        }
        #expect(starts == 4)
        #expect(end.hasPrefix("it exited with code 1 after 3 restarts within"))
        #expect(await supervisor.statuses().map(\.phase) == [.ended])
    }

    @Test("A restart that cannot be made ends in giving up, with the reason")
    func impossibleRestart() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let events = supervisor.events()
        try await supervisor.spawn("child") { incarnation in
            var specification = shell(
                "exit 1", in: directory, restart: RestartPolicy(.always, backoff: .zero))
            if incarnation == 2 { specification.executable = "no-such-program" }
            return specification
        }
        var end = ""
        for await case .givenUp(_, let reason) in events {
            end = reason
            break
        }
        #expect(end.hasPrefix("could not start child: there is no such program"))
        withExtendedLifetime(supervisor) {}
    }

    @Test("An expected end is ours and is followed by no restart")
    func expectedExit() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { _ in
            shell(
                "while [ ! -e stop ]; do sleep 0.01; done", in: directory,
                restart: RestartPolicy(.always, backoff: .zero)
            ).within(directory.path)
        }
        try await supervisor.expectExit("child")
        try directory.write("", to: "stop")
        let report = try await supervisor.waitExit("child", timeout: .seconds(30))
        #expect(report?.attribution == .us)
        #expect(await supervisor.statuses().map(\.phase) == [.ended])
        let next = try await supervisor.respawn("child")
        #expect(next.incarnation == 2)
    }

    @Test("A child has three descriptors, no blocked and no ignored signal, and its own group")
    func inheritance() async throws {
        let directory = try TemporaryDirectory()
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let running = try await supervisor.spawn("child") { _ in
            shell("exec sleep 1000", in: directory)
        }
        // The shell replaces itself by `sleep`, which changes nothing of what it inherited.
        let isSleep = try await eventually {
            ProcessTable.record(of: running.process)?.name == "sleep"
        }
        #expect(isSleep)
        var descriptors: [String] = []
        let listing = try #require(opendir("/proc/\(running.process)/fd"))
        while let entry = readdir(listing) {
            withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) {
                    descriptors.append(String(cString: $0))
                }
            }
        }
        closedir(listing)
        #expect(descriptors.sorted() == [".", "..", "0", "1", "2"])
        let status = String(
            decoding: readSmallFile("/proc/\(running.process)/status") ?? [], as: UTF8.self)
        let masks = status.split(separator: "\n").compactMap { line -> UInt64? in
            guard line.hasPrefix("SigBlk:") || line.hasPrefix("SigIgn:") else { return nil }
            return line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
        }
        // Signals 32 and 33 are the C library's own; it ignores them in what it spawns.
        #expect(masks.map { $0 & ~0x1_8000_0000 } == [0, 0])
        #expect(ProcessTable.record(of: running.process)?.group == running.process)
        #expect(await supervisor.stopAll(grace: .zero).isComplete)
    }

    @Test("A program that cannot be started is refused, and its name stays free")
    func refusedStart() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("#!/no/such/interpreter\n", to: "script", mode: 0o755)
        try directory.write("neither\n", to: "neither", mode: 0o755)
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let cases: [(String, String?, SupervisionError.Code)] = [
            ("no-such-program", nil, .executableNotFound),
            (directory.file("script"), nil, .notExecutable),
            (directory.file("neither"), nil, .notExecutable),
            ("sh", "/no/such/directory", .workingDirectory),
        ]
        for (executable, workingDirectory, code) in cases {
            do throws(SupervisionError) {
                try await supervisor.spawn("child") { _ in
                    ProcessSpecification(
                        executable: executable, workingDirectory: workingDirectory,
                        logPath: directory.file("log"))
                }
                Issue.record("\(executable) was started")
            } catch {
                #expect(error.code == code)
                #expect(error.attempt == "could not start child")
                #expect(error.remedy != nil)
            }
        }
        #expect(await supervisor.statuses().isEmpty)
    }
}

extension ProcessSpecification {
    /// The same, elsewhere.
    func within(_ directory: String) -> ProcessSpecification {
        var copy = self
        copy.workingDirectory = directory
        return copy
    }
}
