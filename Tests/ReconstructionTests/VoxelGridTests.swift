import PointClouds
import Randomness
import Reconstruction
import Testing

@Test("A voxel is one point: the mean of those in it, to a 65,536th of its edge")
func means() throws {
    // Two points in one voxel, one each in its neighbours below 0 and above.
    let cloud = PointCloud(
        .double([0.1, 0.2, 0.3, 0.3, 0.2, 0.1, -0.1, 0.2, 0.3, 0.6, 0.2, 0.3]))
    let surfels = Surfels(try grid(cloud, voxel: 0.5))
    #expect(surfels.count == 3)
    for (index, place) in [(0, (-0.1, 0.2, 0.3)), (1, (0.2, 0.2, 0.2)), (2, (0.6, 0.2, 0.3))] {
        let point = surfels.positions[index]
        #expect(abs(point.x - place.0) < 0.5 / 65_536)
        #expect(abs(point.y - place.1) < 0.5 / 65_536)
        #expect(abs(point.z - place.2) < 0.5 / 65_536)
    }
}

@Test("Neither the order of views nor that of points shows in what comes out")
func order() throws {
    let scene = Scene(shape: .torus, points: 3_000, seed: 8)
    let parts = views(of: scene, 3)
    var results: [[UInt8]] = []
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        let grid = VoxelGrid(voxel: 0.05)
        for index in order { try add(parts[index].cloud, parts[index].header, to: grid) }
        #expect(grid.points == 9_000 && grid.views == 0b111)
        results.append(content(of: Surfels(grid)))
    }
    #expect(Set(results).count == 1)
    // One cloud, its points forwards and backwards.
    let values = (0..<parts[0].cloud.count).map { parts[0].cloud[$0] }
    let both = try [values, values.reversed()].map { points in
        content(
            of: Surfels(
                try grid(
                    PointCloud(.double(points.flatMap { [$0.x, $0.y, $0.z] })), voxel: 0.05)))
    }
    #expect(both[0] == both[1])
}

@Test("A grid goes on from its bytes as if it had never stopped", arguments: Scene.Shape.allCases)
func resumed(shape: Scene.Shape) throws {
    let parts = views(of: Scene(shape: shape, points: 2_000, seed: 2), 3)
    let whole = VoxelGrid(voxel: 0.1)
    for part in parts { try add(part.cloud, part.header, to: whole) }
    var moved = VoxelGrid(voxel: 0.1)
    for part in parts {
        moved = try #require(VoxelGrid(decoding: moved.encoded))
        try add(part.cloud, part.header, to: moved)
    }
    #expect(moved.encoded == whole.encoded)
    #expect(content(of: Surfels(moved)) == content(of: Surfels(whole)))
    #expect(moved.points == whole.points && moved.views == whole.views)
}

@Test("Bytes that are no grid are refused, and mutated ones never crash")
func hostile() throws {
    let bytes = try grid(Scene(shape: .sphere, points: 300, seed: 2).cloud(), voxel: 0.2).encoded
    #expect(VoxelGrid(decoding: []) == nil)
    for length in 0..<bytes.count { #expect(VoxelGrid(decoding: Array(bytes[..<length])) == nil) }
    #expect(VoxelGrid(decoding: bytes + [0]) == nil)
    var generator = SplitMix64(seed: 5)
    for _ in 0..<1_000 {
        var mutated = bytes
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        mutated[place] = UInt8.random(in: 0...255, using: &generator)
        if let grid = VoxelGrid(decoding: mutated) { _ = Surface(Surfels(grid)) }
    }
}

@Test("What is out of a grid's reach, or too fine for it, is refused with a remedy")
func limits() throws {
    let far = PointCloud(.double([0, 0, 0, 1_048_577, 0, 0]))
    let error = try #require(throws: GridError.self) { try grid(far, voxel: 1) }
    #expect(error == .outOfReach(point: 1, voxel: 1))
    #expect(error.description.contains("choose a larger voxel"))
    _ = try grid(far, voxel: 1.001)
    _ = try grid(PointCloud(.double([1_048_574.9, -1_048_574.9, 0])), voxel: 1)
    #expect(throws: GridError.self) { try grid(PointCloud(.double([1e300, 0, 0])), voxel: 1e-9) }
    var coordinates = [Float](repeating: 0, count: (VoxelGrid.voxelsMax + 1) * 3)
    for index in 0...VoxelGrid.voxelsMax {
        coordinates[index * 3] = Float(index % 1_024)
        coordinates[index * 3 + 1] = Float(index / 1_024)
    }
    #expect(throws: GridError.tooManyVoxels(voxel: 1)) {
        try grid(PointCloud(.single(coordinates)), voxel: 1)
    }
}
