import Control
import Glibc
import JSON
import Recording
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// Waits for the end of a process without holding a thread of the pool.
private func end(of program: Program) async throws -> Int32 {
    let deadline = ContinuousClock.now + patience
    while ContinuousClock.now < deadline {
        if let code = program.exit { return code }
        try await Task.sleep(for: .milliseconds(1))
    }
    throw NotInTime(what: "the end of synmesh-node")
}

private let branchText = #"{"name":"core","endpoint":"tcp://127.0.0.1:*","agents":[{"name":"a"}]}"#

@Suite("synmesh-node", .timeLimit(.minutes(2)))
struct NodeTests {
    @Test(
        "A mistake in the configuration ends it with 2, and says which",
        arguments: [
            ("{", "not JSON at byte 1"), ("{}", "'name' is missing"),
            (#"{"name":"core","endpoint":"x","agent":[]}"#, "unknown key 'agent'"),
        ])
    func badConfiguration(text: String, reason: String) async throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(text, to: "core.json")
        let program = try Program([try builtProgram("synmesh-node"), "branch", path])
        #expect(try await end(of: program) == 2)
        let written = program.written()
        #expect(written.contains(path) && written.contains(reason), "\(written)")
    }

    @Test(
        "A command line that makes no sense ends it with 2",
        arguments: [[], ["branch"], ["dance", "x.json"], ["branch", "/nonexistent/x.json"]])
    func badCommandLine(arguments: [String]) async throws {
        let program = try Program([try builtProgram("synmesh-node")] + arguments)
        #expect(try await end(of: program) == 2)
    }

    @Test(
        "Surroundings that refuse end it with 3",
        arguments: [
            ["SYNMESH_HISTORY": "/nonexistent/core.mcap"], ["SYNMESH_INCARNATION": "one"],
            ["SYNMESH_CLOCK_OFFSET": "x"], ["SYNMESH_CONTROL": "nonsense"],
        ])
    func badEnvironment(environment: [String: String]) async throws {
        let directory = try TemporaryDirectory()
        let program = try Program(
            [
                try builtProgram("synmesh-node"), "branch",
                try directory.write(branchText, to: "core.json"),
            ],
            environment: environment)
        #expect(try await end(of: program) == 3)
    }

    @Test("An endpoint that cannot be bound ends it with 3")
    func unbindable() async throws {
        let directory = try TemporaryDirectory()
        let text = #"{"name":"core","endpoint":"nonsense"}"#
        let program = try Program([
            try builtProgram("synmesh-node"), "branch", try directory.write(text, to: "x.json"),
        ])
        #expect(try await end(of: program) == 3)
        #expect(program.written().contains("could not bind to nonsense"))
    }

    @Test("A branch says ready, obeys, and ends in order on SIGTERM with a sealed history")
    func branch() async throws {
        let directory = try TemporaryDirectory()
        let history = "\(directory.path)/core.mcap"
        let server = try ControlServer(endpoint: "ipc://\(directory.path)/control")
        let program = try Program(
            [
                try builtProgram("synmesh-node"), "branch",
                try directory.write(branchText, to: "core.json"),
            ],
            environment: [
                "SYNMESH_CONTROL": server.endpoint, "SYNMESH_INCARNATION": "4",
                "SYNMESH_HISTORY": history,
            ])
        let ready = try await server.waitReady(
            role: "branch", name: "core", incarnation: 4, timeout: patience)
        #expect(ready.pid == program.process)
        let endpoint = try #require(ready.endpoints["router"])
        #expect(helloProbe(endpoint: endpoint, timeout: patience) == "core")
        let held = try await server.command(
            "hold", to: ready.child, arguments: ["agent": "a", "topics": []], timeout: patience)
        #expect(held["held"] == 0)
        await #expect(
            throws: ControlError.refused(
                ready.child, command: "hold", reason: "'x' is no agent of branch 'core'")
        ) {
            try await server.command(
                "hold", to: ready.child, arguments: ["agent": "x"], timeout: patience)
        }
        let context = try Context()
        let dealer = try Dealer("b", at: endpoint, in: context)
        try dealer.send(agentEnvelope("b", "a", 1))
        try dealer.passMarker()
        program.signal(SIGTERM)
        #expect(try await end(of: program) == 0)
        #expect(program.written().contains("Dead Letters: 1 (never attached at shutdown 1)"))
        let read = try HistoryReader.read(path: history)
        #expect(read.notes.isEmpty)
        #expect(read.annotations.count == 1)
    }

    @Test("A topic proxy says ready with both endpoints and stops on command")
    func topics() async throws {
        let directory = try TemporaryDirectory()
        let server = try ControlServer(endpoint: "ipc://\(directory.path)/control")
        let text = #"""
            {"name":"tot","publish_endpoint":"tcp://127.0.0.1:*",
             "subscribe_endpoint":"tcp://127.0.0.1:*","prefixes":["tot"]}
            """#
        let program = try Program(
            [
                try builtProgram("synmesh-node"), "topics",
                try directory.write(text, to: "tot.json"),
            ],
            environment: ["SYNMESH_CONTROL": server.endpoint])
        let ready = try await server.waitReady(
            role: "topics", name: "tot", incarnation: 1, timeout: patience)
        #expect(Set(ready.endpoints.keys) == ["publish", "subscribe"])
        let context = try Context()
        let publisher = try TopicPeer(publishingTo: ready.endpoints["publish"], in: context)
        let subscriber = try TopicPeer(subscribingAt: ready.endpoints["subscribe"], in: context)
        try subscriber.confirm("tot")
        try publisher.publish(topicEnvelope("p", "tot", 1))
        #expect(try subscriber.receive().sequence == 1)
        _ = try await server.command("stop", to: ready.child, timeout: patience)
        #expect(try await end(of: program) == 0)
        #expect(program.written().contains("TOPICS: 1 messages"))
    }
}
