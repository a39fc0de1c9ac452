import Control
import Glibc
import JSON
import Recording
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// The path of synmesh-node, which is built next to the tests.
private func node() throws -> String {
    var bytes = [CChar](repeating: 0, count: 4_096)
    let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
    var directory = String(
        decoding: bytes.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    while let slash = directory.utf8.lastIndex(of: UInt8(ascii: "/")) {
        directory = String(directory[..<slash])
        if access("\(directory)/synmesh-node", X_OK) == 0 { return "\(directory)/synmesh-node" }
    }
    let built = ".build/debug/synmesh-node"
    try #require(access(built, X_OK) == 0, "synmesh-node is not built")
    return built
}

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
        let directory = try Directory()
        let path = try directory.file("core.json", text)
        let program = try Program([try node(), "branch", path])
        #expect(try await end(of: program) == 2)
        let written = program.written()
        #expect(written.contains(path) && written.contains(reason), "\(written)")
    }

    @Test(
        "A command line that makes no sense ends it with 2",
        arguments: [[], ["branch"], ["dance", "x.json"], ["branch", "/nonexistent/x.json"]])
    func badCommandLine(arguments: [String]) async throws {
        let program = try Program([try node()] + arguments)
        #expect(try await end(of: program) == 2)
    }

    @Test(
        "Surroundings that refuse end it with 3",
        arguments: [
            ["SYNMESH_HISTORY": "/nonexistent/core.mcap"], ["SYNMESH_INCARNATION": "one"],
            ["SYNMESH_CLOCK_OFFSET": "x"], ["SYNMESH_CONTROL": "nonsense"],
        ])
    func badEnvironment(environment: [String: String]) async throws {
        let directory = try Directory()
        let program = try Program(
            [try node(), "branch", try directory.file("core.json", branchText)],
            environment: environment)
        #expect(try await end(of: program) == 3)
    }

    @Test("An endpoint that cannot be bound ends it with 3")
    func unbindable() async throws {
        let directory = try Directory()
        let text = #"{"name":"core","endpoint":"nonsense"}"#
        let program = try Program([try node(), "branch", try directory.file("x.json", text)])
        #expect(try await end(of: program) == 3)
        #expect(program.written().contains("could not bind to nonsense"))
    }

    @Test("A branch says ready, obeys, and ends in order on SIGTERM with a sealed history")
    func branch() async throws {
        let directory = try Directory()
        let history = "\(directory.path)/core.mcap"
        let server = try ControlServer(endpoint: "ipc://\(directory.path)/control")
        let program = try Program(
            [try node(), "branch", try directory.file("core.json", branchText)],
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
        let directory = try Directory()
        let server = try ControlServer(endpoint: "ipc://\(directory.path)/control")
        let text = #"""
            {"name":"tot","publish_endpoint":"tcp://127.0.0.1:*",
             "subscribe_endpoint":"tcp://127.0.0.1:*","prefixes":["tot"]}
            """#
        let program = try Program(
            [try node(), "topics", try directory.file("tot.json", text)],
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
