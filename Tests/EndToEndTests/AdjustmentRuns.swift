import Foundation
import Glibc
import JSON
import Testing

/// Files that take values from outside, by the built program.
@Suite("Adjusted topologies")
struct AdjustmentRuns {
    private let topology = "topologies/adjusted.yaml"

    @Test("check --render prints what results, and that is a topology again")
    func render() throws {
        let folder = try TemporaryFolder()
        let variables = try folder.write("USER_OF_MESH=file\nECHOES=4\n", to: "a.env")
        let ending = try Program.run(
            "check", "--render", topology, "--env-file", variables, "--set",
            "branches.core.peer_timeout=2s", in: folder, environment: ["USER_OF_MESH": "own"])
        #expect(ending.exitCode == 0, "\(ending.errors)")
        // The environment wins over the file.
        #expect(ending.output.contains("USER_OF_MESH: own\n"))
        #expect(ending.output.contains("replicas: 4\n"))
        #expect(ending.output.contains("peer_timeout: 2s\n"))
        #expect(ending.output.contains("NATS_PORT: \"${ports.main}\"\n"))
        _ = try folder.write("GREETING=x\n", to: "adjusted.env")
        let rendered = try folder.write(ending.output, to: "rendered.yaml")
        let again = try Program.run("check", rendered, in: folder)
        #expect(again.exitCode == 0, "\(again.output)")
    }

    @Test(
        "what is set wrongly is shown where it stands",
        arguments: [
            ("agents.camrea.replicas=4", "--set:1:8: error: unknown key 'camrea'"),
            ("agents.echo.replicas=many", "--set:1:22: error: expected a whole number"),
            ("agents.echo.replica=3", "--set:1:13: error: unknown key 'replica'"),
            ("agents.asker.environment.X=${ports.mian}", "unknown NATS server 'mian'"),
            ("branches.core.peer_timeout=${ports.main}", "error: "),
        ])
    func mistakes(override: String, expected: String) throws {
        let ending = try Program.run(
            "check", topology, "--set", override, in: TemporaryFolder())
        #expect(ending.exitCode == 2)
        #expect(ending.output.contains(expected), "\(ending.output)")
    }

    @Test("agents get what is known only when the mesh runs", .timeLimit(.minutes(2)))
    func run() throws {
        let folder = try TemporaryFolder()
        let program = try Program(
            ["up", topology, "--logs", folder.path, "--set", "agents.echo.replicas=3"], in: folder,
            environment: ["USER_OF_MESH": "a test"])
        let run = folder.path + "/adjusted/latest"
        let log = run + "/processes/asker.log"
        try program.poll(atMost: .seconds(60), "the greeting") {
            (try? String(contentsOfFile: log, encoding: .utf8))?.contains("NATS on port") == true
                && program.errorText.contains("up: adjusted")
        }
        kill(program.process.processIdentifier, SIGTERM)
        let ending = try program.wait()
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let text = try String(contentsOfFile: log, encoding: .utf8)
        let port = try #require(text.split(separator: " ").last?.dropLast())
        #expect(text.contains("good day from a test, NATS on port "))
        #expect(UInt16(port) != nil, "\(text)")
        // The run says what it was a run of.
        let rendered = try String(
            contentsOfFile: run + "/topology.rendered.yaml", encoding: .utf8)
        #expect(rendered.contains("replicas: 3\n"))
    }
}
