public import PointClouds

/// Space in cubes of one size, and of each cube what the points in it add up to.
///
/// Everything is summed up in whole numbers: a coordinate is rounded once, to a 65,536th of a cube's
/// edge, and from then on nothing is. So the order in which clouds and their points come in cannot
/// show in what goes out, and views of one scene are merged as they arrive, without being kept.
///
/// The cubes are in one table with open addressing: no allocation for a point or for a cube.
public final class VoxelGrid {
    /// The most cubes of a grid.
    public static let voxelsMax = 1 << 21
    /// Steps to an edge.
    static let steps = 65_536.0
    /// Cubes to each side of the origin.
    static let reach = 1 << 20
    /// A key is three of these.
    static let bitsPerAxis: UInt64 = 21
    private static let empty = UInt64.max

    /// A cube, and what is in it.
    struct Voxel {
        /// Which cube it is: its place along x in the lowest bits, then y, then z.
        var key: UInt64
        /// How many points are in it.
        var count: UInt32
        /// A bit for each view that saw it.
        var views: UInt32
        /// The sums of the points' steps from the cube's lowest corner.
        var x, y, z: UInt64
    }

    /// The edge of the cubes.
    public let voxel: Double
    /// How many cubes have points.
    public private(set) var count = 0
    /// How many points came in.
    public private(set) var points: UInt64 = 0
    /// Where the camera of each view stands, by the view's number.
    private(set) var viewpoints: [Int: PointCloud.Point] = [:]
    private var table: UnsafeMutablePointer<Voxel>
    private var capacity: Int

    /// An empty grid of cubes with the given edge.
    ///
    /// - Precondition: `voxel` is finite and greater than 0.
    public init(voxel: Double) {
        precondition(voxel.isFinite && voxel > 0, "cubes need an edge")
        self.voxel = voxel
        capacity = 1 << 12
        table = VoxelGrid.emptyTable(capacity)
    }

    deinit { table.deallocate() }

    /// Which views came in, a bit each.
    public var views: UInt32 { viewpoints.keys.reduce(0) { $0 | 1 << UInt32($1) } }

    /// Adds the points of a cloud, at their places in the world.
    ///
    /// - Throws: `GridError`, and then a part of the points is in: the grid is of no more use.
    public func add(_ content: CloudContent) throws(GridError) {
        let header = content.header
        guard points + UInt64(header.count) < UInt64(UInt32.max) else {
            throw GridError.tooManyPoints
        }
        viewpoints[header.view] = header.pose.position
        points += UInt64(header.count)
        switch header.scalar {
        case .single: try add(content, Float.self)
        case .double: try add(content, Double.self)
        }
    }

    private func add<Scalar: CloudScalar>(
        _ content: CloudContent, _: Scalar.Type
    ) throws(GridError) {
        let (points, stride) = (content.points, content.header.scalarsPerPoint)
        let matrix = content.header.pose.matrix
        let view = UInt32(1) << UInt32(content.header.view)
        let scale = VoxelGrid.steps / voxel
        // Added before the fraction is cut off, so that cutting off is rounding down.
        let bias = Double(VoxelGrid.reach) * VoxelGrid.steps
        // One cube at each end stays empty: the neighbour of every cube has a key.
        let (least, most) = (VoxelGrid.steps, bias * 2 - VoxelGrid.steps)
        for index in 0..<content.header.count {
            let start = index &* stride
            let (x, y, z) = matrix.toWorld(
                Scalar(points, at: start).inDouble, Scalar(points, at: start &+ 1).inDouble,
                Scalar(points, at: start &+ 2).inDouble)
            let (a, b, c) = (x * scale + bias, y * scale + bias, z * scale + bias)
            guard a >= least, a < most, b >= least, b < most, c >= least, c < most else {
                throw GridError.outOfReach(point: index, voxel: voxel)
            }
            let (i, j, k) = (UInt64(a), UInt64(b), UInt64(c))
            let slot = slot(VoxelGrid.key(i >> 16, j >> 16, k >> 16))
            table[slot].count &+= 1
            table[slot].views |= view
            table[slot].x &+= i & 0xFFFF
            table[slot].y &+= j & 0xFFFF
            table[slot].z &+= k & 0xFFFF
            if count &* 2 > capacity { try grow() }
        }
    }

    @inline(__always)
    private static func key(_ i: UInt64, _ j: UInt64, _ k: UInt64) -> UInt64 {
        i | j << bitsPerAxis | k << (2 * bitsPerAxis)
    }

    /// Where the cube with the given key stands, or now stands, in the table.
    @inline(__always)
    private func slot(_ key: UInt64) -> Int {
        let mask = capacity &- 1
        // The golden ratio spreads neighbouring cubes; its upper bits are the good ones.
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while true {
            let found = table[slot].key
            if found == key { return slot }
            if found == VoxelGrid.empty {
                table[slot].key = key
                count &+= 1
                return slot
            }
            slot = (slot &+ 1) & mask
        }
    }

    private func grow() throws(GridError) {
        guard count <= VoxelGrid.voxelsMax else { throw GridError.tooManyVoxels(voxel: voxel) }
        let (former, formerCapacity) = (table, capacity)
        capacity *= 2
        table = VoxelGrid.emptyTable(capacity)
        count = 0
        for index in 0..<formerCapacity where former[index].key != VoxelGrid.empty {
            insert(former[index])
        }
        former.deallocate()
    }

    private func insert(_ voxel: Voxel) { table[slot(voxel.key)] = voxel }

    private static func emptyTable(_ capacity: Int) -> UnsafeMutablePointer<Voxel> {
        let table = UnsafeMutablePointer<Voxel>.allocate(capacity: capacity)
        table.initialize(
            repeating: Voxel(key: empty, count: 0, views: 0, x: 0, y: 0, z: 0), count: capacity)
        return table
    }

    /// All cubes that have points, in the order of their keys.
    func sorted() -> [Voxel] {
        var voxels: [Voxel] = []
        voxels.reserveCapacity(count)
        for index in 0..<capacity where table[index].key != VoxelGrid.empty {
            voxels.append(table[index])
        }
        voxels.sort { $0.key < $1.key }
        return voxels
    }

    /// Puts back what `sorted` and the other properties said.
    func restore(
        _ voxels: [Voxel], points: UInt64, viewpoints: [Int: PointCloud.Point]
    ) throws(GridError) {
        for voxel in voxels {
            insert(voxel)
            if count &* 2 > capacity { try grow() }
        }
        self.points = points
        self.viewpoints = viewpoints
    }
}

/// Why a cloud does not go into a grid.
public enum GridError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A point is too far from the origin for cubes of this size.
    case outOfReach(point: Int, voxel: Double)
    /// The points are in more cubes than a grid has.
    case tooManyVoxels(voxel: Double)
    /// There are more points than can be counted.
    case tooManyPoints

    /// One line for a person.
    public var description: String {
        switch self {
        case .outOfReach(let point, let voxel):
            "point \(point) is more than \(VoxelGrid.reach - 1) voxels of \(voxel) from the "
                + "origin; choose a larger voxel"
        case .tooManyVoxels(let voxel):
            "the points are in more than \(VoxelGrid.voxelsMax) voxels of \(voxel); choose a "
                + "larger voxel"
        case .tooManyPoints: "more than \(UInt32.max) points; send fewer"
        }
    }
}
