import Foundation
import PointClouds
import Reconstruction
import Testing

/// The area that the surface of a scene has by its method, by the formula's.
private func ratio(
    _ shape: Scene.Shape, points: Int, voxel: Double, area: Double
) throws -> (area: Double, triangles: Int) {
    let cloud = Scene(shape: shape, points: points, seed: 11).cloud()
    let surface = Surface(Surfels(try grid(cloud, voxel: voxel)))
    return (surface.area / area, surface.triangles)
}

@Test("The area of a sphere approaches 4 pi r^2 as voxels get finer")
func sphere() throws {
    let coarse = try ratio(.sphere, points: 100_000, voxel: 0.3, area: 4 * .pi)
    let fine = try ratio(.sphere, points: 100_000, voxel: 0.1, area: 4 * .pi)
    #expect(abs(coarse.area - 1) < 0.05, "\(coarse)")
    #expect(abs(fine.area - 1) < 0.01, "\(fine)")
    #expect(abs(fine.area - 1) < abs(coarse.area - 1))
    // A plane cuts a cube in one triangle through four, on average in about two.
    #expect(fine.triangles > 2_500 && fine.triangles < 8_000, "\(fine)")
}

@Test("The area of a torus approaches 4 pi^2 R r")
func torus() throws {
    let found = try ratio(.torus, points: 150_000, voxel: 0.06, area: 4 * .pi * .pi * 0.35)
    #expect(abs(found.area - 1) < 0.02, "\(found)")
}

@Test(
    "A plane has its area, however it lies",
    arguments: [(0.0, 0.0), (30, 0), (45, 45), (0, 90), (12, 77)])
func plane(pitch: Double, yaw: Double) throws {
    // A square of 2 by 2, measured at 200 by 200 places.
    var values: [Double] = []
    for index in 0..<40_000 {
        values += [Double(index % 200) / 100 - 0.995, Double(index / 200) / 100 - 0.995, 0]
    }
    let cloud = PointCloud(.double(values))
    var header = CloudHeader(cloud)
    header.pose = Pose(
        position: PointCloud.Point(x: 5.003, y: -7.001, z: 3.0007), yaw: yaw, pitch: pitch)
    let grid = VoxelGrid(voxel: 0.05)
    try add(cloud, header, to: grid)
    let surface = Surface(Surfels(grid))
    // The border's voxels count as a whole: up to one voxel around.
    #expect(surface.area > 3.95 && surface.area < 2.1 * 2.1, "\(surface)")
}

@Test("A merged cloud has the surface that it was merged from, to the precision of its numbers")
func merged() throws {
    let grid = VoxelGrid(voxel: 0.1)
    for part in views(of: Scene(shape: .sphere, points: 60_000, seed: 3), 3) {
        try add(part.cloud, part.header, to: grid)
    }
    let surfels = Surfels(grid)
    let own = Surface(surfels)
    let sent = try content(of: surfels, scene: 7).withUnsafeBytes { bytes in
        let content = try CloudContent(bytes)
        #expect(content.header.scene == 7 && content.header.hasNormals)
        #expect(content.header.spacing == 0.1 && content.header.count == surfels.count)
        return try #require(Surface(content))
    }
    #expect(abs(sent.area / own.area - 1) < 1e-3)
    #expect(abs(own.area / (4 * .pi) - 1) < 0.01, "\(own)")
    #expect(abs(sent.triangles - own.triangles) < 50)
}

@Test("Normals are of length 1, across the surface, and towards the camera that saw it")
func normals() throws {
    let grid = VoxelGrid(voxel: 0.1)
    for part in views(of: Scene(shape: .sphere, points: 50_000, seed: 3), 3) {
        try add(part.cloud, part.header, to: grid)
    }
    let surfels = Surfels(grid)
    var inward = 0
    for (position, normal) in zip(surfels.positions, surfels.normals) {
        let length = (normal.x * normal.x + normal.y * normal.y + normal.z * normal.z).squareRoot()
        #expect(abs(length - 1) < 1e-9)
        // On the unit sphere the position is the direction.
        let cosine = position.x * normal.x + position.y * normal.y + position.z * normal.z
        #expect(abs(cosine) > 0.97)
        if abs(position.z) < 0.8, cosine < 0 { inward += 1 }
    }
    // The cameras stand outside on the equator: they see the poles, and what only a far one
    // measured, from within.
    #expect(inward < surfels.count / 100, "\(inward) of \(surfels.count)")
}

@Test("Points without neighbours, on one line or in one place have no surface, and nothing fails")
func degenerate() throws {
    let line = (0..<900).map { $0 % 3 == 0 ? Double($0) / 30 : 0 }
    let clouds: [[Double]] = [
        [], [1, 2, 3], [0, 0, 0, 5, 5, 5], line, [Double](repeating: 1.5, count: 900),
    ]
    for values in clouds {
        let surfels = Surfels(try grid(PointCloud(.double(values)), voxel: 0.1))
        let surface = Surface(surfels)
        #expect(surface.area == 0 && surface.triangles == 0)
        #expect(Keypoints(surfels, limit: 10).strongest.isEmpty)
    }
}

@Test("The numbers of a scene's surface are the same on every machine and in every build")
func golden() throws {
    let grid = VoxelGrid(voxel: 0.1)
    for part in views(of: Scene(shape: .torus, points: 5_000, seed: 42), 2) {
        try add(part.cloud, part.header, to: grid)
    }
    let surfels = Surfels(grid)
    let digest = content(of: surfels).withUnsafeBytes { CloudContent.digest(of: $0) }
    #expect(digest == "xxh3:e07432de25d611ae")
    let surface = Surface(surfels)
    #expect(surface.triangles == 3_599 && surface.area == 13.511770709887276, "\(surface)")
    let strongest = try #require(Keypoints(surfels, limit: 1).strongest.first)
    #expect(strongest.curvature == 0.02692868167623359)
}
