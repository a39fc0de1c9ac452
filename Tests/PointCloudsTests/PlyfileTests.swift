import Foundation
import JSON
import PointClouds
import Randomness
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
    let json = try summary(of: cloud).json
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
        #expect(files.count == 21)
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

@Test("Real files are read as plyfile reads them, and refused where plyfile refuses them")
func realFiles() throws {
    let files = try report(["real"])
    var (read, refused) = (0, 0)
    for (path, expected) in files {
        guard let error = expected["error"]?.string else {
            try expect(path, expected)
            read += 1
            continue
        }
        let bytes = Array(try Data(contentsOf: URL(filePath: path)))
        #expect(throws: PLYError.self, "plyfile says \(error)") { try PLY.read(bytes) }
        refused += 1
    }
    #expect(read >= 8 && refused >= 3, "\(files.keys)")
}

@Test("1,000 mutated real files: what we read, plyfile reads the same; the rest has an error")
func mutatedRealFiles() throws {
    let originals = try report(["real"]).sorted { $0.key < $1.key }
        .filter { $0.value["error"] == nil }
        .map { Array(try Data(contentsOf: URL(filePath: $0.key))) }
    var generator = SplitMix64(seed: 1_000)
    try withFolder { folder in
        var accepted: [String] = []
        for number in 0..<1_000 {
            var bytes = originals[number % originals.count]
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                mutate(&bytes, &generator)
            }
            do throws(PLYError) {
                _ = try PLY.read(bytes)
            } catch {
                #expect(!error.reason.isEmpty && !error.remedy.isEmpty)
                #expect("\(error)".contains("\(error.location): "))
                continue
            }
            let path = "\(folder)/\(number).ply"
            try Data(bytes).write(to: URL(filePath: path))
            accepted.append(path)
        }
        #expect(accepted.count > 100 && accepted.count < 900, "\(accepted.count)")
        for (path, expected) in try report(["read"] + accepted) {
            // Stricter or laxer in what it makes of bytes that are no number of any kind.
            if expected["error"] != nil { continue }
            try expect(path, expected)
        }
    }
}

/// Alters the header or the data, mostly where few bytes say much.
private func mutate(_ bytes: inout [UInt8], _ generator: inout SplitMix64) {
    let reach = Bool.random(using: &generator) ? min(bytes.count, 400) : bytes.count
    let place = Int.random(in: 0..<reach, using: &generator)
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
    case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
    case 2: bytes.removeSubrange(place...)
    case 3: bytes.removeSubrange(place..<min(place + 4, bytes.count))
    case 4: bytes.insert(UInt8.random(in: 0x20...0x39, using: &generator), at: place)
    default: bytes.insert(contentsOf: bytes[place..<min(place + 6, bytes.count)], at: place)
    }
    if bytes.isEmpty { bytes = [0] }
}
