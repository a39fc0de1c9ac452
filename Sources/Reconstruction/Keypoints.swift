public import JSON
public import PointClouds

/// The places where a surface bends most: corners, edges, the tops of hills.
///
/// A cube's curvature is the share of the spread around it that is across the surface (the least
/// eigenvalue by the sum of all three, of the means in the 27 cubes around). A keypoint is a cube
/// that no neighbour surpasses; of two alike the one with the lower key stands. The strongest come
/// first.
public struct Keypoints: Hashable, Sendable {
    /// One of them.
    public struct Keypoint: Hashable, Sendable {
        /// Where it is, in the world's coordinates.
        public let position: PointCloud.Point
        /// How much the surface bends there: 0 where it is flat, at most 1/3.
        public let curvature: Double
    }

    /// Less is flat.
    public static let curvatureMin = 0.01

    /// The strongest, in falling order.
    public let strongest: [Keypoint]
    /// How many there are, the weaker ones included.
    public let found: Int

    /// The `limit` strongest keypoints of a surface.
    public init(_ surfels: Surfels, limit: Int) {
        let curvatures = surfels.curvatures
        var peaks: [Int] = []
        Surfels.sweep(surfels.keys) { index, neighbours in
            let own = curvatures[index]
            guard own >= Keypoints.curvatureMin else { return }
            for neighbour in neighbours where neighbour != index {
                let other = curvatures[neighbour]
                if other > own || (other == own && neighbour < index) { return }
            }
            peaks.append(index)
        }
        peaks.sort { (curvatures[$1], $0) < (curvatures[$0], $1) }
        found = peaks.count
        strongest = peaks.prefix(limit).map { index in
            Keypoint(position: surfels.positions[index], curvature: curvatures[index])
        }
    }

    /// The keypoints as JSON: `found`, and of the strongest `position` and `curvature`.
    public var json: Value {
        [
            "found": Value(found),
            "keypoints": .array(
                strongest.map { keypoint in
                    [
                        "position": keypoint.position.json,
                        "curvature": .double(keypoint.curvature),
                    ]
                }),
        ]
    }
}
