import Foundation
import JSON
import Recording
import TestSupport
import Testing
import Wire

private func received(_ value: Value, _ flow: String) -> Int64? {
    value["received"]?[flow]?["count"]?.integer
}

@Suite("The runtime, as a process among real proxies", .timeLimit(.minutes(2)))
struct LiveTests {
    @Test("A load is sent in full and answered, pings are echoed with their cause")
    func pings() async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["a", "b"])
        try await mesh.startAgent("b", [:])
        try await mesh.startAgent("a", ["to": ["b"], "size": 300])
        let done = try await mesh.command("load", to: "a", ["count": 2_000, "type": "ping"])
        #expect(done["sent"] == 2_000 && done["failed"] == 0 && done["unfinished"] == nil)
        let result = try await mesh.ask("result", "a") { received($0, "b -> a") == 2_000 }
        #expect(received(result, "b -> a") == 2_000)
        let other = try await mesh.command("result", to: "b")
        #expect(received(other, "a -> b") == 2_000)
        let status = try await mesh.command("status", to: "b")
        #expect(status["delivered"]?["a -> b"] == 2_000 && status["sent"]?["a"] == 2_000)
        #expect(status["loading"] == false && status["transport"] == "zmq")
        for name in ["a", "b"] {
            #expect(try await mesh.command("stop", to: name)["sealed"] == true)
            #expect(try await mesh.exitCode(of: "\(name).1") == 0)
        }
        let history = try HistoryReader.read(
            path: mesh.folder.appending(path: "b.1.mcap").path)
        #expect(history.records.count == 4_000 && history.notes.isEmpty)
        let answered = history.annotations.count { annotation in
            guard case .cause(let answer, let ping, _) = annotation else { return false }
            return answer.flow == Flow(source: "b", destination: .agent("a"))
                && ping.flow == Flow(source: "a", destination: .agent("b"))
                && answer.sequence == ping.sequence
        }
        #expect(answered == 2_000)
        #expect(history.records.allSatisfy { $0.content.length == 300 })
    }

    @Test("A paced load keeps its rate, and other commands are answered meanwhile")
    func paced() async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["a", "b"])
        try await mesh.startAgent("b", [:])
        try await mesh.startAgent("a", ["to": ["b"]])
        let began = ContinuousClock.now
        async let load = mesh.command("load", to: "a", ["count": 150, "rate": 300])
        let status = try await mesh.ask("status", "a") { $0["loading"] == true }
        #expect(status["loading"] == true)
        #expect(try await load["sent"] == 150)
        // Not a measure of speed: the last message is not due before.
        #expect(ContinuousClock.now - began >= .milliseconds(490))
        await #expect(throws: (any Error).self) {
            try await mesh.command("load", to: "a", ["rate": 3])
        }
        await #expect(throws: (any Error).self) {
            try await mesh.command("load", to: "b", ["count": 3])
        }
        await #expect(throws: (any Error).self) { try await mesh.command("dance", to: "a") }
    }

    @Test("SIGTERM ends an agent in order, SIGINT not at all")
    func signals() async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["a"])
        try await mesh.startAgent("a", ["to": ["a"]])
        await mesh.signal("a.1", SIGINT)
        let load = try await mesh.command("load", to: "a", ["count": 10])
        #expect(load["sent"] == 10)
        await mesh.signal("a.1", SIGTERM)
        #expect(try await mesh.exitCode(of: "a.1") == 0)
        let log = await mesh.log(of: "a.1")
        #expect(log.contains("SIGTERM: stopping") && log.hasSuffix("stopped\n"))
    }

    @Test("What an agent cannot start with ends it with the documented code and a clear line")
    func refusals() async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["a"])
        let cases: [(String, String, Value, Int32, String)] = [
            ("s1", "probe", ["size": -1], 2, "the setting 'size' is -1"),
            ("s2", "probe", ["defects": ["lose": 0]], 2, "'defects'"),
            ("s3", "probe", ["subscribe": 7], 2, "'subscribe'"),
            ("s4", "camera", [:], 2, "'cloud' (a PLY file) or 'scene'"),
            ("s5", "camera", ["cloud": "/nowhere.ply"], 2, "there is no file '/nowhere.ply'"),
            ("s6", "camera", ["cloud": .string(#filePath)], 2, "not PLY"),
            ("s7", "tree", [:], 3, "this program has: camera, dense, features, mesh"),
            ("s8", "dense", [:], 2, "needs the setting 'voxel'"),
            ("s9", "camera", ["scene": ["points": 5], "view": 0], 2, "go together"),
            (
                "s10", "camera", ["scene": ["points": 5], "pose": ["x": 1]], 2,
                "follows from 'view'"
            ),
        ]
        for (name, kind, settings, code, words) in cases {
            try await mesh.launch(name, kind: kind, settings)
            #expect(try await mesh.exitCode(of: "\(name).1") == code, "\(name)")
            let log = await mesh.log(of: "\(name).1")
            #expect(log.contains(words), "\(log)")
        }
    }

    @Test("A drained restart to NATS and back under load: all that was ordered arrives, once")
    func moves() async throws {
        let server = try NATSServer.shared.get()
        let mesh = try LiveMesh(nats: server.url)
        try await mesh.startBranch(["a", "b"])
        try await mesh.startAgent("b", ["to": ["a"]])
        try await mesh.startAgent("a", ["to": ["b"]])
        let count = 3_000
        let arguments: Value = ["count": .init(count), "rate": 2_000, "type": "ping"]
        async let fromB = mesh.command("load", to: "b", arguments)
        var sent: Int64 = 0
        var pending: Value = arguments
        var incarnation: UInt32 = 1
        for transport in [Transport.nats, .zmq] {
            let (current, rest) = (incarnation, pending)
            async let part = mesh.command("load", to: "a", incarnation: current, rest)
            _ = try await mesh.ask("status", "a", incarnation: incarnation) {
                ($0["sent"]?["b"]?.integer ?? 0) > 400
            }
            _ = try await mesh.branch("hold", ["agent": "a", "topics": []])
            let drained = try await mesh.command("drain", to: "a", incarnation: incarnation)
            #expect(drained["inbound_complete"] == true && drained["outbound_complete"] == true)
            sent += try #require(try await part["messages"]?.integer)
            let unfinished = try #require(drained["unfinished_loads"]?.array?.first)
            #expect(unfinished["start"]?.integer == sent)
            pending = unfinished
            _ = try await mesh.command("stop", to: "a", incarnation: incarnation)
            #expect(try await mesh.exitCode(of: "a.\(incarnation)") == 0)
            incarnation += 1
            try await mesh.startAgent(
                "a", ["to": ["b"]], incarnation: incarnation, transport: transport,
                state: drained["state"])
            _ = try await mesh.branch(
                "release",
                [
                    "agent": "a", "transport": .string(transport.rawValue),
                    "epoch": .init(incarnation),
                ])
        }
        sent += try #require(
            try await mesh.command("load", to: "a", incarnation: incarnation, pending)["messages"]?
                .integer)
        #expect(sent == Int64(count))
        #expect(try await fromB["sent"] == .init(count))
        // Each hears the other's pings and the echoes of its own.
        let wished = Int64(2 * count)
        let a = try await mesh.ask("result", "a", incarnation: incarnation) {
            received($0, "b -> a") == wished
        }
        let b = try await mesh.ask("result", "b") { received($0, "a -> b") == wished }
        #expect(received(a, "b -> a") == wished && received(b, "a -> b") == wished)
        let status = try await mesh.command("status", to: "a", incarnation: incarnation)
        #expect(status["gaps"] == 0 && status["dropped"] == 0 && status["late"] == 0)
        #expect(try await unmoved(count) == b["received"]?["a -> b"])
    }

    @Test("An agent whose broker died stays answerable; its load waits, and can be taken elsewhere")
    func brokerDies() async throws {
        let server = try NATSServer()
        let mesh = try LiveMesh(nats: server.url)
        try await mesh.startBranch(["a", "b"])
        try await mesh.startAgent("b", [:])
        try await mesh.startAgent("a", ["to": ["b"]], transport: .nats)
        async let load = mesh.command("load", to: "a", ["count": 1_000_000, "rate": 2_000])
        _ = try await mesh.ask("status", "a") { ($0["sent"]?["b"]?.integer ?? 0) > 400 }
        server.stop()
        // Until its library has noticed, a few more are sent and dropped.
        let status = try await mesh.ask("status", "a") { status in status["connected"] == false }
        #expect(status["loading"] == true)
        let began = ContinuousClock.now
        let drained = try await mesh.command("drain", to: "a")
        #expect(ContinuousClock.now - began < .seconds(10))
        #expect(drained["outbound_complete"] == false)
        let done = try await load
        #expect(done["unfinished"] == true)
        let unfinished = try #require(drained["unfinished_loads"]?.array?.first)
        let messages = try #require(done["messages"]?.integer)
        #expect(unfinished["start"]?.integer == messages)
        #expect(unfinished["count"]?.integer == 1_000_000 - messages)
        #expect(try await mesh.command("stop", to: "a")["sealed"] == true)
        #expect(try await mesh.exitCode(of: "a.1") == 0)
    }

    @Test("A planted fault of the settings reaches the client", arguments: ["lose", "repeat"])
    func defects(name: String) async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["a", "b"])
        try await mesh.startAgent("b", [:])
        try await mesh.startAgent(
            "a", ["to": ["b"], "defects": .object([name: 10, "on": "zmq"])])
        _ = try await mesh.command("load", to: "a", ["count": 100])
        let status = try await mesh.ask("status", "b") { status in
            (status["repeats"]?.integer ?? 0) + (status["gaps"]?.integer ?? 0) >= 9
        }
        // Nobody learns of a loss at the very end.
        #expect(
            name == "lose" ? status["gaps"] == 9 : (status["repeats"]?.integer ?? 0) >= 9)
    }

    /// What `b` receives from an `a` that never moves.
    private func unmoved(_ count: Int) async throws -> Value? {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["a", "b"])
        try await mesh.startAgent("b", ["to": ["a"]])
        try await mesh.startAgent("a", ["to": ["b"]])
        for name in ["a", "b"] {
            _ = try await mesh.command("load", to: name, ["count": .init(count), "type": "ping"])
        }
        let result = try await mesh.ask("result", "b") {
            received($0, "a -> b") == Int64(2 * count)
        }
        return result["received"]?["a -> b"]
    }

    @Test("A cloud of 20 MB goes from the camera to the mesh, and its summary comes back")
    func clouds() async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["camera", "mesh", "stranger"])
        try await mesh.startAgent("mesh", kind: "mesh", [:])
        try await mesh.startAgent(
            "camera", kind: "camera",
            ["to": ["mesh"], "scene": ["points": 1_700_000, "shape": "torus"]])
        #expect(try await mesh.command("load", to: "camera", ["count": 2])["sent"] == 2)
        let camera = try await mesh.ask("result", "camera") { $0["confirmed"] == 2 }
        #expect(camera == ["awaited": 0, "confirmed": 2, "sent": 2])
        // Something that is no cloud changes nothing.
        try await mesh.startAgent("stranger", ["to": ["mesh"]])
        _ = try await mesh.command(
            "load", to: "stranger", ["count": 3, "type": "pointcloud_direct"])
        let result = try await mesh.ask("result", "mesh") { $0["malformed_count"] == 3 }
        #expect(result["malformed_count"] == 3 && result["cloud_count"] == 2)
        let first = try #require(result["clouds"]?.array?.first)
        #expect(first["source"] == "camera" && first["sequence"] == 1)
        #expect(first["points"] == 1_700_000)
        #expect(result["malformed"]?.array?.first?["reason"]?.string?.contains("SMPC") == true)
    }
}
