public import PointClouds

/// How large a surface is: a plane through each cube, cut at the cube's sides.
///
/// Each piece of the surface is replaced by the plane through its mean across its normal, as far as
/// it is inside the piece's own cube: a polygon of three to six corners, one to four triangles. Cubes
/// fill space without overlap, so the pieces cover the surface once, and the finer the cubes, the
/// closer their sum comes to its area, where points are dense enough to reach every cube.
///
/// The triangles are not joined: no edge is shared across the side of a cube. Where two sheets pass
/// through one cube, only one plane is there.
public struct Surface: Hashable, Sendable {
    /// How many triangles the polygons are made of.
    public private(set) var triangles = 0
    /// Their area, summed up in the order of the cubes.
    public private(set) var area = 0.0

    /// The surface of pieces with normals.
    public init(_ surfels: Surfels) {
        for index in 0..<surfels.count {
            let (place, normal) = (surfels.positions[index], surfels.normals[index])
            add(
                place.x / surfels.voxel, place.y / surfels.voxel, place.z / surfels.voxel, normal)
        }
        area *= surfels.voxel * surfels.voxel
    }

    /// The surface of a cloud's own pieces: of points with normals that stand for voxels.
    ///
    /// Nil where they do not.
    public init?(_ content: CloudContent) {
        guard content.header.hasNormals, content.header.spacing > 0 else { return nil }
        switch content.header.scalar {
        case .single: add(content, Float.self)
        case .double: add(content, Double.self)
        }
        area *= content.header.spacing * content.header.spacing
    }

    private mutating func add<Scalar: CloudScalar>(_ content: CloudContent, _: Scalar.Type) {
        let (points, voxel) = (content.points, content.header.spacing)
        for index in 0..<content.header.count {
            func number(_ place: Int) -> Double {
                Scalar(points, at: index &* 6 &+ place).inDouble
            }
            add(
                number(0) / voxel, number(1) / voxel, number(2) / voxel,
                PointCloud.Point(x: number(3), y: number(4), z: number(5)))
        }
    }

    /// Adds the piece at a place, in edges.
    private mutating func add(
        _ x: Double, _ y: Double, _ z: Double, _ normal: PointCloud.Point
    ) {
        let place = (
            x - x.rounded(.down), y - y.rounded(.down), z - z.rounded(.down)
        )
        let (a, b, c) = (abs(normal.x), abs(normal.y), abs(normal.z))
        guard a + b + c > 0 else { return }
        // Seen along the axis that the plane faces most, it is a slope over the cube's base.
        let corners: Int
        let base: Double
        let cosine: Double
        if c >= a, c >= b {
            (corners, base) = Surface.cut(place.0, place.1, place.2, normal.x, normal.y, normal.z)
            cosine = c
        } else if b >= a {
            (corners, base) = Surface.cut(place.0, place.2, place.1, normal.x, normal.z, normal.y)
            cosine = b
        } else {
            (corners, base) = Surface.cut(place.1, place.2, place.0, normal.y, normal.z, normal.x)
            cosine = a
        }
        guard corners >= 3 else { return }
        triangles += corners - 2
        let length = (a * a + b * b + c * c).squareRoot()
        area += base * length / cosine
    }

    /// What of the base, a square of side 1, has the plane above it and below the top.
    ///
    /// - Parameters:
    ///   - u: The first coordinate of the plane's point.
    ///   - v: The second one.
    ///   - w: Its height.
    ///   - nu: The normal's part along u.
    ///   - nv: The normal's part along v.
    ///   - nw: The normal's part along the height, not 0.
    /// - Returns: How many corners it has, and its area.
    private static func cut(
        _ u: Double, _ v: Double, _ w: Double, _ nu: Double, _ nv: Double, _ nw: Double
    ) -> (corners: Int, area: Double) {
        var polygon = Polygon()
        for (cornerU, cornerV) in [(0.0, 0.0), (1, 0), (1, 1), (0, 1)] as [(Double, Double)] {
            polygon.append(
                Polygon.Corner(
                    u: cornerU, v: cornerV,
                    height: w - (nu * (cornerU - u) + nv * (cornerV - v)) / nw))
        }
        polygon.keep { $0.height }
        polygon.keep { 1 - $0.height }
        return (polygon.count, polygon.area)
    }
}

/// A convex polygon without memory of its own: a square cut twice has six corners at most.
private struct Polygon {
    struct Corner {
        var u, v, height: Double
    }

    private var corners: InlineArray<12, Corner> = .init(
        repeating: Corner(u: 0, v: 0, height: 0))
    private(set) var count = 0

    mutating func append(_ corner: Corner) {
        // Not by geometry, but rounding knows none.
        guard count < 12 else { return }
        corners[count] = corner
        count &+= 1
    }

    /// Cuts off where `inside` is negative.
    @inline(__always)
    mutating func keep(_ inside: (Corner) -> Double) {
        var kept = Polygon()
        for index in 0..<count {
            let one = corners[index]
            let two = corners[index &+ 1 == count ? 0 : index &+ 1]
            let (a, b) = (inside(one), inside(two))
            if a >= 0 { kept.append(one) }
            if (a < 0 && b > 0) || (a > 0 && b < 0) {
                let part = a / (a - b)
                kept.append(
                    Corner(
                        u: one.u + (two.u - one.u) * part, v: one.v + (two.v - one.v) * part,
                        height: one.height + (two.height - one.height) * part))
            }
        }
        self = kept
    }

    /// By the shoelace formula.
    var area: Double {
        var sum = 0.0
        for index in 0..<count {
            let one = corners[index]
            let two = corners[index &+ 1 == count ? 0 : index &+ 1]
            sum += one.u * two.v - two.u * one.v
        }
        return abs(sum) / 2
    }
}
