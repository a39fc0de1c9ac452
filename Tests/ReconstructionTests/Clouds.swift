import PointClouds
import Reconstruction

/// Puts a cloud into a grid, as those do who receive it.
func add(
    _ cloud: PointCloud, _ header: CloudHeader? = nil, to grid: VoxelGrid
) throws {
    try cloud.content(header).withUnsafeBytes { try grid.add(try CloudContent($0)) }
}

/// A grid with one cloud in it.
func grid(_ cloud: PointCloud, voxel: Double) throws -> VoxelGrid {
    let grid = VoxelGrid(voxel: voxel)
    try add(cloud, to: grid)
    return grid
}

/// Views of a scene, with their headers.
func views(
    of scene: Scene, _ count: Int
) -> [(cloud: PointCloud, header: CloudHeader)] {
    (0..<count).compactMap { View($0, of: count) }.map { view in
        let cloud = scene.cloud(view)
        var header = CloudHeader(cloud)
        header.view = view.index
        header.views = view.count
        header.pose = scene.pose(view)
        return (cloud, header)
    }
}

/// The content that a surface is sent as.
func content(of surfels: Surfels, scene: UInt64 = 0) -> [UInt8] {
    let header = surfels.header(scene: scene)
    return [UInt8](unsafeUninitializedCapacity: header.contentSize) { buffer, count in
        surfels.write(header, to: UnsafeMutableRawBufferPointer(buffer))
        count = header.contentSize
    }
}
