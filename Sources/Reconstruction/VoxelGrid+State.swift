internal import PointClouds

/// A grid as bytes, for the next incarnation of whoever fills it.
///
/// The edge (Float64), the number of points, the viewpoints and the cubes in the order of their
/// keys; whole numbers in groups of seven bits, lowest first, the eighth set where another follows;
/// of a key the difference to the one before.
extension VoxelGrid {
    /// The grid as bytes.
    public var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(64 + count * 16)
        append(fixed: voxel, to: &bytes)
        append(points, to: &bytes)
        append(UInt64(viewpoints.count), to: &bytes)
        for (view, place) in viewpoints.sorted(by: { $0.key < $1.key }) {
            append(UInt64(view), to: &bytes)
            for number in [place.x, place.y, place.z] { append(fixed: number, to: &bytes) }
        }
        append(UInt64(count), to: &bytes)
        var former: UInt64 = 0
        for voxel in sorted() {
            append(voxel.key &- former, to: &bytes)
            former = voxel.key
            append(UInt64(voxel.count), to: &bytes)
            append(UInt64(voxel.views), to: &bytes)
            append(voxel.x, to: &bytes)
            append(voxel.y, to: &bytes)
            append(voxel.z, to: &bytes)
        }
        return bytes
    }

    /// The grid that `encoded` came from; nil where the bytes are something else.
    public convenience init?(decoding bytes: [UInt8]) {
        var reader = StateReader(bytes: bytes)
        guard let voxel = reader.number(), voxel.isFinite, voxel > 0,
            let points = reader.integer(), let places = reader.integer(),
            places <= UInt64(CloudHeader.viewsMax)
        else { return nil }
        var viewpoints: [Int: PointCloud.Point] = [:]
        for _ in 0..<places {
            guard let view = reader.integer(), view < UInt64(CloudHeader.viewsMax),
                let x = reader.number(), let y = reader.number(), let z = reader.number()
            else { return nil }
            viewpoints[Int(view)] = PointCloud.Point(x: x, y: y, z: z)
        }
        guard let count = reader.integer(), count <= UInt64(VoxelGrid.voxelsMax) else {
            return nil
        }
        var voxels: [Voxel] = []
        var key: UInt64 = 0
        for index in 0..<count {
            guard let step = reader.integer(), step > 0 || index == 0,
                let number = reader.integer(), number > 0, let views = reader.integer(),
                let x = reader.integer(), let y = reader.integer(), let z = reader.integer(),
                let count = UInt32(exactly: number), let views = UInt32(exactly: views)
            else { return nil }
            key &+= step
            guard key < 1 << (3 * VoxelGrid.bitsPerAxis) else { return nil }
            voxels.append(Voxel(key: key, count: count, views: views, x: x, y: y, z: z))
        }
        guard reader.isAtEnd else { return nil }
        self.init(voxel: voxel)
        do throws(GridError) {
            try restore(voxels, points: points, viewpoints: viewpoints)
        } catch {
            return nil
        }
    }

    private func append(_ number: UInt64, to bytes: inout [UInt8]) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private func append(fixed number: Double, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

private struct StateReader {
    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func integer() -> UInt64? {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count, shift < 64 {
            let byte = bytes[position]
            position += 1
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
            shift += 7
        }
        return nil
    }

    mutating func number() -> Double? {
        guard bytes.count - position >= 8 else { return nil }
        let bits = bytes[position..<position + 8].reversed().reduce(0 as UInt64) {
            $0 << 8 | UInt64($1)
        }
        position += 8
        return Double(bitPattern: bits)
    }
}
