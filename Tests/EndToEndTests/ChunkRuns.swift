import Foundation
import JSON
import Testing

/// Contents that no single message of the NATS server carries.
@Suite(.serialized) struct ChunkRuns {
    @Test("clouds larger than max_payload move to NATS in chunks", .timeLimit(.minutes(5)))
    func promoted() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/large-clouds.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["outcome"] == "promoted")
        ScenarioRuns.expectClean(verdict)
        #expect(try #require(verdict.count("comparison", "match")) > 0)
    }

    /// What leaves the scenario's first step alone, and no expectation.
    private static let oneStep = [
        ("  - parallel_run: { mode: dual, load: { camera: { count: 5, rate: 20 } } }\n", ""),
        ("  - canary: { agent: mesh, load: { camera: { count: 10, rate: 20 } } }\n", ""),
        ("  - cutover: { load: { camera: { count: 5, rate: 20 } } }\n", ""),
        ("expect: promoted\n", ""),
    ]

    @Test(
        "a chunk that is lost or altered is never a pass, and the cloud is named",
        .timeLimit(.minutes(5)), arguments: ["lose_chunk", "alter_chunk"])
    func broken(defect: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "large-clouds",
            replacing: Self.oneStep,
            inTopology: [("shape: torus }", "shape: torus }, defects: { \(defect): 7 }")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode != 0)
        #expect(verdict["verdict"] == "fail")
        #expect(try #require(verdict.count("delivery", "lost")) > 0)
        ScenarioRuns.expectNoLeaks(verdict)
    }

    @Test("without chunks the same clouds are refused, which is no pass", .timeLimit(.minutes(5)))
    func refused() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "large-clouds",
            replacing: Self.oneStep,
            inTopology: [("max_payload: 1MB", "max_payload: 1MB, chunking: false")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode != 0)
        #expect(verdict["verdict"] != "pass")
    }
}
