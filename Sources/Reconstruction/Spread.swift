internal import PointClouds

/// How points lie around their mean.
struct Spread {
    private var count = 0.0
    private var x = 0.0, y = 0.0, z = 0.0
    private var xx = 0.0, xy = 0.0, xz = 0.0, yy = 0.0, yz = 0.0, zz = 0.0

    /// Adds a point; all are measured from `origin`, so that few digits are lost.
    mutating func add(_ point: PointCloud.Point, from origin: PointCloud.Point) {
        let (a, b, c) = (point.x - origin.x, point.y - origin.y, point.z - origin.z)
        count += 1
        x += a
        y += b
        z += c
        xx += a * a
        xy += a * b
        xz += a * c
        yy += b * b
        yz += b * c
        zz += c * c
    }

    /// The direction in which the points spread least, of length 1, and its share of all spread;
    /// nil where they lie in one place or on one line.
    var leastAxis: (direction: PointCloud.Point, share: Double)? {
        guard count > 0 else { return nil }
        var matrix = SymmetricMatrix(
            xx: xx - x * x / count, yy: yy - y * y / count, zz: zz - z * z / count,
            xy: xy - x * y / count, xz: xz - x * z / count, yz: yz - y * z / count)
        let axes = matrix.diagonalise()
        let values = [matrix.xx, matrix.yy, matrix.zz]
        var least = 0
        for index in 1..<3 where values[index] < values[least] { least = index }
        let total = values[0] + values[1] + values[2]
        let others = (0..<3).filter { $0 != least }.map { values[$0] }
        // The second least decides whether there is a plane at all.
        guard total > 0, min(others[0], others[1]) > total * 1e-9 else { return nil }
        return (axes[least], max(values[least], 0) / total)
    }
}

/// A matrix of three by three that is its own mirror image.
private struct SymmetricMatrix {
    var xx, yy, zz, xy, xz, yz: Double

    /// Turns the axes until only the diagonal is left (Jacobi's method), and returns them.
    ///
    /// Additions, multiplications, divisions and square roots only, always in one order: the same
    /// bits on every machine.
    mutating func diagonalise() -> [PointCloud.Point] {
        var a = PointCloud.Point(x: 1, y: 0, z: 0)
        var b = PointCloud.Point(x: 0, y: 1, z: 0)
        var c = PointCloud.Point(x: 0, y: 0, z: 1)
        for _ in 0..<12 {
            let off = xy * xy + xz * xz + yz * yz
            let scale = xx * xx + yy * yy + zz * zz
            if off <= scale * 1e-28 { break }
            Self.turn(&xx, &yy, &xy, &xz, &yz, &a, &b)
            Self.turn(&xx, &zz, &xz, &xy, &yz, &a, &c)
            Self.turn(&yy, &zz, &yz, &xy, &xz, &b, &c)
        }
        return [a, b, c]
    }

    /// Turns two axes so that `mixed`, what they have in common, becomes 0; `first` and `second` are
    /// what each has in common with the third axis.
    private static func turn(
        _ one: inout Double, _ two: inout Double, _ mixed: inout Double, _ first: inout Double,
        _ second: inout Double, _ a: inout PointCloud.Point, _ b: inout PointCloud.Point
    ) {
        guard mixed != 0 else { return }
        let ratio = (two - one) / (2 * mixed)
        let root = (ratio * ratio + 1).squareRoot()
        let tangent = ratio >= 0 ? 1 / (ratio + root) : -1 / (root - ratio)
        let cosine = 1 / (tangent * tangent + 1).squareRoot()
        let sine = tangent * cosine
        one -= tangent * mixed
        two += tangent * mixed
        mixed = 0
        (first, second) = (cosine * first - sine * second, sine * first + cosine * second)
        (a, b) = (
            PointCloud.Point(
                x: cosine * a.x - sine * b.x, y: cosine * a.y - sine * b.y,
                z: cosine * a.z - sine * b.z),
            PointCloud.Point(
                x: sine * a.x + cosine * b.x, y: sine * a.y + cosine * b.y,
                z: sine * a.z + cosine * b.z)
        )
    }
}
