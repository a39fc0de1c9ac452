import Foundation
import JSON
import TestSupport
import Testing
import Wire

@Suite("The photogrammetry line, as processes among real proxies", .timeLimit(.minutes(2)))
struct LineTests {
    private static let agents = ["camera-0", "camera-1", "camera-2", "features", "dense", "mesh"]

    private static func camera(_ view: Int) -> Value {
        [
            "to": view == 0 ? ["features"] : ["dense"], "view": .init(view), "views": 3,
            "scene": ["points": 3_000, "shape": "torus"],
        ]
    }

    private static func start(_ mesh: LiveMesh) async throws {
        try await mesh.startBranch(agents)
        try await mesh.startAgent("mesh", kind: "mesh", [:])
        try await mesh.startAgent("dense", kind: "dense", denseSettings)
        try await mesh.startAgent(
            "features", kind: "features", ["forward": ["dense"], "voxel": 0.1])
        for view in 0..<3 {
            try await mesh.startAgent("camera-\(view)", kind: "camera", camera(view))
        }
    }

    private static let denseSettings: Value = ["to": ["mesh"], "views": 3, "voxel": 0.1]

    private static func send(_ mesh: LiveMesh, _ view: Int, _ count: Int, start: Int = 0)
        async throws
    {
        let done = try await mesh.command(
            "load", to: "camera-\(view)", ["count": .init(count), "start": .init(start)])
        #expect(done["sent"] == .init(count))
    }

    /// What the mesh says of the clouds it got, without the incarnations of who sent them.
    private static func summaries(_ result: Value) -> [Value] {
        (result["clouds"]?.array ?? []).map { cloud in
            var members = cloud.object ?? [:]
            members["incarnation"] = nil
            members["sequence"] = nil
            return .object(members)
        }
    }

    @Test(
        "Views are merged to one surface, forwarded ones among them; malformed ones change nothing")
    func line() async throws {
        let mesh = try LiveMesh()
        try await Self.start(mesh)
        // The other way round, and one after the other.
        for view in [2, 1, 0] { try await Self.send(mesh, view, 3) }
        let result = try await mesh.ask("result", "mesh") { $0["cloud_count"] == 3 }
        let clouds = result["clouds"]?.array ?? []
        #expect(clouds.map { $0["scene"] } == [0, 1, 2])
        for cloud in clouds {
            let area = try #require(cloud["area"]?.double)
            #expect(abs(area / (4 * .pi * .pi * 0.35) - 1) < 0.05, "\(area)")
            #expect((cloud["triangles"]?.integer ?? 0) > 1_000)
            #expect(cloud["source"] == "dense")
        }
        let dense = try await mesh.command("result", to: "dense")
        #expect(dense["set_count"] == 3 && dense["open"] == [] && dense["evicted_count"] == 0)
        #expect(dense["sets"]?.array?.map { $0["digest"] } == clouds.map { $0["digest"] })
        #expect(dense["sets"]?.array?.allSatisfy { $0["measured"] == 9_000 } == true)
        let features = try await mesh.command("result", to: "features")
        let tally = features["flows"]?["camera-0"]
        #expect(tally?["clouds"] == 3 && (tally?["keypoints"]?.integer ?? 0) > 0)
    }

    @Test("Moved between the views of its scenes, a dense goes on as if it had not been")
    func moved() async throws {
        let server = try NATSServer.shared.get()
        var results: [[Value]] = []
        for isMoved in [false, true] {
            let mesh = try LiveMesh(nats: server.url)
            try await Self.start(mesh)
            for view in [0, 1] { try await Self.send(mesh, view, 4) }
            let waiting = try await mesh.ask("result", "dense") { result in
                result["open"]?.array?.filter { $0["missing"] == [2] }.count == 4
            }
            #expect(waiting["open"]?.array?.count == 4)
            var incarnation: UInt32 = 1
            if isMoved {
                _ = try await mesh.branch("hold", ["agent": "dense", "topics": []])
                let drained = try await mesh.command("drain", to: "dense")
                _ = try await mesh.command("stop", to: "dense")
                incarnation = 2
                try await mesh.startAgent(
                    "dense", kind: "dense", Self.denseSettings, incarnation: 2, transport: .nats,
                    state: drained["state"])
                _ = try await mesh.branch(
                    "release", ["agent": "dense", "transport": "nats", "epoch": 2])
            }
            try await Self.send(mesh, 2, 4)
            let result = try await mesh.ask("result", "mesh") { $0["cloud_count"] == 4 }
            results.append(Self.summaries(result))
            let dense = try await mesh.command("result", to: "dense", incarnation: incarnation)
            #expect(dense["set_count"] == 4 && dense["evicted_count"] == 0)
        }
        #expect(results[0].count == 4)
        #expect(results[0] == results[1])
    }

    @Test("More open sets than there is room for: the oldest is given up, counted and named")
    func evicted() async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["camera", "dense"])
        try await mesh.startAgent("dense", kind: "dense", ["voxel": 0.1, "sets": 2])
        try await mesh.startAgent(
            "camera", kind: "camera",
            [
                "to": ["dense"], "view": 1, "views": 2,
                "scene": ["points": 100, "shape": "sphere"],
            ])
        _ = try await mesh.command("load", to: "camera", ["count": 5])
        let result = try await mesh.ask("result", "dense") { $0["evicted_count"] == 3 }
        #expect(result["open"]?.array?.map { $0["scene"] } == [3, 4])
        let evicted = result["evicted"]?.array ?? []
        #expect(evicted.map { $0["scene"] } == [0, 1, 2])
        #expect(evicted.allSatisfy { $0["missing"] == [0] })
        #expect(await mesh.log(of: "dense.1").contains("scene 0 is given up, views [0] never came"))
    }

    @Test("What is no cloud is refused, named and answered by every kind, and loses nothing else")
    func refused() async throws {
        let mesh = try LiveMesh()
        try await mesh.startBranch(["stranger", "camera", "features", "dense", "mesh"])
        try await mesh.startAgent("mesh", kind: "mesh", ["voxel": 0.1])
        try await mesh.startAgent("dense", kind: "dense", ["voxel": 0.1, "views": 2])
        try await mesh.startAgent("features", kind: "features", ["forward": ["mesh"]])
        let all: Value = ["features", "dense", "mesh"]
        try await mesh.startAgent("stranger", ["to": all])
        _ = try await mesh.command(
            "load", to: "stranger", ["count": 3, "type": "pointcloud_direct"])
        // A cloud without a view, where a set has two.
        try await mesh.startAgent(
            "camera", kind: "camera", ["to": all, "scene": ["points": 5_000]])
        _ = try await mesh.command("load", to: "camera", ["count": 2])
        let summed = try await mesh.ask("result", "mesh") { $0["cloud_count"] == 4 }
        #expect(summed["malformed_count"] == 3)
        #expect(summed["clouds"]?.array?.allSatisfy { $0["points"] == 5_000 } == true)
        let dense = try await mesh.ask("result", "dense") { $0["malformed_count"] == 5 }
        #expect(
            dense["malformed"]?.array?.last?["reason"]?.string?.contains("the setting 'views' is 2")
                == true)
        let features = try await mesh.ask("result", "features") { $0["malformed_count"] == 3 }
        #expect(features["flows"]?["camera"]?["clouds"] == 2)
        let camera = try await mesh.ask("result", "camera") {
            $0["refused"] == 2 && $0["confirmed"] == 2
        }
        #expect(camera["mismatched"] == nil)
    }

    @Test("Real PLY files go in at a camera and come out at the mesh with plyfile's count and box")
    func realFiles() async throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "PointCloudsTests/plyfile_report.py").path
        let report = try Value(parsing: try output(of: ["python3", script, "real"]))
        let files = (report.object ?? [:]).sorted { $0.key < $1.key }
        let good = files.filter { $0.value["error"] == nil }
        let mesh = try LiveMesh()
        try await mesh.startBranch(["mesh"] + files.indices.map { "camera-\($0)" })
        try await mesh.startAgent("mesh", kind: "mesh", [:])
        for (index, file) in files.enumerated() {
            let name = "camera-\(index)"
            let settings: Value = ["to": ["mesh"], "cloud": .string(file.key)]
            guard file.value["error"] == nil else {
                try await mesh.launch(name, kind: "camera", settings)
                #expect(try await mesh.exitCode(of: "\(name).1") == 2, "\(file.key)")
                let log = await mesh.log(of: "\(name).1")
                #expect(log.contains("\(file.key): cannot read the PLY"), "\(log)")
                #expect(log.contains(": line ") || log.contains(": byte "), "\(log)")
                continue
            }
            try await mesh.startAgent(name, kind: "camera", settings)
            #expect(try await mesh.command("load", to: name, ["count": 1])["sent"] == 1)
        }
        let result = try await mesh.ask("result", "mesh") {
            $0["cloud_count"] == .init(good.count)
        }
        #expect(good.count >= 8 && result["malformed_count"] == 0)
        for (index, file) in files.enumerated() where file.value["error"] == nil {
            let cloud = result["clouds"]?.array?.first {
                $0["source"] == .string("camera-\(index)")
            }
            #expect(cloud?["points"] == file.value["points"], "\(file.key)")
            for corner in ["minimum", "maximum"] {
                let ours = cloud?["bounding_box"]?[corner]?.array?.map(\.double)
                #expect(ours == file.value[corner]?.array?.map(\.double), "\(file.key)")
            }
        }
    }
}
