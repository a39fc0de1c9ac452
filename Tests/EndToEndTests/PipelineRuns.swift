import Foundation
import JSON
import Testing

/// The photogrammetry line, played as a user plays it.
@Suite(.serialized) struct PipelineRuns {
    /// What an agent reported at the end of a run.
    private static func last(_ agent: String, in run: String) throws -> Value {
        let text = try String(contentsOfFile: "\(run)/results.json", encoding: .utf8)
        return try #require(try Value(parsing: text).array?.last?.at("agents", agent))
    }

    /// The clouds of the mesh, without the incarnations of who sent them.
    private static func surfaces(in run: String) throws -> [Value] {
        let clouds = try #require(try last("mesh", in: run).at("clouds")?.array)
        return clouds.map { cloud in
            var members = cloud.object ?? [:]
            members["incarnation"] = nil
            members["sequence"] = nil
            return .object(members)
        }.sorted { ($0["scene"]?.integer ?? 0) < ($1["scene"]?.integer ?? 0) }
    }

    @Test(
        "moved in the middle of its scenes, the line finds what it finds where nothing moves",
        .timeLimit(.minutes(5)))
    func pipeline() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/point-cloud-pipeline.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        #expect(verdict["moves"]?.array?.map { $0["agent"] } == ["dense", "mesh", "features-0"])
        // 12 scenes: three views to dense and two to features, merged, keypoints and surfaces told.
        #expect(verdict.count("comparison", "match") == 240)
        for name in ["payload", "missing", "extra", "duplicate", "reordered"] {
            #expect(verdict.count("comparison", name) == 0, "\(name)")
        }
        func run(_ verdict: Value) throws -> String {
            let name = try #require(verdict["run"]?.string)
            return "\(folder.path)/point-cloud-pipeline/\(name)"
        }
        let moved = try run(verdict)
        // The same loads; nothing moves.
        let still = try folder.scenario(
            "point-cloud-pipeline",
            replacing: [
                ("canary:\n      agent: dense\n", "baseline:\n"),
                ("rollout:\n      order: [mesh, features-0]\n", "baseline:\n"),
                ("  - parallel_run:\n      mode: twin\n      load: *views\n", ""),
                (
                    "steps:\n",
                    "steps:\n  # One more: a rollout loads each agent's move.\n"
                        + "  - baseline: { load: { camera-0: { count: 12, rate: 20 }, "
                        + "camera-1: { count: 12, rate: 20 }, "
                        + "camera-2: { count: 12, rate: 20 } } }\n"
                ),
            ])
        let (other, calm) = try Program.play(still, in: folder)
        #expect(other.exitCode == 0, "\(other.errors)")
        #expect(calm["moves"]?.array?.isEmpty == true)
        let unmoved = try run(calm)
        let surfaces = try Self.surfaces(in: moved)
        #expect(surfaces.count == 48)
        #expect(surfaces == (try Self.surfaces(in: unmoved)))
        for surface in surfaces {
            let area = try #require(surface["area"]?.double)
            #expect(abs(area / (4 * .pi * .pi * 0.35) - 1) < 0.03, "\(area)")
        }
        for agent in ["dense", "features-0", "features-1"] {
            let (one, two) = (try Self.last(agent, in: moved), try Self.last(agent, in: unmoved))
            #expect(one == two, "\(agent)")
        }
        let dense = try Self.last("dense", in: moved)
        #expect(dense["set_count"] == 48 && dense["evicted_count"] == 0 && dense["open"] == [])
    }

    @Test(
        "a camera whose file cannot be used ends the run at once; its log has file, place and reason",
        .timeLimit(.minutes(2)))
    func malformedFile() throws {
        let folder = try TemporaryFolder()
        let good = try Data(
            contentsOf: URL(filePath: "\(Program.repository)/scenarios/data/terrain-binary.ply"))
        let file = "\(folder.path)/cut.ply"
        try good.dropLast(100).write(to: URL(filePath: file))
        let scenario = try folder.scenario(
            "point-cloud", replacing: [],
            inTopology: [("../scenarios/data/terrain-binary.ply", file)])
        let ending = try Program.run("run", scenario, "--logs", folder.path, in: folder)
        #expect(ending.exitCode == 3, "\(ending.errors)")
        #expect(ending.errors.contains("exited with code 2"), "\(ending.errors)")
        let log = try String(
            contentsOfFile: folder.latest("point-cloud") + "/processes/camera.log",
            encoding: .utf8)
        #expect(ending.errors.contains("camera.log"))
        #expect(log.contains("\(file): cannot read the PLY (truncated): byte "), "\(log)")
    }
}
