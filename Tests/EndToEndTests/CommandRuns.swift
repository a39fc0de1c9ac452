import Foundation
import Glibc
import JSON
import Testing

/// The commands, their exit codes and what they leave behind.
@Suite(.serialized) struct CommandRuns {
    @Test("every shipped topology and scenario is good")
    func shipped() throws {
        let folder = try TemporaryFolder()
        for kind in ["topologies", "scenarios"] {
            let files = try FileManager.default.contentsOfDirectory(
                atPath: "\(Program.repository)/\(kind)"
            ).filter { $0.hasSuffix(".yaml") }
            #expect(!files.isEmpty)
            for file in files {
                let ending = try Program.run("check", "\(kind)/\(file)", in: folder)
                #expect(ending.exitCode == 0, "\(ending.output)")
                // Notes and warnings may come before: they say what no run can show.
                #expect(ending.output.hasSuffix("\(kind)/\(file): ok\n"), "\(ending.output)")
                #expect(!ending.output.contains("error:"), "\(ending.output)")
            }
        }
    }

    @Test("a broken topology is explained on every command that reads one, with exit code 2")
    func broken() throws {
        let folder = try TemporaryFolder()
        let topology = try folder.write("synmesh: 1\nbranchs: { core: {} }\n", to: "t.yaml")
        let scenario = try folder.write(
            "synmesh: 1\ntopology: t.yaml\nsteps: [baseline]\n", to: "s.yaml")
        for arguments in [["check", topology], ["up", topology], ["run", scenario]] {
            let ending = try Program(arguments, in: folder).wait()
            #expect(ending.exitCode == 2)
            let text = ending.output + ending.errors
            #expect(text.contains("t.yaml:2:1: error: unknown key 'branchs'"), "\(text)")
            #expect(text.contains("did you mean 'branches'?"), "\(text)")
        }
    }

    @Test("wrong usage, missing files and a missing server each have their exit code")
    func exitCodes() throws {
        let folder = try TemporaryFolder()
        #expect(try Program.run("fly", in: folder).exitCode == 64)
        #expect(try Program.run("--version", in: folder).exitCode == 0)
        #expect(try Program.run("run", "--help", in: folder).exitCode == 0)
        #expect(try Program.run("run", "nowhere.yaml", in: folder).exitCode == 2)
        #expect(try Program.run("report", folder.path, in: folder).exitCode == 2)
        #expect(try Program.run("diff", folder.path, folder.path, in: folder).exitCode == 2)
        let scenario = try folder.scenario(
            "corrupt-canary", replacing: [],
            inTopology: [("main: {}", "main: { executable: no-such-server }")])
        let ending = try Program.run("run", scenario, "--logs", folder.path, in: folder)
        #expect(ending.exitCode == 3, "\(ending.errors)")
        #expect(ending.errors.contains("no-such-server"))
    }

    @Test(
        "Ctrl-C ends a mesh that is up, and nothing of it is left", .timeLimit(.minutes(5)),
        arguments: [
            "ping", "first-mesh", "corrupt-canary", "small-clouds", "twin-mesh", "seed-agents",
            "cloud-pool",
            "restarting-mesh", "thought-broadcast", "own-proxy",
        ])
    func up(topology: String) throws {
        let folder = try TemporaryFolder()
        let program = try Program(
            ["up", "topologies/\(topology).yaml", "--logs", folder.path], in: folder)
        try program.poll(atMost: .seconds(60), "up") { program.errorText.contains("up: ") }
        let run = try Self.run(in: folder, topology)
        #expect(!survivors(of: run).isEmpty)
        kill(program.process.processIdentifier, SIGINT)
        let ending = try program.wait()
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(survivors(of: run).isEmpty)
    }

    @Test(
        "whoever is killed, no process, socket or segment of the run is left",
        .timeLimit(.minutes(2)), arguments: ["orchestrator", "guardian", "interrupt"])
    func killed(victim: String) throws {
        let folder = try TemporaryFolder()
        let program = try Program(
            ["run", "scenarios/first-rehearsal.yaml", "--logs", folder.path], in: folder)
        try program.poll(atMost: .seconds(60), "the first step") {
            program.errorText.contains("step 1 of") && program.errorText.contains("mesh ready")
        }
        let run = try Self.run(in: folder, "first-rehearsal")
        let guardian = program.process.processIdentifier
        let orchestrator = try #require(Self.child(of: guardian))
        switch victim {
        case "orchestrator": kill(orchestrator, SIGKILL)
        case "guardian": kill(guardian, SIGKILL)
        default: kill(guardian, SIGINT)
        }
        let ending = try program.wait()
        try program.poll(atMost: .seconds(20), "the end of all processes") {
            survivors(of: run).isEmpty && kill(orchestrator, 0) != 0
        }
        if victim == "interrupt" { #expect(ending.exitCode == 130, "\(ending.errors)") }
        let runtime =
            ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"].map { $0 + "/synmesh" }
            ?? "/tmp/synmesh-\(getuid())"
        #expect(!FileManager.default.fileExists(atPath: "\(runtime)/\(run)"))
    }

    /// The name of the only run of a scenario.
    static func run(in folder: TemporaryFolder, _ scenario: String) throws -> String {
        let names = try FileManager.default.contentsOfDirectory(
            atPath: "\(folder.path)/\(scenario)")
        return try #require(names.first { $0 != "latest" })
    }

    static func child(of parent: Int32) -> Int32? {
        let path = "/proc/\(parent)/task/\(parent)/children"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: " ").first.flatMap { Int32($0) }
    }
}
