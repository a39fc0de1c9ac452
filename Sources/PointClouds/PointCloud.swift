/// Points in space, in the order and precision in which they were measured.
///
/// Every coordinate is finite: the readers refuse what is not.
public struct PointCloud: Hashable, Sendable {
    /// Coordinates x, y, z of one point after the other.
    ///
    /// Two cases and not one, so that a file's doubles lose nothing and its floats take no more room
    /// than they did in the file.
    public enum Coordinates: Hashable, Sendable {
        case single([Float])
        case double([Double])
    }

    /// One point.
    public struct Point: Hashable, Sendable {
        /// The first coordinate.
        public var x: Double
        /// The second coordinate.
        public var y: Double
        /// The third coordinate.
        public var z: Double

        /// A point at the given place.
        public init(x: Double, y: Double, z: Double) {
            self.x = x
            self.y = y
            self.z = z
        }
    }

    /// The numbers.
    public let coordinates: Coordinates

    /// A cloud of the given coordinates, whose number is a multiple of three.
    public init(_ coordinates: Coordinates) {
        self.coordinates = coordinates
        precondition(scalarCount.isMultiple(of: 3), "a coordinate of the last point is missing")
    }

    /// How many points there are.
    public var count: Int { scalarCount / 3 }

    /// The point at `index`.
    public subscript(index: Int) -> Point {
        let start = index * 3
        switch coordinates {
        case .single(let values):
            return Point(
                x: Double(values[start]), y: Double(values[start + 1]),
                z: Double(values[start + 2]))
        case .double(let values):
            return Point(x: values[start], y: values[start + 1], z: values[start + 2])
        }
    }

    private var scalarCount: Int {
        switch coordinates {
        case .single(let values): values.count
        case .double(let values): values.count
        }
    }
}

/// The smallest box, parallel to the axes, that holds every point of a cloud.
public struct BoundingBox: Hashable, Sendable {
    /// The corner with the smallest coordinates.
    public var minimum: PointCloud.Point
    /// The corner with the largest coordinates.
    public var maximum: PointCloud.Point

    /// A box between two corners.
    public init(minimum: PointCloud.Point, maximum: PointCloud.Point) {
        self.minimum = minimum
        self.maximum = maximum
    }
}
