/// Where a camera stands and how it is turned: what takes its coordinates into the world's.
///
/// A camera looks along its z axis, with x to the right and y down.
public struct Pose: Hashable, Sendable {
    /// A turn as a quaternion of length 1.
    public struct Rotation: Hashable, Sendable {
        /// The real part.
        public var w: Double
        /// The part of i.
        public var x: Double
        /// The part of j.
        public var y: Double
        /// The part of k.
        public var z: Double

        /// A turn with the given parts.
        public init(w: Double, x: Double, y: Double, z: Double) {
            self.w = w
            self.x = x
            self.y = y
            self.z = z
        }

        /// No turn.
        public static let none = Rotation(w: 1, x: 0, y: 0, z: 0)

        /// First `right`, then `left`.
        public static func * (left: Rotation, right: Rotation) -> Rotation {
            Rotation(
                w: left.w * right.w - left.x * right.x - left.y * right.y - left.z * right.z,
                x: left.w * right.x + left.x * right.w + left.y * right.z - left.z * right.y,
                y: left.w * right.y - left.x * right.z + left.y * right.w + left.z * right.x,
                z: left.w * right.z + left.x * right.y - left.y * right.x + left.z * right.w)
        }

        /// Whether the length is 1, but for rounding.
        var isUnit: Bool {
            let square = w * w + x * x + y * y + z * z
            return square > 1 - 1e-9 && square < 1 + 1e-9
        }
    }

    /// How the camera is turned.
    public var rotation: Rotation
    /// Where it stands.
    public var position: PointCloud.Point

    /// A camera turned and placed so.
    public init(rotation: Rotation, position: PointCloud.Point) {
        self.rotation = rotation
        self.position = position
    }

    /// A camera turned about its axes, in degrees: first `roll` about x, then `pitch` about y, then
    /// `yaw` about z.
    public init(
        position: PointCloud.Point, yaw: Double, pitch: Double = 0, roll: Double = 0
    ) {
        func half(_ degrees: Double) -> (sine: Double, cosine: Double) {
            sineAndCosine(ofTurns: degrees / 720)
        }
        let (z, y, x) = (half(yaw), half(pitch), half(roll))
        self.init(
            rotation: Rotation(w: z.cosine, x: 0, y: 0, z: z.sine)
                * Rotation(w: y.cosine, x: 0, y: y.sine, z: 0)
                * Rotation(w: x.cosine, x: x.sine, y: 0, z: 0),
            position: position)
    }

    /// At the world's origin, not turned: coordinates stay as they are.
    public static let identity = Pose(
        rotation: .none, position: PointCloud.Point(x: 0, y: 0, z: 0))

    /// The pose as a matrix, for many points.
    public var matrix: PoseMatrix { PoseMatrix(self) }
}

/// A pose as nine numbers of a turn and three of a place.
public struct PoseMatrix: Hashable, Sendable {
    @usableFromInline let xx, xy, xz: Double
    @usableFromInline let yx, yy, yz: Double
    @usableFromInline let zx, zy, zz: Double
    @usableFromInline let position: PointCloud.Point

    init(_ pose: Pose) {
        let turn = pose.rotation
        position = pose.position
        xx = 1 - 2 * (turn.y * turn.y + turn.z * turn.z)
        xy = 2 * (turn.x * turn.y - turn.w * turn.z)
        xz = 2 * (turn.x * turn.z + turn.w * turn.y)
        yx = 2 * (turn.x * turn.y + turn.w * turn.z)
        yy = 1 - 2 * (turn.x * turn.x + turn.z * turn.z)
        yz = 2 * (turn.y * turn.z - turn.w * turn.x)
        zx = 2 * (turn.x * turn.z - turn.w * turn.y)
        zy = 2 * (turn.y * turn.z + turn.w * turn.x)
        zz = 1 - 2 * (turn.x * turn.x + turn.y * turn.y)
    }

    /// A point of the camera's, in the world's coordinates.
    @inlinable
    public func toWorld(_ x: Double, _ y: Double, _ z: Double) -> (Double, Double, Double) {
        (
            xx * x + xy * y + xz * z + position.x,
            yx * x + yy * y + yz * z + position.y,
            zx * x + zy * y + zz * z + position.z
        )
    }

    /// A point of the world's, in the camera's coordinates.
    func toCamera(_ x: Double, _ y: Double, _ z: Double) -> (Double, Double, Double) {
        let (a, b, c) = (x - position.x, y - position.y, z - position.z)
        return (xx * a + yx * b + zx * c, xy * a + yy * b + zy * c, xz * a + yz * b + zz * c)
    }
}

/// The sine and the cosine of a part of a full turn.
///
/// By the same few additions and multiplications on every machine: those of two mathematical
/// libraries differ in their last bit.
func sineAndCosine(ofTurns turns: Double) -> (sine: Double, cosine: Double) {
    let quarters = turns * 4
    let nearest = quarters.rounded(.toNearestOrEven)
    let angle = (quarters - nearest) * (Double.pi / 2)
    // Taylor's series; the angle is at most a quarter of pi, the next term below 1e-17.
    let square = angle * angle
    var sine = 1.0
    var cosine = 1.0
    for step in stride(from: 16.0, through: 2, by: -2) {
        sine = 1 - square * sine / (step * (step + 1))
        cosine = 1 - square * cosine / (step * (step - 1))
    }
    sine *= angle
    switch Int64(nearest) & 3 {
    case 0: return (sine, cosine)
    case 1: return (cosine, -sine)
    case 2: return (-sine, -cosine)
    default: return (-cosine, sine)
    }
}
