/// What stands before the coordinates in the content of a cloud's message: 128 bytes, little-endian.
///
/// | bytes | meaning |
/// |---|---|
/// | 0..<4 | `SMPC` |
/// | 4 | version, 2 |
/// | 5 | bytes a number: 4 (Float32) or 8 (Float64) |
/// | 6 | numbers a point: 3 (x, y, z) or 6 (and the normal) |
/// | 7 | 0 |
/// | 8..<16 | number of points |
/// | 16..<24 | number of the scene |
/// | 24..<26 | which view of the scene, from 0 |
/// | 26..<28 | how many views the scene has; 0 where the cloud is no view |
/// | 28..<32 | 0 |
/// | 32..<40 | edge of the voxels that the points stand for, Float64; 0 where they are as measured |
/// | 40..<72 | the camera's turn: a quaternion of length 1, w, x, y, z, Float64 |
/// | 72..<96 | the camera's place: x, y, z, Float64 |
/// | 96..<128 | 0 |
/// | 128... | the points |
///
/// A multiple of 64 bytes long, so that a reader that maps the content from shared memory finds
/// every coordinate aligned, and the first one at the beginning of a cache line.
public struct CloudHeader: Hashable, Sendable {
    /// How a coordinate is written.
    public enum Scalar: UInt8, Hashable, Sendable {
        /// Float32.
        case single = 4
        /// Float64.
        case double = 8

        /// Bytes a number.
        public var size: Int { Int(rawValue) }
    }

    /// How many bytes the header takes.
    public static let size = 128
    /// The only version there is.
    public static let version: UInt8 = 2
    /// The most views of one scene.
    public static let viewsMax = 32

    /// How many points follow.
    public var count: Int
    /// How their numbers are written.
    public var scalar: Scalar
    /// Whether each point has a normal.
    public var hasNormals = false
    /// The number of the scene.
    public var scene: UInt64 = 0
    /// Which view of the scene it is, from 0.
    public var view = 0
    /// How many views the scene has; 0 where the cloud is no view.
    public var views = 0
    /// The edge of the voxels that the points stand for; 0 where they are as measured.
    public var spacing = 0.0
    /// What takes the coordinates into the world's.
    public var pose = Pose.identity

    /// A header for `count` points as measured, in the world's coordinates.
    public init(count: Int, scalar: Scalar) {
        self.count = count
        self.scalar = scalar
    }

    /// Numbers a point.
    public var scalarsPerPoint: Int { hasNormals ? 6 : 3 }

    /// Bytes a point.
    public var stride: Int { scalarsPerPoint * scalar.size }

    /// How many bytes a content with this header takes.
    public var contentSize: Int { CloudHeader.size + count * stride }

    /// Writes the header to the beginning of a content.
    ///
    /// - Precondition: There is room for it.
    public func write(to target: UnsafeMutableRawBufferPointer) {
        precondition(target.count >= CloudHeader.size, "no room for the header of a cloud")
        let header = UnsafeMutableRawBufferPointer(rebasing: target[..<CloudHeader.size])
        for index in header.indices { header[index] = 0 }
        header.copyBytes(from: magic)
        header[4] = CloudHeader.version
        header[5] = scalar.rawValue
        header[6] = UInt8(scalarsPerPoint)
        store(UInt64(count), 8, header)
        store(scene, 16, header)
        store(UInt16(view), 24, header)
        store(UInt16(views), 26, header)
        let turn = pose.rotation
        let place = pose.position
        let numbers = [spacing, turn.w, turn.x, turn.y, turn.z, place.x, place.y, place.z]
        for (index, number) in numbers.enumerated() {
            store(number.bitPattern, 32 + index * 8, header)
        }
    }

    private func store<Integer: FixedWidthInteger & BitwiseCopyable>(
        _ number: Integer, _ offset: Int, _ target: UnsafeMutableRawBufferPointer
    ) {
        target.storeBytes(of: number.littleEndian, toByteOffset: offset, as: Integer.self)
    }

    /// Reads the header of a content, and checks that it fits the content's length.
    ///
    /// - Throws: `CloudContentError` for anything that `write` would not have made.
    public init(reading content: UnsafeRawBufferPointer) throws(CloudContentError) {
        guard content.count >= CloudHeader.size else {
            throw CloudContentError(content.count, "the content ends within its header")
        }
        guard content.starts(with: magic) else {
            throw CloudContentError(0, "it does not begin with SMPC")
        }
        guard content[4] == CloudHeader.version else {
            throw CloudContentError(
                4, "version \(content[4]), expected \(CloudHeader.version)")
        }
        guard let scalar = Scalar(rawValue: content[5]) else {
            throw CloudContentError(5, "\(content[5]) bytes a number, not 4 or 8")
        }
        guard content[6] == 3 || content[6] == 6 else {
            throw CloudContentError(6, "\(content[6]) numbers a point, not 3 or 6")
        }
        for reserved in [7..<8, 28..<32, 96..<128] {
            for offset in reserved where content[offset] != 0 {
                throw CloudContentError(offset, "a reserved byte is not 0")
            }
        }
        self.scalar = scalar
        hasNormals = content[6] == 6
        let stride = Int(content[5]) * Int(content[6])
        let declared: UInt64 = load(8, content)
        let room = content.count - CloudHeader.size
        // By division: the declared number may be one that no multiplication survives.
        guard room.isMultiple(of: stride), declared == UInt64(room / stride) else {
            throw CloudContentError(8, "\(declared) points declared, \(room) bytes of points")
        }
        count = Int(declared)
        scene = load(16, content)
        view = Int(load(24, content) as UInt16)
        views = Int(load(26, content) as UInt16)
        guard views <= CloudHeader.viewsMax, view < max(views, 1) else {
            throw CloudContentError(24, "view \(view) of \(views)")
        }
        let numbers = (0..<8).map { Double(bitPattern: load(32 + $0 * 8, content)) }
        if let index = numbers.firstIndex(where: { !$0.isFinite }) {
            throw CloudContentError(32 + index * 8, "the number is not finite")
        }
        spacing = numbers[0]
        guard spacing >= 0 else { throw CloudContentError(32, "voxels with an edge of \(spacing)") }
        pose = Pose(
            rotation: Pose.Rotation(w: numbers[1], x: numbers[2], y: numbers[3], z: numbers[4]),
            position: PointCloud.Point(x: numbers[5], y: numbers[6], z: numbers[7]))
        guard pose.rotation.isUnit else {
            throw CloudContentError(40, "the quaternion's length is not 1")
        }
    }
}

private let magic = Array("SMPC".utf8)

private func load<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ offset: Int, _ content: UnsafeRawBufferPointer
) -> Integer {
    Integer(littleEndian: content.loadUnaligned(fromByteOffset: offset, as: Integer.self))
}

/// Why bytes are not the content of a cloud's message.
public struct CloudContentError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Offset of the first byte that does not fit.
    public let offset: Int
    /// What was wrong there.
    public let reason: String

    init(_ offset: Int, _ reason: String) {
        self.offset = offset
        self.reason = reason
    }

    /// One line for a person.
    public var description: String {
        "not a point cloud: byte \(offset): \(reason); send what CloudHeader describes"
    }
}
