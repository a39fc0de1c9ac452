import Foundation
import JSON
import Testing

/// Both families of agents on one mesh, as `scenarios/photogrammetry-and-thoughts.yaml` has them.
@Suite(.serialized) struct MixedRuns {
    private static let puzzlesAStep = 10
    private static let scenesAStep = 6

    @Test(
        "clouds and puzzles come out the same on both transports, before and after every move",
        .timeLimit(.minutes(5)))
    func photogrammetryAndThoughts() throws {
        let folder = try TemporaryFolder()
        // A tenth of the cloud: still beyond the threshold, and beyond what NATS carries.
        let scenario = try folder.scenario(
            "photogrammetry-and-thoughts", replacing: [],
            inTopology: [("points: 9000000", "points: 900000"), ("size: 110MB", "size: 11MB")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass")
        #expect(verdict["outcome"] == "promoted")
        ScenarioRuns.expectClean(verdict)
        for name in ["payload", "missing", "extra", "duplicate", "reordered"] {
            #expect(verdict.count("comparison", name) == 0, "\(name)")
        }
        #expect(verdict["moves"]?.array?.count == 14)

        let run = folder.latest("photogrammetry-and-thoughts")
        let text = try String(contentsOfFile: "\(run)/results.json", encoding: .utf8)
        let steps = try #require(try Value(parsing: text).array)
        #expect(steps.count == 10)
        let work = try steps.map { try Self.work(of: $0) }
        let first = try #require(work.first)
        #expect(first.puzzles.contains { $0["answer"] == .null })
        #expect(first.clouds.contains { $0["points"] == 900_000 })
        #expect(first.clouds.count == Self.scenesAStep + 1)
        for (step, done) in zip(steps, work) {
            let name = step["step"]?.string ?? ""
            #expect(done.puzzles == first.puzzles, "\(name)")
            #expect(done.clouds == first.clouds, "\(name)")
        }
    }

    /// What was found out in one step, without where and when: results count from the mesh's start.
    private static func work(of step: Value) throws -> (puzzles: [Value], clouds: [Value]) {
        func without(_ names: Set<String>, _ entry: Value) -> Value {
            .object((entry.object ?? [:]).filter { !names.contains($0.key) })
        }
        let puzzles = try #require(step.at("agents", "coordinator", "puzzles")?.array)
        let clouds = try #require(step.at("agents", "mesh", "clouds")?.array)
        // The digest of a merged cloud covers its scene's number, which goes on.
        let merged = clouds.filter { $0["source"] == "dense" }
            .sorted { ($0["scene"]?.integer ?? 0) < ($1["scene"]?.integer ?? 0) }
            .suffix(scenesAStep)
            .map { without(["incarnation", "sequence", "scene", "digest"], $0) }
        let surveys = clouds.filter { $0["source"] == "survey" }
            .map { without(["incarnation", "sequence"], $0) }
        // Each of them is the same cloud.
        #expect(Set(surveys).count == 1)
        return (
            puzzles.suffix(puzzlesAStep).map { without(["puzzle", "rounds"], $0) },
            merged + surveys.suffix(1)
        )
    }
}
