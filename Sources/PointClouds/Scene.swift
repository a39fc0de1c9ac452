internal import Randomness

/// A cloud that is computed instead of read: a shape, a number of points and a seed.
///
/// The same scene is the same cloud bit for bit on every machine. That is why only addition,
/// multiplication, division and square root are used, which IEEE 754 rounds exactly: the sines of
/// two mathematical libraries differ in their last bit.
public struct Scene: Hashable, Sendable {
    /// What the points lie on.
    public enum Shape: String, CaseIterable, Sendable {
        /// The unit sphere.
        case sphere
        /// A ring around the z axis: radius 1, thickness 0.35.
        case torus
        /// Hills over a square of 10 by 10, up to 2 high.
        case terrain
    }

    /// The most points that a scene may have: a content of 600 MB.
    public static let pointsMax = 50_000_000

    /// What the points lie on.
    public var shape: Shape
    /// How many points there are.
    public var points: Int
    /// What makes two scenes of one shape differ.
    public var seed: UInt64

    /// A scene; `points` is brought into the range from 0 through `pointsMax`.
    public init(shape: Shape, points: Int, seed: UInt64) {
        self.shape = shape
        self.points = min(max(points, 0), Scene.pointsMax)
        self.seed = seed
    }

    /// The scene's points in single precision, or those that one of several cameras sees.
    public func cloud(_ view: View? = nil) -> PointCloud {
        let values = [Float](unsafeUninitializedCapacity: points * 3) { buffer, count in
            write(view, to: UnsafeMutableRawBufferPointer(buffer))
            count = points * 3
        }
        return PointCloud(.single(values))
    }

    /// How many bytes the points take.
    public var size: Int { points * 3 * MemoryLayout<Float>.size }

    /// Writes the points, as many of them in single precision as the scene has.
    ///
    /// - Parameters:
    ///   - view: The camera that measures them: points that it sees, in its own coordinates; nil is
    ///     all around, in the world's coordinates. Two cameras measure other points of one surface.
    ///   - target: Where they are written, without a detour: `size` bytes.
    public func write(_ view: View?, to target: UnsafeMutableRawBufferPointer) {
        precondition(target.count >= size, "no room for the points of a scene")
        var generator = SplitMix64(seed: seed)
        let hills = Hills(seed: generator.next())
        var camera: Camera?
        if let view {
            camera = Camera(view, shape)
            generator = SplitMix64(seed: generator.next() ^ UInt64(view.index + 1) << 32)
        }
        var offset = 0
        while offset < size {
            var point =
                switch shape {
                case .sphere: Scene.onSphere(&generator)
                case .torus: Scene.onTorus(&generator)
                case .terrain:
                    hills.point(&generator, between: camera?.strip.0 ?? 0, camera?.strip.1 ?? 10)
                }
            if let camera {
                guard camera.sees(point.0, point.1) else { continue }
                point = camera.matrix.toCamera(point.0, point.1, point.2)
            }
            store(point.0, offset, target)
            store(point.1, offset &+ 4, target)
            store(point.2, offset &+ 8, target)
            offset &+= 12
        }
    }

    @inline(__always)
    private func store(
        _ number: Double, _ offset: Int, _ target: UnsafeMutableRawBufferPointer
    ) {
        target.storeBytes(
            of: Float(number).bitPattern.littleEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// The pose of the camera that has the given view of the scene.
    public func pose(_ view: View) -> Pose { view.pose(shape) }

    /// Marsaglia's method: a point of the disc, lifted to the sphere.
    private static func onSphere(_ generator: inout SplitMix64) -> (Double, Double, Double) {
        let (a, b, square) = inDisc(&generator)
        let scale = 2 * (1 - square).squareRoot()
        return (a * scale, b * scale, 1 - 2 * square)
    }

    private static func onTorus(_ generator: inout SplitMix64) -> (Double, Double, Double) {
        let thickness = 0.35
        let around = direction(&generator)
        var section = direction(&generator)
        // The outer side of the ring has more surface than the inner one.
        while generator.nextUnit() * (1 + thickness) > 1 + thickness * section.cosine {
            section = direction(&generator)
        }
        let distance = 1 + thickness * section.cosine
        return (
            distance * around.cosine, distance * around.sine, thickness * section.sine
        )
    }

    /// Cosine and sine of a random angle, by doubling the angle of a point of the disc.
    private static func direction(
        _ generator: inout SplitMix64
    ) -> (cosine: Double, sine: Double) {
        let (a, b, square) = inDisc(&generator)
        return ((a * a - b * b) / square, 2 * a * b / square)
    }

    /// A point within the unit disc, not its centre, and the square of its distance from there.
    private static func inDisc(_ generator: inout SplitMix64) -> (Double, Double, Double) {
        while true {
            let a = generator.nextSigned()
            let b = generator.nextSigned()
            let square = a * a + b * b
            if square < 1 && square > 1e-12 { return (a, b, square) }
        }
    }
}

/// Value noise in four octaves: heights at the corners of a grid, smoothly joined.
private struct Hills {
    let seed: UInt64

    func point(
        _ generator: inout SplitMix64, between left: Double, _ right: Double
    ) -> (Double, Double, Double) {
        let x = left + generator.nextUnit() * (right - left)
        let y = generator.nextUnit() * 10
        var height = 0.0
        var scale = 0.5
        var weight = 1.0
        for octave in 0..<4 {
            height += weight * noise(x * scale, y * scale, octave: UInt64(octave))
            scale *= 2
            weight *= 0.5
        }
        // The weights add up to 1.875.
        return (x, y, height / 1.875 * 2)
    }

    private func noise(_ x: Double, _ y: Double, octave: UInt64) -> Double {
        let column = x.rounded(.down)
        let row = y.rounded(.down)
        let right = Hills.smooth(x - column)
        let up = Hills.smooth(y - row)
        let (i, j) = (UInt64(column), UInt64(row))
        let low = Hills.mix(corner(i, j, octave), corner(i + 1, j, octave), right)
        let high = Hills.mix(corner(i, j + 1, octave), corner(i + 1, j + 1, octave), right)
        return Hills.mix(low, high, up)
    }

    private func corner(_ column: UInt64, _ row: UInt64, _ octave: UInt64) -> Double {
        var generator = SplitMix64(seed: seed ^ (column << 32 | row << 8 | octave))
        return generator.nextUnit()
    }

    private static func smooth(_ part: Double) -> Double { part * part * (3 - 2 * part) }

    private static func mix(_ one: Double, _ two: Double, _ part: Double) -> Double {
        one + (two - one) * part
    }
}
