internal import CLinux
internal import Glibc
internal import TestSupport
internal import Testing

@testable internal import Supervision

@Suite("Nothing is left behind")
struct TeardownTests {
    /// Children that resist in every way known, and how many processes they run at least.
    static let stubborn: [(name: String, script: String)] = [
        ("plain", "echo up; exec sleep 1000"),
        ("ignores", "trap '' TERM INT HUP; echo up; sleep 1000; sleep 1000"),
        ("setsid", "setsid sh -c \"trap '' TERM; echo up; sleep 1000\" & sleep 1000"),
        ("double-fork", "(setsid sh -c 'sleep 1000 & echo up' &); sleep 1000"),
        ("holds-pipe", "sleep 1000 & echo up; exit 0"),
        ("escapes", "setsid sh -c \"trap '' TERM; echo up; sleep 1000\" & sleep 0.05"),
        ("stops-itself", "echo up; kill -STOP $$; sleep 1000"),
    ]

    @Test("Stopping everything ends the stubborn, the escaped and the stopped")
    func stopAll() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        for (name, script) in Self.stubborn {
            try await supervisor.spawn(name) { _ in
                shell(script, in: directory, log: "\(name).log")
            }
        }
        for (name, _) in Self.stubborn {
            let isUp = try await eventually { directory.text(of: "\(name).log").contains("up") }
            #expect(isUp, "\(name)")
        }
        let before = living(supervisor.token).count
        #expect(before >= 7)
        let report = await supervisor.stopAll(grace: .milliseconds(200))
        #expect(report.isComplete)
        #expect(living(supervisor.token).isEmpty)
        let certificate = await supervisor.certificate(paths: [], ports: [])
        #expect(certificate.isClean, "\(certificate)")
        let ignored = report.exits.first { $0.name == "ignores" }
        #expect(ignored?.wasKilledAfterGrace == true)
        #expect(report.exits.first { $0.name == "plain" }?.attribution == .us)
    }

    @Test("What a process leaves outside its group does not outlive it")
    func escapedFromOne() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("other") { _ in
            shell("exec sleep 1000", in: directory, log: "other.log")
        }
        try await supervisor.spawn("child") { _ in
            shell("setsid sleep 1000 & setsid sh -c 'sleep 1000' & exit 0", in: directory)
        }
        _ = try await supervisor.waitExit("child", timeout: .seconds(30))
        let left = living(supervisor.token)
        #expect(left.count == 1, "only the other process: \(left)")
    }

    @Test("A wrapper that obeys at once leaves what it wraps the whole grace")
    func wrapped() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let inner =
            "trap 'sleep 0.2; echo orderly; exit 0' TERM; echo up; while :; do sleep 0.01; done"
        try await supervisor.spawn("wrapper") { _ in
            shell("sh -c \"\(inner)\" & exec sleep 1000", in: directory)
        }
        #expect(try await eventually { directory.text(of: "log").contains("up") })
        let report = try await supervisor.stop("wrapper", grace: .seconds(30))
        #expect(report.attribution == .us)
        #expect(!report.wasKilledAfterGrace)
        // The shell also says that its `sleep` was terminated, being of the same group.
        #expect(directory.text(of: "log").hasSuffix("orderly\n"))
    }

    @Test("A paused process is continued to be stopped")
    func paused() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let running = try await supervisor.spawn("child") { _ in
            shell(
                "trap 'echo orderly; exit 0' TERM; echo up; while :; do sleep 0.01; done",
                in: directory)
        }
        #expect(try await eventually { directory.text(of: "log").contains("up") })
        try await supervisor.pause("child", fault: "pause-1")
        #expect(await supervisor.statuses().first?.isPaused == true)
        try await supervisor.resume("child")
        try await supervisor.pause("child", fault: "pause-2")
        let report = try await supervisor.stop("child", grace: .seconds(30))
        #expect(report.process == running.process)
        #expect(report.cause == .exited(code: 0))
        #expect(directory.text(of: "log").hasSuffix("orderly\n"))
    }

    @Test("Stopping during the wait before a restart prevents the restart")
    func stopDuringBackoff() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let events = supervisor.events()
        try await supervisor.spawn("child") { _ in
            shell(
                "exit 1", in: directory,
                restart: RestartPolicy(
                    .always, backoff: .seconds(1_000), backoffMax: .seconds(1_000)))
        }
        for await event in events {
            if case .restarting = event { break }
        }
        let report = try await supervisor.stop("child")
        #expect(report.cause == .exited(code: 1))
        #expect(await supervisor.statuses().map(\.phase) == [.ended])
    }

    @Test("Levels end one after the other, and all within the grace however many ignore it")
    func order() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let events = supervisor.events()
        let stubborn = (1...3).map { "stubborn-\($0)" }
        for name in ["last", "middle", "first"] + stubborn {
            let trap = stubborn.contains(name) ? "trap '' TERM; " : "trap 'exit 0' TERM; "
            try await supervisor.spawn(name) { _ in
                shell(
                    trap + "echo up; while :; do sleep 0.01; done", in: directory,
                    log: "\(name).log", grace: .seconds(1))
            }
        }
        for name in ["last", "middle", "first"] + stubborn {
            #expect(try await eventually { directory.text(of: "\(name).log").contains("up") })
        }
        let reports = await supervisor.stop(
            inOrder: [["first"], ["middle", "never-started"] + stubborn, ["last"]],
            grace: .milliseconds(400))
        #expect(reports.count == 6)
        #expect(reports.count { $0.wasKilledAfterGrace } == 3)
        #expect(await supervisor.stopAll(grace: .zero).isComplete)
        var ends: [String] = []
        for await event in events {
            guard case .exited(let report) = event else { continue }
            if !stubborn.contains(report.name) { ends.append(report.name) }
            if ends.count == 3 { break }
        }
        #expect(ends == ["first", "middle", "last"])
    }

    @Test("A restart ends what runs and starts the next; many at once start one")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { _ in shell("exec sleep 1000", in: directory) }
        try await withThrowingTaskGroup(of: UInt32.self) { group in
            for _ in 0..<8 {
                group.addTask { try await supervisor.restart("child").incarnation }
            }
            for try await incarnation in group { #expect(incarnation >= 2) }
        }
        let status = try #require(await supervisor.statuses().first)
        #expect(status.lastExit?.attribution == .us)
        #expect(living(supervisor.token).map(\.process) == [status.process])
        #expect(await supervisor.stopAll(grace: .seconds(5)).isComplete)
        await #expect(throws: SupervisionError.self) { try await supervisor.restart("child") }
    }

    @Test("One for all: the others end with the one that crashed, and all come back")
    func group() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        await supervisor.group(
            GroupRule(name: "pair", strategy: .oneForAll, members: ["a", "b"]))
        for name in ["a", "b", "c"] {
            try await supervisor.spawn(name) { _ in
                shell(
                    "exec sleep 1000", in: directory, log: "\(name).log",
                    restart: RestartPolicy(.onFailure, backoff: .zero))
            }
        }
        try await supervisor.kill("a", fault: "kill-1")
        let isBack = try await eventually {
            let statuses = await supervisor.statuses()
            return statuses.map(\.incarnation) == [2, 2, 1]
                && statuses.allSatisfy { $0.phase == .running }
        }
        #expect(isBack)
        let exits = await supervisor.statuses().map { $0.lastExit?.attribution }
        #expect(exits == [.fault("kill-1"), .us, nil])
        #expect(await supervisor.stopAll(grace: .seconds(5)).isComplete)
    }

    @Test("A failed probe ends a process, is named in its end, and its policy brings it back")
    func failedProbe() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        try await supervisor.spawn("child") { _ in
            shell(
                "exec sleep 1000", in: directory,
                restart: RestartPolicy(.onFailure, backoff: .zero))
        }
        supervisor.probeFailed("child", incarnation: 7, probe: "of another")
        supervisor.probeFailed("child", incarnation: 1, probe: "ping")
        supervisor.probeFailed("child", incarnation: 1, probe: "late")
        #expect(try await eventually { await supervisor.statuses().first?.incarnation == 2 })
        let status = await supervisor.statuses().first
        #expect(status?.lastExit?.attribution == .probe("ping"))
        #expect(await supervisor.stopAll(grace: .seconds(5)).isComplete)
    }

    @Test("Nothing starts once everything is being stopped")
    func closed() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        #expect(await supervisor.stopAll(grace: .seconds(1)).isComplete)
        await #expect(throws: SupervisionError.self) {
            try await supervisor.spawn("late") { _ in shell("exit 0", in: directory) }
        }
    }

    @Test("A supervisor that is dropped takes its processes with it")
    func dropped() async throws {
        let directory = try TemporaryDirectory()
        let token = uniqueToken()
        do {
            let supervisor = try ProcessSupervisor(token: token)
            try await supervisor.spawn("child") { _ in
                shell("setsid sleep 1000 & echo up; exec sleep 1000", in: directory)
            }
            #expect(try await eventually { living(token).count == 2 })
            withExtendedLifetime(supervisor) {}
        }
        #expect(try await eventually { living(token).isEmpty })
    }

    @Test("Random commands leave one process a name at most, and none in the end")
    func randomCommands() async throws {
        let directory = try TemporaryDirectory()
        let supervisor = try ProcessSupervisor(token: uniqueToken())
        let names = ["a", "b", "c"]
        var state: UInt64 = 20_261
        func random(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        for _ in 0..<200 {
            let name = names[random(3)]
            // Most commands are refused in most states; that is their right.
            switch random(8) {
            case 0, 1:
                _ = try? await supervisor.spawn(name) { _ in
                    shell(
                        "exec sleep 1000", in: directory, log: "\(name).log",
                        restart: RestartPolicy(.always, backoff: .zero, maxRestarts: 1_000))
                }
            case 2: try? await supervisor.kill(name, fault: "kill")
            case 3: _ = try? await supervisor.stop(name, grace: .milliseconds(20))
            case 4: _ = try? await supervisor.respawn(name)
            case 5: try? await supervisor.pause(name, fault: "pause")
            case 6: _ = try? await supervisor.restart(name, grace: .milliseconds(20))
            default: try? await supervisor.expectExit(name)
            }
        }
        for name in names {
            let marked = living(supervisor.token).filter { record in
                let bytes = readSmallFile("/proc/\(record.process)/environ") ?? []
                return String(decoding: bytes, as: UTF8.self).contains("SYNMESH_PROCESS=\(name)/")
            }
            #expect(marked.count <= 1, "\(marked)")
        }
        #expect(await supervisor.stopAll(grace: .milliseconds(50)).isComplete)
        #expect(living(supervisor.token).isEmpty)
    }

    @Test("A certificate names each thing that is left")
    func certificate() async throws {
        let directory = try TemporaryDirectory()
        let token = uniqueToken()
        let segment = "/dev/shm/synmesh-test-\(token)"
        let socketPath = directory.file("s.sock")
        try directory.write("", to: "file")
        close(open(segment, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
        defer { unlink(segment) }
        let (listener, port) = try listeningSocket()
        let unixSocket = try boundUnixSocket(at: socketPath)
        defer {
            close(listener)
            close(unixSocket)
        }
        let supervisor = try ProcessSupervisor(token: token)
        let running = try await supervisor.spawn("child") { _ in
            shell("exec sleep 1000", in: directory)
        }
        let paths = [segment, socketPath, directory.file("file"), directory.file("absent")]
        let dirty = await supervisor.certificate(paths: paths, ports: [port])
        #expect(dirty.processes.map(\.process) == [running.process])
        #expect(dirty.ports == [port])
        #expect(dirty.sockets == [socketPath])
        #expect(dirty.segments == [segment])
        #expect(dirty.files == [directory.file("file")])
        #expect(!dirty.isClean)

        #expect(await supervisor.stopAll(grace: .seconds(5)).isComplete)
        let clean = await supervisor.certificate(paths: [directory.file("absent")], ports: [])
        #expect(clean.isClean, "\(clean)")
    }

    private func listeningSocket() throws -> (CInt, UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                try #require(bind(descriptor, generic, size) == 0)
                try #require(listen(descriptor, 1) == 0)
                try #require(getsockname(descriptor, generic, &size) == 0)
            }
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    private func boundUnixSocket(at path: String) throws -> CInt {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try #require(bind(descriptor, $0, size) == 0)
            }
        }
        return descriptor
    }
}
