import Foundation
import Glibc
import JSON
import Testing

/// Programs that resist, kept by the built `synmesh`.
@Suite(.serialized) struct SupervisionRuns {
    /// A process as /proc shows it.
    private struct Seen: Hashable {
        let process: Int32
        let started: String
    }

    /// The living descendants of a process: those that shed every mark are among them.
    private static func descendants(of root: Int32) -> Set<Seen> {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        var parents: [Int32: Int32] = [:]
        var seen: [Int32: Seen] = [:]
        for process in entries.compactMap({ Int32($0) }) {
            guard let (record, parent) = look(at: process) else { continue }
            parents[process] = parent
            seen[process] = record
        }
        var found: Set<Int32> = [root]
        while case let more = parents.filter({ found.contains($0.value) && !found.contains($0.key) }
        ),
            !more.isEmpty
        {
            found.formUnion(more.keys)
        }
        return Set(found.subtracting([root]).compactMap { seen[$0] })
    }

    private static func look(at process: Int32) -> (Seen, parent: Int32)? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", let parent = Int32(fields[1]) else { return nil }
        return (Seen(process: process, started: String(fields[19])), parent)
    }

    private static func isAlive(_ seen: Seen) -> Bool { look(at: seen.process)?.0 == seen }

    private func stubborn(in folder: TemporaryFolder) throws -> (Program, Set<Seen>) {
        let program = try Program(
            ["up", "topologies/stubborn.yaml", "--logs", folder.path], in: folder)
        try program.poll(atMost: .seconds(60), "up") { program.errorText.contains("up: ") }
        let guardian = program.process.processIdentifier
        // The orchestrator, and at least one process of each child that stays.
        try program.poll(atMost: .seconds(30), "the children") {
            Self.descendants(of: guardian).count >= 11
        }
        return (program, Self.descendants(of: guardian))
    }

    @Test(
        "nothing of the stubborn survives the orchestrator, its guardian, or Ctrl-C",
        .timeLimit(.minutes(2)), arguments: ["orchestrator", "guardian", "interrupt"])
    func survivors(killed: String) throws {
        let folder = try TemporaryFolder()
        let (program, before) = try stubborn(in: folder)
        let guardian = program.process.processIdentifier
        switch killed {
        case "orchestrator":
            let orchestrator = try #require(
                before.first { seen in
                    let line = try? String(
                        contentsOfFile: "/proc/\(seen.process)/cmdline", encoding: .utf8)
                    return line?.contains("stubborn.yaml") == true
                })
            kill(orchestrator.process, SIGKILL)
        case "guardian": kill(guardian, SIGKILL)
        default: kill(guardian, SIGINT)
        }
        let ending = try program.wait(atMost: .seconds(30))
        try program.poll(atMost: .seconds(10), "the end of all") {
            !before.contains(where: Self.isAlive)
        }
        if killed == "interrupt" {
            #expect(ending.exitCode == 0, "\(ending.errors)")
            #expect(ending.errors.contains("down: nothing is left behind"), "\(ending.errors)")
        } else {
            #expect(ending.exitCode != 0)
        }
    }

    @Test("parts start when what they wait for is so, and end in reverse", .timeLimit(.minutes(1)))
    func order() throws {
        let folder = try TemporaryFolder()
        let topology = try folder.write(
            """
            synmesh: 1
            processes:
              server:
                command: echo started server >> sequence; sleep 0.2; echo ready; trap 'echo ended server >> sequence; exit 0' TERM; while :; do sleep 0.01; done
                probes: { up: { log: ^ready$ } }
              migration:
                command: echo started migration >> sequence; sleep 0.1; echo done migration >> sequence
                depends_on: { server: ready }
              worker:
                command: echo started worker >> sequence; trap 'echo ended worker >> sequence; exit 0' TERM; echo up; while :; do sleep 0.01; done
                probes: { up: { log: ^up$ } }
                depends_on: { migration: completed_successfully, server: started }
            """, to: "order.yaml")
        let program = try Program(["up", topology, "--logs", folder.path], in: folder)
        try program.poll(atMost: .seconds(60), "up") { program.errorText.contains("up: ") }
        kill(program.process.processIdentifier, SIGINT)
        let ending = try program.wait()
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let order = try String(contentsOfFile: folder.path + "/sequence", encoding: .utf8)
        #expect(
            order.split(separator: "\n") == [
                "started server", "started migration", "done migration", "started worker",
                "ended worker", "ended server",
            ])
    }

    @Test(
        "a part that waits for what cannot be any more is not waited for", .timeLimit(.minutes(1)))
    func inVain() throws {
        let folder = try TemporaryFolder()
        let topology = try folder.write(
            """
            synmesh: 1
            processes:
              migration: { command: exit 3, essential: false }
              worker: { command: [sleep, "1000"], depends_on: { migration: completed_successfully } }
            """, to: "vain.yaml")
        let ending = try Program.run("up", topology, "--logs", folder.path, in: folder)
        #expect(ending.exitCode == 3)
        #expect(
            ending.errors.contains(
                "could not start 'worker': it waits for 'migration' to be completed successfully, "
                    + "and that cannot be any more: migration (process "), "\(ending.errors)")
        #expect(ending.errors.contains("exited with code 3, by itself"), "\(ending.errors)")
    }

    @Test("a group that fails too often is given up, and the mesh ends", .timeLimit(.minutes(1)))
    func groupGivenUp() throws {
        let folder = try TemporaryFolder()
        let topology = try folder.write(
            """
            synmesh: 1
            processes:
              good: { command: [sleep, "1000"], restart: { policy: always, backoff: 1ms } }
              bad:
                command: sleep 0.02; exit 1
                restart: { policy: always, backoff: 1ms, max_restarts: 100 }
            groups:
              pair: { strategy: one_for_all, members: [good, bad], max_restarts: 3 }
            """, to: "group.yaml")
        let ending = try Program.run("up", topology, "--logs", folder.path, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(
            ending.errors.contains(
                "bad is given up: its group 'pair' was started again 3 times within 60.0 seconds"),
            "\(ending.errors)")
        #expect(ending.errors.contains("down: nothing is left behind"), "\(ending.errors)")
    }
}
