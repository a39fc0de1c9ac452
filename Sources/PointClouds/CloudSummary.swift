internal import CXXHash
public import JSON

/// What a person and a comparison want to know of a cloud.
public struct CloudSummary: Hashable, Sendable {
    /// How many points there are.
    public let count: Int
    /// The smallest box around them; none where there is no point.
    public let boundingBox: BoundingBox?
    /// The mean of the points, summed up in their order; none where there is no point.
    public let centroid: PointCloud.Point?
    /// XXH3 of the content, as `xxh3:` and sixteen hexadecimal digits.
    public let digest: String

    /// Summarises a cloud.
    ///
    /// - Parameters:
    ///   - cloud: The points.
    ///   - content: The content that the cloud came in or goes out with; the digest is of that.
    public init(_ cloud: PointCloud, content: [UInt8]) {
        count = cloud.count
        var extent = Extent()
        switch cloud.coordinates {
        case .single(let values):
            var index = 0
            while index + 2 < values.count {
                extent.add(
                    Double(values[index]), Double(values[index + 1]), Double(values[index + 2]))
                index += 3
            }
        case .double(let values):
            var index = 0
            while index + 2 < values.count {
                extent.add(values[index], values[index + 1], values[index + 2])
                index += 3
            }
        }
        boundingBox =
            count == 0 ? nil : BoundingBox(minimum: extent.minimum, maximum: extent.maximum)
        centroid = count == 0 ? nil : extent.mean(count)
        digest = CloudSummary.digest(of: content)
    }

    /// The summary as JSON: `points`, `bounding_box`, `centroid`, `digest`.
    public var json: Value {
        [
            "points": Value(count),
            "bounding_box": boundingBox.map { box in
                ["minimum": array(box.minimum), "maximum": array(box.maximum)]
            } ?? .null,
            "centroid": centroid.map(array) ?? .null,
            "digest": .string(digest),
        ]
    }

    private func array(_ point: PointCloud.Point) -> Value {
        [.double(point.x), .double(point.y), .double(point.z)]
    }

    /// XXH3 of a content, as `xxh3:` and sixteen hexadecimal digits.
    public static func digest(of content: [UInt8]) -> String {
        let hash = content.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
        let digits = String(hash, radix: 16)
        return "xxh3:" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}

private struct Extent {
    var minimum = PointCloud.Point(x: .infinity, y: .infinity, z: .infinity)
    var maximum = PointCloud.Point(x: -.infinity, y: -.infinity, z: -.infinity)
    var sum = PointCloud.Point(x: 0, y: 0, z: 0)

    mutating func add(_ x: Double, _ y: Double, _ z: Double) {
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
