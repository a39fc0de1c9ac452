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
            ], server: "main: { max_payload: 2KB }",
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
}
