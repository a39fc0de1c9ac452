internal import CLinux
internal import Glibc
internal import TestSupport
internal import Testing

@testable internal import Supervision

@Suite("The guardian")
struct GuardianTests {
    @Test(
        "The exit code of the guarded program passes through",
        arguments: [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)])
    func exitCode(script: String, expected: Int32) async throws {
        let launched = try Launched([
            try builtProgram("synmesh-guard"), "--", "sh", "-c", script,
        ])
        defer { close(launched.output) }
        #expect(try await launched.exitCode() == expected)
        var output = ""
        launched.read(into: &output)
        #expect(output.isEmpty, "a run that leaves nothing is no news")
    }

    @Test("A program that does not exist, or none at all, is an error of the guardian's own")
    func unusable() async throws {
        let guardian = try builtProgram("synmesh-guard")
        for (arguments, expected) in [
            (["--", "/no/such/program"], Int32(127)), (["--"], 2), ([], 2),
            (["--", "/tmp"], 126),
        ] {
            let launched = try Launched([guardian] + arguments)
            defer { close(launched.output) }
            #expect(try await launched.exitCode() == expected)
        }
    }

    @Test("What the guarded program leaves is killed and removed, and said in one line")
    func leftovers() async throws {
        let directory = try TemporaryDirectory()
        let token = uniqueToken()
        try directory.write("\(directory.file("left"))\n/relative/../path\n", to: "manifest")
        let script = """
            setsid sh -c "trap '' TERM; sleep 1000" &
            (setsid sleep 1000 &)
            touch \(directory.file("left")); exit 5
            """
        let launched = try Launched(
            [
                try builtProgram("synmesh-guard"), "--manifest", directory.file("manifest"), "--",
                "sh", "-c", script,
            ], environment: ["PATH=/usr/bin:/bin", "SYNMESH_TOKEN=\(token)"])
        defer { close(launched.output) }
        #expect(try await launched.exitCode() == 5)
        #expect(living(token).isEmpty)
        #expect(!exists(directory.file("left")))
        #expect(!exists(directory.file("manifest")))
        var output = ""
        launched.read(into: &output)
        #expect(output.hasPrefix("synmesh-guard: the run left something behind: killed "))
        #expect(output.hasSuffix("removed \(directory.file("left"))\n"))
    }

    @Test("A signal for the guardian reaches the guarded program")
    func forwarding() async throws {
        let launched = try Launched([
            try builtProgram("synmesh-guard"), "--", "sh", "-c",
            "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done",
        ])
        defer { close(launched.output) }
        var output = ""
        #expect(
            try await eventually {
                launched.read(into: &output)
                return output.contains("up")
            })
        kill(launched.process, SIGTERM)
        #expect(try await launched.exitCode() == 9)
    }

    /// An orchestrator with stubborn children, up and running.
    private struct Rehearsal {
        let launched: Launched
        let token = uniqueToken()
        let directory: TemporaryDirectory
        var orchestrator: Int32 = 0
        var output = ""

        init(onTerminal: Bool = false) async throws {
            directory = try TemporaryDirectory()
            let command = [try builtProgram("supervision-subject"), token, directory.path, "7"]
            let environment = ["PATH=/usr/bin:/bin", "SYNMESH_TOKEN=\(token)"]
            launched =
                onTerminal
                ? try Launched(onTerminal: command, environment: environment)
                : try Launched(command, environment: environment)
            var text = ""
            let launched = launched
            let isUp = try await eventually {
                launched.read(into: &text)
                return text.contains("ready")
            }
            try #require(isUp, "\(text)")
            output = text
            let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
            orchestrator = try #require(numbers.first)
            #expect(
                onTerminal || numbers.last == launched.process,
                "the guardian keeps the number that the shell knows")
            #expect(orchestrator != launched.process)
            // The guardian, the orchestrator, and the children but the one without a token.
            let token = token
            #expect(try await eventually { living(token).count >= 9 })
        }

        /// The run's processes, the one that shed its token included.
        var survivors: [ProcessRecord] { living(token) + known.filter { isAlive($0) } }

        var known: [ProcessRecord] = []

        mutating func remember() {
            known = ProcessTable.descendants(of: launched.process, in: ProcessTable.all())
        }

        private func isAlive(_ record: ProcessRecord) -> Bool {
            let now = ProcessTable.record(of: record.process)
            return now?.startTicks == record.startTicks && now?.isZombie == false
        }

        func expectNothingLeft(isOpen: Bool = true) async throws {
            let isEmpty = try await eventually { survivors.isEmpty }
            #expect(isEmpty, "\(survivors)")
            let isClean = try await eventually { leftFiles.isEmpty }
            #expect(isClean, "\(leftFiles)")
            if isOpen { close(launched.output) }
        }

        private var leftFiles: [String] {
            [
                directory.file("tree"), directory.file("file"), "/dev/shm/synmesh-test-\(token)",
            ].filter { exists($0) }
        }
    }

    @Test("After kill -9 of the orchestrator nothing is left, and the exit code says so")
    func orchestratorKilled() async throws {
        var rehearsal = try await Rehearsal()
        rehearsal.remember()
        kill(rehearsal.orchestrator, SIGKILL)
        #expect(try await rehearsal.launched.exitCode() == 137)
        try await rehearsal.expectNothingLeft()
    }

    @Test("After kill -9 of the guardian nothing is left, the orchestrator included")
    func guardianKilled() async throws {
        var rehearsal = try await Rehearsal()
        rehearsal.remember()
        kill(rehearsal.launched.process, SIGKILL)
        #expect(try await rehearsal.launched.exitCode() == 1_009)
        try await rehearsal.expectNothingLeft()
    }

    @Test("Ctrl-C reaches the orchestrator once, which stops everything in order")
    func controlC() async throws {
        var rehearsal = try await Rehearsal(onTerminal: true)
        rehearsal.remember()
        writeAll("\u{3}", to: rehearsal.launched.output)
        let code = try await rehearsal.launched.exitCode()
        #expect(code == 7)
        rehearsal.launched.read(into: &rehearsal.output)
        #expect(
            rehearsal.output.contains("signal 2, complete true, nothing is left behind"),
            "\(rehearsal.output)")
        try await rehearsal.expectNothingLeft()
    }

    @Test("A terminal that goes away ends everything in order")
    func terminalGone() async throws {
        var rehearsal = try await Rehearsal(onTerminal: true)
        rehearsal.remember()
        close(rehearsal.launched.output)
        #expect(try await eventually { rehearsal.survivors.isEmpty })
        try await rehearsal.expectNothingLeft(isOpen: false)
        // `setsid` waits for the guardian, and the terminal's end may be the end of it too.
        _ = try await rehearsal.launched.exitCode()
    }

    @Test("SIGTERM to the guardian stops everything in order, and the exit code passes through")
    func terminated() async throws {
        var rehearsal = try await Rehearsal()
        rehearsal.remember()
        kill(rehearsal.launched.process, SIGTERM)
        let code = try await rehearsal.launched.exitCode()
        #expect(code == 7)
        rehearsal.launched.read(into: &rehearsal.output)
        #expect(
            rehearsal.output.contains("signal 15, complete true, nothing is left behind"),
            "\(rehearsal.output)")
        #expect(!rehearsal.output.contains("left something behind"), "\(rehearsal.output)")
        #expect(rehearsal.output.contains("neighbour true"), "\(rehearsal.output)")
        try await rehearsal.expectNothingLeft()
    }
}
