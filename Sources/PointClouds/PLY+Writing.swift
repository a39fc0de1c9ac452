extension PLY {
    /// The bytes of a binary little-endian file with the cloud's points as its vertices.
    public static func binary(_ cloud: PointCloud, comment: String? = nil) -> [UInt8] {
        var bytes = header(cloud, format: "binary_little_endian", comment: comment)
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: CloudHeader(cloud).stride * cloud.count))
        bytes.withUnsafeMutableBytes {
            cloud.writePoints(to: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
        }
        return bytes
    }

    /// The bytes of an ascii file, with as many digits as it takes to read the same numbers again.
    public static func ascii(_ cloud: PointCloud, comment: String? = nil) -> [UInt8] {
        var bytes = header(cloud, format: "ascii", comment: comment)
        func line(
            _ x: some CustomStringConvertible, _ y: some CustomStringConvertible,
            _ z: some CustomStringConvertible
        ) {
            bytes.append(contentsOf: "\(x) \(y) \(z)\n".utf8)
        }
        for start in stride(from: 0, to: cloud.count * 3, by: 3) {
            switch cloud.coordinates {
            case .single(let values): line(values[start], values[start + 1], values[start + 2])
            case .double(let values): line(values[start], values[start + 1], values[start + 2])
            }
        }
        return bytes
    }

    private static func header(
        _ cloud: PointCloud, format: String, comment: String?
    ) -> [UInt8] {
        let type =
            switch cloud.coordinates {
            case .single: "float"
            case .double: "double"
            }
        var text = "ply\nformat \(format) 1.0\n"
        for line in (comment ?? "").split(whereSeparator: \.isNewline) {
            text += "comment \(line)\n"
        }
        text += "element vertex \(cloud.count)\n"
        for axis in ["x", "y", "z"] { text += "property \(type) \(axis)\n" }
        return Array((text + "end_header\n").utf8)
    }
}
