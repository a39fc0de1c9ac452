import Foundation
import JSON
import PointClouds
import TestSupport
import Testing

private let folder = URL(filePath: #filePath).deletingLastPathComponent()
private let data = folder.deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "scenarios/data")

/// What the script says: for each file, points, smallest and largest coordinates.
private func report(_ arguments: [String]) throws -> [String: Value] {
    let script = folder.appending(path: "plyfile_report.py").path
    let output = try output(of: ["python3", script] + arguments)
    return try #require(try Value(parsing: output).object)
}

private func expect(_ path: String, _ expected: Value) throws {
    let cloud = try PLY.read(Array(try Data(contentsOf: URL(filePath: path))))
    let json = CloudSummary(cloud, content: CloudContent.encode(cloud)).json
    #expect(json["points"] == expected["points"], "\(path)")
    for corner in ["minimum", "maximum"] {
        let ours = try #require(json["bounding_box"]?[corner]?.array).map(\.double)
        let theirs = try #require(expected[corner]?.array).map(\.double)
        #expect(ours == theirs, "\(corner) of \(path)")
    }
}

private func withFolder(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "ply-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: path) }
    try body(path.path)
}

@Test("Files that plyfile wrote have the count and the box that plyfile reports")
func writtenByPlyfile() throws {
    try withFolder { folder in
        let files = try report(["write", folder])
        #expect(files.count == 14)
        for (path, expected) in files { try expect(path, expected) }
    }
}

@Test("Files that we wrote have the count and the box that plyfile reports")
func writtenByUs() throws {
    try withFolder { folder in
        var paths: [String] = []
        for shape in Scene.Shape.allCases {
            let cloud = Scene(shape: shape, points: 500, seed: 9).cloud()
            guard case .single(let values) = cloud.coordinates else { continue }
            let wide = PointCloud(.double(values.map { Double($0) * 1e5 + 0.1 }))
            for (name, bytes) in [
                ("ascii", PLY.ascii(cloud)), ("binary", PLY.binary(cloud)),
                ("wide-ascii", PLY.ascii(wide)), ("wide-binary", PLY.binary(wide, comment: "wide")),
            ] {
                paths.append("\(folder)/\(shape.rawValue)-\(name).ply")
                try Data(bytes).write(to: URL(filePath: paths[paths.count - 1]))
            }
        }
        for (path, expected) in try report(["read"] + paths) { try expect(path, expected) }
    }
}

@Test(
    "The shipped files are what their scenes make, and what plyfile reports",
    arguments: [
        ("torus-ascii.ply", Scene(shape: .torus, points: 1_400, seed: 7)),
        ("terrain-binary.ply", Scene(shape: .terrain, points: 4_000, seed: 7)),
    ])
func shipped(name: String, scene: Scene) throws {
    let path = data.appending(path: name).path
    let cloud = try PLY.read(Array(try Data(contentsOf: URL(filePath: path))))
    #expect(cloud == scene.cloud())
    try expect(path, try #require(try report(["read", path])[path]))
}
