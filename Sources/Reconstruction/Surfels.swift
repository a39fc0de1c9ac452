public import PointClouds

/// A surface in small pieces: for each cube of a grid the mean of its points, the direction that
/// the surface faces there, and how much it bends.
///
/// In the order of the cubes' keys: what comes out depends on the grid alone.
public struct Surfels: Hashable, Sendable {
    /// The edge of the cubes.
    public let voxel: Double
    /// The means of the points, in the world's coordinates.
    public let positions: [PointCloud.Point]
    /// The directions that the surface faces, of length 1.
    ///
    /// Towards the nearest camera that saw it, or upwards where there is none; zero where too few
    /// cubes around have points.
    public let normals: [PointCloud.Point]
    /// How much of the spread around is across the surface: 0 where it is flat, at most 1/3.
    public let curvatures: [Double]
    let keys: [UInt64]

    /// How many cubes have points.
    public var count: Int { keys.count }

    /// Fewer cubes with points, of the 27 around a cube and its own, have no direction.
    private static let neighboursMin = 4

    /// The surface in a grid.
    public init(_ grid: VoxelGrid) {
        let voxels = grid.sorted()
        voxel = grid.voxel
        keys = voxels.map(\.key)
        // In edges from the middle of space, and in the world's unit.
        let local = voxels.map(Surfels.mean)
        let voxel = voxel
        positions = local.map { point in
            PointCloud.Point(x: point.x * voxel, y: point.y * voxel, z: point.z * voxel)
        }
        var normals: [PointCloud.Point] = []
        var curvatures: [Double] = []
        normals.reserveCapacity(voxels.count)
        curvatures.reserveCapacity(voxels.count)
        let cameras = Surfels.cameras(grid)
        let positions = positions
        Surfels.sweep(keys) { index, neighbours in
            var spread = Spread()
            for neighbour in neighbours { spread.add(local[neighbour], from: local[index]) }
            guard neighbours.count >= Surfels.neighboursMin, let axis = spread.leastAxis else {
                normals.append(PointCloud.Point(x: 0, y: 0, z: 0))
                curvatures.append(0)
                return
            }
            normals.append(
                Surfels.facing(
                    axis.direction, positions[index],
                    cameras.lazy.filter { voxels[index].views >> UInt32($0.view) & 1 == 1 }))
            curvatures.append(axis.share)
        }
        self.normals = normals
        self.curvatures = curvatures
    }

    /// Where cameras stand, by view; none where the clouds were not measured by any.
    private static func cameras(_ grid: VoxelGrid) -> [(view: Int, place: PointCloud.Point)] {
        let places = grid.viewpoints.sorted { $0.key < $1.key }
        let isMeasured = places.contains { $0.value != Pose.identity.position }
        return isMeasured ? places.map { (view: $0.key, place: $0.value) } : []
    }

    /// A direction across the surface, turned to the nearest of some cameras.
    private static func facing(
        _ normal: PointCloud.Point, _ position: PointCloud.Point,
        _ cameras: some Sequence<(view: Int, place: PointCloud.Point)>
    ) -> PointCloud.Point {
        var towards = PointCloud.Point(x: 0, y: 0, z: 1)
        var least = Double.infinity
        for camera in cameras {
            let way = camera.place - position
            let square = way.dot(way)
            if square < least { (least, towards) = (square, way) }
        }
        return normal.facing(towards)
    }

    /// The mean of a cube's points, in edges.
    private static func mean(_ voxel: VoxelGrid.Voxel) -> PointCloud.Point {
        func coordinate(_ shift: UInt64, _ sum: UInt64) -> Double {
            let place = Int(voxel.key >> shift & (1 << VoxelGrid.bitsPerAxis - 1))
            return Double(place - VoxelGrid.reach)
                + Double(sum) / (Double(voxel.count) * VoxelGrid.steps)
        }
        return PointCloud.Point(
            x: coordinate(0, voxel.x), y: coordinate(VoxelGrid.bitsPerAxis, voxel.y),
            z: coordinate(2 * VoxelGrid.bitsPerAxis, voxel.z))
    }

    /// Visits each cube with those of the 27 around it, itself included, that have points.
    ///
    /// The keys are in order, and so are those of the cubes a fixed step away: nine fingers that
    /// only move forward find all neighbours, three at a time.
    static func sweep(
        _ keys: [UInt64], _ body: (_ index: Int, _ neighbours: borrowing Neighbours) -> Void
    ) {
        let row = UInt64(1) << VoxelGrid.bitsPerAxis
        let layer = row << VoxelGrid.bitsPerAxis
        var steps: [UInt64] = []
        for up in [0 &- layer, 0, layer] {
            for across in [0 &- row, 0, row] { steps.append(up &+ across) }
        }
        var fingers = [Int](repeating: 0, count: steps.count)
        var neighbours = Neighbours()
        for index in keys.indices {
            neighbours.removeAll()
            for finger in 0..<9 {
                let middle = keys[index] &+ steps[finger]
                var place = fingers[finger]
                while place < keys.count, keys[place] < middle &- 1 { place &+= 1 }
                fingers[finger] = place
                while place < keys.count, keys[place] <= middle &+ 1 {
                    neighbours.append(place)
                    place &+= 1
                }
            }
            body(index, neighbours)
        }
    }

    /// At most 27 indices, in rising order.
    struct Neighbours: Sequence {
        private var indices = [Int](repeating: 0, count: 27)
        private(set) var count = 0

        mutating func append(_ index: Int) {
            indices[count] = index
            count &+= 1
        }

        mutating func removeAll() { count = 0 }

        func makeIterator() -> ArraySlice<Int>.Iterator { indices[..<count].makeIterator() }
    }
}

extension PointCloud.Point {
    static func - (left: Self, right: Self) -> Self {
        Self(x: left.x - right.x, y: left.y - right.y, z: left.z - right.z)
    }

    func dot(_ other: Self) -> Double { x * other.x + y * other.y + z * other.z }

    /// The same line, in the direction on the side of `towards`.
    func facing(_ towards: Self) -> Self {
        let side = dot(towards)
        // Across: whichever way its first part that is not 0 is positive.
        let isAway =
            side != 0 ? side < 0 : z != 0 ? z < 0 : y != 0 ? y < 0 : x < 0
        return isAway ? Self(x: -x, y: -y, z: -z) : self
    }
}

extension Surfels {
    /// The surface as a cloud with normals, in single precision and the world's coordinates.
    ///
    /// - Parameter scene: The number of the scene that it is of.
    /// - Returns: What stands before the points in the content that `write` makes.
    public func header(scene: UInt64 = 0) -> CloudHeader {
        var header = CloudHeader(count: count, scalar: .single)
        header.hasNormals = true
        header.spacing = voxel
        header.scene = scene
        return header
    }

    /// Writes the content that `header` describes.
    public func write(_ header: CloudHeader, to target: UnsafeMutableRawBufferPointer) {
        header.write(to: target)
        var offset = CloudHeader.size
        func store(_ number: Double) {
            target.storeBytes(
                of: Float(number).bitPattern.littleEndian, toByteOffset: offset, as: UInt32.self)
            offset &+= 4
        }
        for index in 0..<count {
            let (position, normal) = (positions[index], normals[index])
            store(position.x)
            store(position.y)
            store(position.z)
            store(normal.x)
            store(normal.y)
            store(normal.z)
        }
    }
}
