public import JSON

/// What a person and a comparison want to know of a cloud.
public struct CloudSummary: Hashable, Sendable {
    /// How many points there are.
    public let count: Int
    /// The smallest box around them, in the world's coordinates; none where there is no point.
    public let boundingBox: BoundingBox?
    /// The mean of the points, summed up in their order; none where there is no point.
    public let centroid: PointCloud.Point?
    /// XXH3 of the content, as `xxh3:` and sixteen hexadecimal digits.
    public let digest: String

    /// Summarises a cloud.
    public init(_ content: CloudContent) {
        count = content.header.count
        let extent =
            switch content.header.scalar {
            case .single: Extent(content, Float.self)
            case .double: Extent(content, Double.self)
            }
        boundingBox =
            count == 0 ? nil : BoundingBox(minimum: extent.minimum, maximum: extent.maximum)
        centroid = count == 0 ? nil : extent.mean(count)
        digest = content.digest
    }

    /// The summary as JSON: `points`, `bounding_box`, `centroid`, `digest`.
    public var json: Value {
        [
            "points": Value(count),
            "bounding_box": boundingBox.map { box in
                ["minimum": box.minimum.json, "maximum": box.maximum.json]
            } ?? .null,
            "centroid": centroid?.json ?? .null,
            "digest": .string(digest),
        ]
    }
}

extension PointCloud.Point {
    /// The point as JSON: its three coordinates.
    public var json: Value { [.double(x), .double(y), .double(z)] }
}

private struct Extent {
    var minimum = PointCloud.Point(x: .infinity, y: .infinity, z: .infinity)
    var maximum = PointCloud.Point(x: -.infinity, y: -.infinity, z: -.infinity)
    var sum = PointCloud.Point(x: 0, y: 0, z: 0)

    init<Scalar: CloudScalar>(_ content: CloudContent, _: Scalar.Type) {
        let points = content.points
        let stride = content.header.scalarsPerPoint
        let matrix = content.header.pose.matrix
        // Without a pose the coordinates stay as they are to the last bit, -0 included.
        let isPlaced = content.header.pose != .identity
        for index in 0..<content.header.count {
            let start = index &* stride
            let x = Scalar(points, at: start).inDouble
            let y = Scalar(points, at: start &+ 1).inDouble
            let z = Scalar(points, at: start &+ 2).inDouble
            if isPlaced {
                let (a, b, c) = matrix.toWorld(x, y, z)
                add(a, b, c)
            } else {
                add(x, y, z)
            }
        }
    }

    @inline(__always)
    private mutating func add(_ x: Double, _ y: Double, _ z: Double) {
        if x < minimum.x { minimum.x = x }
        if y < minimum.y { minimum.y = y }
        if z < minimum.z { minimum.z = z }
        if x > maximum.x { maximum.x = x }
        if y > maximum.y { maximum.y = y }
        if z > maximum.z { maximum.z = z }
        sum.x += x
        sum.y += y
        sum.z += z
    }

    func mean(_ count: Int) -> PointCloud.Point {
        PointCloud.Point(
            x: sum.x / Double(count), y: sum.y / Double(count), z: sum.z / Double(count))
    }
}
