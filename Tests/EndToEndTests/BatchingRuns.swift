import Foundation
import JSON
import Testing

/// Batches, through moves of everybody, by the built program.
@Suite(.serialized) struct BatchingRuns {
    @Test("batched load through moves of sender, receiver and subscriber", .timeLimit(.minutes(5)))
    func moves() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/batching.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass", "\(verdict["reason"]?.string ?? "")")
        #expect(verdict["outcome"] == "rolled_back")
        ScenarioRuns.expectClean(verdict)
        // Envelopes, not batches: 12,000 pings, as many echoes, and 12,000 on the topic.
        #expect(try #require(verdict.count("delivery", "sent")) >= 36_000)
        for name in ["payload", "missing", "extra", "duplicate", "reordered"] {
            #expect(verdict.count("comparison", name) == 0, "\(name)")
        }
        #expect(try #require(verdict.count("comparison", "match")) >= 1_000)
    }

    @Test("a loss within a batch is found, and named by its sequence", .timeLimit(.minutes(5)))
    func loses() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "batching",
            replacing: [("expect: [pass, rolled_back]\n", "")],
            inTopology: [
                (
                    "settings: { to: [receiver], topics: [load.numbers] }",
                    "settings: { to: [receiver], topics: [load.numbers], defects: { lose: 777 } }"
                )
            ])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        let lost = try #require(verdict.count("delivery", "unexplained", "lost"))
        #expect(lost > 0)
        let findings = (verdict["findings"]?.array ?? []).filter { $0["class"] == "lost" }
        #expect(findings.count == Int(lost))
        #expect(findings.allSatisfy { $0["sequence"]?.integer != nil })
    }
}
