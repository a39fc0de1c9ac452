internal import Glibc
internal import TestSupport
internal import Testing

@testable internal import Supervision

@Suite("Rules without processes")
struct RulesTests {
    typealias Circumstances = ExitAttribution.Circumstances

    @Test(
        "An end is attributed to who brought it about",
        arguments: [
            (ExitCause.exited(code: 0), false, "", Int32(0), false, ExitAttribution.itself),
            (.exited(code: 3), false, "", 0, false, .itself),
            (.exited(code: 0), true, "", 0, false, .us),
            (.signalled(number: SIGSEGV, coreDumped: true), false, "", 0, false, .itself),
            (.signalled(number: SIGSEGV, coreDumped: true), true, "", 0, false, .itself),
            (.signalled(number: SIGTERM, coreDumped: false), true, "", 0, false, .us),
            (.signalled(number: SIGKILL, coreDumped: false), true, "", 0, false, .us),
            (.signalled(number: SIGKILL, coreDumped: false), false, "", 0, false, .outside),
            (
                .signalled(number: SIGKILL, coreDumped: false), false, "", 0, true,
                .kernel("out of memory")
            ),
            (
                .signalled(number: SIGKILL, coreDumped: false), false, "kill-1", SIGKILL, true,
                .fault("kill-1")
            ),
            (.exited(code: 0), false, "term-1", SIGTERM, false, .fault("term-1")),
            (.exited(code: 0), false, "kill-1", SIGKILL, false, .itself),
            (
                .signalled(number: SIGXCPU, coreDumped: false), false, "", 0, false,
                .kernel("limit on processor time")
            ),
        ] as [(ExitCause, Bool, String, Int32, Bool, ExitAttribution)])
    func attribution(
        cause: ExitCause, weAsked: Bool, fault: String, signal: Int32, memoryRanOut: Bool,
        expected: ExitAttribution
    ) {
        let circumstances = Circumstances(
            weAsked: weAsked, fault: fault.isEmpty ? nil : (fault, signal),
            memoryRanOut: memoryRanOut)
        #expect(ExitAttribution(of: cause, circumstances) == expected)
    }

    @Test(
        "A report says in words what happened",
        arguments: [
            (ExitCause.exited(code: 3), ExitAttribution.itself, "exited with code 3, by itself"),
            (
                .signalled(number: 9, coreDumped: false), .fault("kill-1"),
                "killed by signal 9 (SIGKILL), by injected fault kill-1"
            ),
            (
                .signalled(number: 11, coreDumped: true), .itself,
                "killed by signal 11 (SIGSEGV), core dumped, by itself"
            ),
        ] as [(ExitCause, ExitAttribution, String)])
    func words(cause: ExitCause, attribution: ExitAttribution, expected: String) {
        let report = ExitReport(
            name: "camera", incarnation: 2, process: 41, cause: cause, attribution: attribution,
            wasKilledAfterGrace: false, endedAt: 0)
        #expect(report.description == "camera (process 41, incarnation 2) \(expected)")
    }

    @Test("A policy says which ends are followed by a restart")
    func restarts() {
        let (good, bad) = (ExitCause.exited(code: 0), ExitCause.exited(code: 1))
        #expect(RestartPolicy(.onFailure).wants(after: bad))
        #expect(!RestartPolicy(.onFailure).wants(after: good))
        #expect(RestartPolicy(.onFailure).wants(after: good, probeFailed: true))
        #expect(!RestartPolicy.never.wants(after: bad, probeFailed: true))
        #expect(RestartPolicy(.always).wants(after: good))
    }

    @Test("Lines are shown whole, however the bytes arrive, and the last one without its end too")
    func lines() {
        let text = "one\ntwo\n\nthree"
        for size in 1...text.utf8.count {
            var assembler = LineAssembler(prefix: Array("a | ".utf8))
            var shown: [UInt8] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                Array(rest.prefix(size)).withUnsafeBytes { shown += assembler.take($0) }
                rest = rest.dropFirst(size)
            }
            shown += assembler.finish()
            #expect(
                String(decoding: shown, as: UTF8.self)
                    == "a | one\na | two\na | \na | three\n")
        }
    }

    @Test("A line too long for the console is cut there, and the next one is whole")
    func longLines() {
        var assembler = LineAssembler(prefix: [])
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        var shown = long.withUnsafeBytes { assembler.take($0) }
        shown += Array("x\nshort\n".utf8).withUnsafeBytes { assembler.take($0) }
        let lines = String(decoding: shown, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first?.hasSuffix("(the log has the whole line)") == true)
        #expect(lines.last == "short")
    }

    @Test(
        "A manifest refuses what no run creates",
        arguments: ["", "relative/path", "/", "/tmp", "/dev/shm", "/tmp/../etc", "/tmp/a\nb"])
    func refusedPaths(path: String) throws {
        let directory = try TemporaryDirectory()
        let manifest = try Manifest(creating: directory.file("manifest"))
        #expect(throws: SupervisionError.self) { try manifest.append(path) }
        #expect(manifest.paths.isEmpty)
    }

    @Test("A manifest cleans what it names, and nothing that it was told to forget")
    func manifest() throws {
        let directory = try TemporaryDirectory()
        let manifest = try Manifest(creating: directory.file("manifest"))
        try directory.write("", to: "removed")
        try directory.write("", to: "kept")
        mkdir(directory.file("tree"), 0o755)
        try directory.write("", to: "tree/inner")
        symlink(directory.file("kept"), directory.file("tree/link"))
        for name in ["removed", "kept", "tree", "never-existed"] {
            try manifest.append(directory.file(name))
        }
        try manifest.remove(directory.file("kept"))
        let cleaning = Manifest.clean(at: manifest.path)
        #expect(cleaning.removed == [directory.file("tree"), directory.file("removed")])
        #expect(cleaning.failed.isEmpty)
        #expect(exists(directory.file("kept")))
        #expect(!exists(directory.file("tree")))
        #expect(!exists(manifest.path))
    }

    @Test("A program that cannot be started is refused with the reason and a remedy")
    func lookup() throws {
        let directory = try TemporaryDirectory()
        try directory.write("", to: "plain")
        mkdir(directory.file("folder"), 0o755)
        func failure(_ executable: String) -> SupervisionError? {
            do throws(SupervisionError) {
                _ = try ExecutableLookup.resolve(
                    executable, searchPath: "/nowhere:\(directory.path)", directory: directory.path)
                return nil
            } catch {
                return error
            }
        }
        #expect(failure("absent")?.code == .executableNotFound)
        #expect(failure("absent")?.reason.contains("/nowhere") == true)
        #expect(failure("./absent")?.code == .executableNotFound)
        #expect(failure("plain")?.code == .notExecutable)
        #expect(failure("plain")?.remedy == "chmod +x \(directory.file("plain"))")
        #expect(failure("./folder")?.code == .notExecutable)
        #expect(failure("")?.code == .executableNotFound)
        chmod(directory.file("plain"), 0o755)
        #expect(failure("plain") == nil)
    }
}
