import Foundation
import JSON
import Testing

/// Runs that must not end green: each was once, or could have been, a verdict that nobody may trust.
@Suite(.serialized) struct HonestyRuns {
    private static let load = "{ pinger: { type: ping, count: 300, rate: 1500, size: 64 } }"

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Put before `steps`.
        var head = ""
        let steps: [String]
        /// What replaces `main: {}` in the topology.
        var server = "main: {}"
        let verdict: String
        let outcome: String
        let reason: String
    }

    static let cases = [
        Case(
            testDescription: "a cutover that was taken back is not promoted",
            head: "expect: promoted",
            steps: ["cutover: { load: \(load) }", "rollback: { load: \(load) }"],
            verdict: "pass", outcome: "rolled_back", reason: ""),
        Case(
            testDescription: "what NATS refuses was not compared",
            steps: [
                "parallel_run: { mode: dual, load: { pinger: { count: 50, size: 10KB } } }"
            ], server: "main: { max_payload: 2KB, chunking: false }",
            verdict: "inconclusive", outcome: "aborted", reason: "could not go over the other"),
        Case(
            testDescription: "a fault that touched nothing shows nothing",
            steps: [
                "baseline: { load: \(load), faults: [{ stop: mesh, after: 1s, for: 100ms }] }"
            ],
            verdict: "inconclusive", outcome: "aborted", reason: "touched nothing"),
        Case(
            testDescription: "no traffic is no pass",
            steps: ["baseline"],
            verdict: "inconclusive", outcome: "aborted", reason: "No traffic"),
        Case(
            testDescription: "a server that dies in a parallel run is a verdict, not a crash",
            steps: [
                "parallel_run: { mode: dual, load: { pinger: { count: 1000, rate: 1000 } }, "
                    + "faults: [{ kill: main, after: 300ms }] }"
            ],
            verdict: "fail", outcome: "aborted", reason: "by injected fault kill-1"),
        Case(
            testDescription: "a step that cannot be judged is no pass, even where the run goes on",
            head: "inconclusive: continue",
            steps: ["baseline", "canary: { agent: echo, load: \(load) }"],
            verdict: "inconclusive", outcome: "completed", reason: "No traffic"),
    ]

    @Test("no wrong green", .timeLimit(.minutes(5)), arguments: cases)
    func honest(_ item: Case) throws {
        let folder = try TemporaryFolder()
        let topology = try String(
            contentsOfFile: "\(Program.repository)/topologies/twin-mesh.yaml", encoding: .utf8)
        _ = try folder.write(topology.replacing("main: {}", with: item.server), to: "mesh.yaml")
        let steps = item.steps.map { "  - \($0)\n" }.joined()
        let scenario = try folder.write(
            "synmesh: 1\ntopology: mesh.yaml\n\(item.head)\nsteps:\n\(steps)", to: "honest.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"]?.string == item.verdict)
        #expect(verdict["outcome"]?.string == item.outcome)
        let reason = verdict["reason"]?.string ?? ""
        #expect(item.reason.isEmpty || reason.contains(item.reason), "\(reason)")
        ScenarioRuns.expectNoLeaks(verdict)
    }

    /// What a program that speaks only the seed's wire does with a ping, beside answering it.
    struct Misbehaviour: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let script: String
        let reason: String
    }

    static let misbehaviours = [
        Misbehaviour(
            testDescription: "messages that nobody can read are in no count",
            script: "socket.send(b'{\"from\": \"old\", nonsense')",
            reason: "messages of 'old' could not be read"),
        Misbehaviour(
            testDescription: "a program without a history takes what it had not read with it",
            script: """
                if not os.path.exists("gone"):
                            open("gone", "w").close()
                            os._exit(3)
                """,
            reason: "'old' keeps no history"),
        Misbehaviour(
            testDescription: "a program that opens its connection again loses what the first held",
            script: """
                if message["content"]["n"] == 20:
                            socket.close(1000)
                            socket = connect()
                """,
            reason: "'old' closed its connection to core"),
        Misbehaviour(
            testDescription: "what a proxy could not record is in no count",
            // Each type takes two channels of its history, which has 65,535; the annotations, the
            // pings and their answers take an odd number, so that no type is recorded by half.
            script: """
                left, open = (0, 0) if seen else (40000, 40000)
                        while open:
                            if left:
                                send("old", "t%d" % left, left)
                                left -= 1
                            while socket.poll(0 if left else 1000):
                                socket.recv()
                                open -= 1
                """,
            reason: "core could not record"),
    ]

    @Test("no green without all of the evidence", .timeLimit(.minutes(5)), arguments: misbehaviours)
    func evidence(_ item: Misbehaviour) throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(
            """
            import json, os, zmq
            def connect():
                socket = zmq.Context.instance().socket(zmq.DEALER)
                socket.setsockopt_string(zmq.IDENTITY, "old")
                socket.setsockopt(zmq.SNDHWM, 0)
                socket.setsockopt(zmq.RCVHWM, 0)
                socket.connect(os.environ["SYNMESH_BRANCH_ENDPOINT"])
                return socket
            socket = connect()
            def send(to, type, content):
                message = {"from": "old", "to": to, "type": type, "content": content}
                socket.send(json.dumps(message).encode())
            seen = False
            while True:
                message = json.loads(socket.recv())
                if message["type"] == "ping":
                    send(message["from"], "echo", message["content"])
                    \(item.script)
                    seen = True
            """, to: "old.py")
        _ = try folder.write(
            """
            synmesh: 1
            branches: { core: {} }
            agents:
              pinger: { kind: probe, settings: { to: [old] } }
              old: { command: [python3, old.py], wire: json, restart: { policy: on_failure } }
            """, to: "mesh.yaml")
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            expect: inconclusive
            steps:
              - baseline: { load: { pinger: { type: ping, count: 300, rate: 60, size: 64 } } }
            """, to: "evidence.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "inconclusive")
        let reason = verdict["reason"]?.string ?? ""
        #expect(reason.contains(item.reason), "\(reason)")
        let findings = (verdict["findings"]?.array ?? []).compactMap { $0["reason"]?.string }
        #expect(findings.contains { $0.contains(item.reason) })
        ScenarioRuns.expectClean(verdict)
    }

    @Test(
        "what an agent makes and cannot send over NATS is no green canary",
        .timeLimit(.minutes(5)))
    func tooLargeToSend() throws {
        let folder = try TemporaryFolder()
        // Every view fits into a message of the server, and what they are merged to does not.
        let cameras = (0..<2).map { view in
            """
              camera-\(view):
                kind: camera
                settings: { to: [dense], scene: { points: 2500, shape: torus }, view: \(view), views: 2 }
                depends_on: [dense]
            """
        }.joined(separator: "\n")
        _ = try folder.write(
            """
            synmesh: 1
            nats: { main: { max_payload: 64KiB, chunking: false } }
            branches: { core: {} }
            agents:
            \(cameras)
              dense: { kind: dense, settings: { to: [mesh], voxel: 0.0005 }, depends_on: [mesh] }
              mesh: { kind: mesh }
            """, to: "mesh.yaml")
        let load = "{ load: { camera-0: { count: 4, rate: 20 }, camera-1: { count: 4, rate: 20 } }"
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            expect: inconclusive
            steps:
              - baseline: \(load) }
              - canary: \(load), agent: dense }
            """, to: "large.yaml")
        try expectUnsent(scenario, in: folder)
    }

    /// The baseline passes; in the canary something could not be sent, so nothing is proven.
    private func expectUnsent(_ scenario: String, in folder: TemporaryFolder) throws {
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        let steps = verdict["steps"]?.array ?? []
        #expect(steps.map { $0["verdict"]?.string } == ["pass", "inconclusive"])
        let reason = steps.last?["reason"]?.string ?? ""
        #expect(reason.contains("could not be sent"), "\(reason)")
        ScenarioRuns.expectClean(verdict)
    }

    @Test(
        "what a Python agent cannot send is on record, whatever it makes of the error",
        .timeLimit(.minutes(5)))
    func tooLargeForPython() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(
            """
            import sys
            sys.path.insert(0, "\(Program.repository)/agents/python")
            from synmesh import Agent, BINARY, run

            class Large(Agent):
                async def handle(self, message):
                    try:
                        await self.send(message.source, "large", bytes(100_000), BINARY, message)
                    except ValueError:
                        pass

            run(Large)
            """, to: "large.py")
        _ = try folder.write(
            """
            synmesh: 1
            nats: { main: { max_payload: 64KiB, chunking: false } }
            branches: { core: {} }
            agents:
              pinger: { kind: probe, settings: { to: [large] }, depends_on: [large] }
              large: { command: [python3, large.py], contract: full, history: own }
            """, to: "mesh.yaml")
        let load = "{ load: { pinger: { type: ping, count: 100, rate: 200 } }"
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: mesh.yaml
            expect: inconclusive
            steps:
              - baseline: \(load) }
              - canary: \(load), agent: large }
            """, to: "large.yaml")
        try expectUnsent(scenario, in: folder)
    }

    @Test("a latency limit judges only steps that have both transports", .timeLimit(.minutes(5)))
    func latencyLimit() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "there-and-back",
            replacing: [
                ("expect: [pass, rolled_back]", "limits: { latency_p50_ratio: 0.01 }"),
                ("steps:\n", "steps:\n  - baseline: { load: \(Self.load) }\n"),
            ])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        let steps = verdict["steps"]?.array ?? []
        #expect(steps.first?["verdict"] == "pass")
        #expect(verdict["verdict"] == "fail")
        #expect(verdict["reason"]?.string?.contains("median latency") == true)
    }

    @Test("a latency limit that no step could be held to is no pass", .timeLimit(.minutes(5)))
    func idleLatencyLimit() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: \(Program.repository)/topologies/ping.yaml
            limits: { latency_p99_ratio: 2 }
            steps:
              - baseline: { load: { pinger: { type: ping, count: 300, rate: 600, size: 64 } } }
            """, to: "idle.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "inconclusive")
        #expect(verdict["reason"]?.string?.contains("ratio of latencies") == true)
    }
}
