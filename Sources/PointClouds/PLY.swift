/// Files in the Polygon File Format, also known as the Stanford Triangle Format.
///
/// Read are the positions of the element `vertex`, in ascii and in both orders of binary. Whatever
/// else the file holds, lists included, is checked for being complete, and skipped.
public enum PLY {
    /// Reads the positions of a file's vertices from all of its bytes.
    ///
    /// Nothing is allocated on the word of a header: a count that the file cannot hold is refused.
    ///
    /// - Throws: `PLYError` at the first thing that does not fit.
    public static func read(_ bytes: [UInt8]) throws(PLYError) -> PointCloud {
        let header = try PLYHeader(parsing: bytes)
        let layout = try VertexLayout(header)
        switch header.format {
        case .ascii:
            var reader = ASCIIReader(bytes: bytes, header: header, layout: layout)
            return try reader.read()
        case .binaryLittleEndian, .binaryBigEndian:
            var reader = BinaryReader(bytes: bytes, header: header, layout: layout)
            return try reader.read()
        }
    }
}

/// Where the coordinates stand among the properties of the element `vertex`.
struct VertexLayout {
    /// Which of the elements it is.
    let element: Int
    /// The positions of x, y and z among its properties.
    let columns: [Int]
    /// For each property, 0, 1 or 2 where it is x, y or z.
    let axes: [Int?]
    let fitsSingle: Bool

    init(_ header: PLYHeader) throws(PLYError) {
        guard let index = header.elements.firstIndex(where: { $0.name == "vertex" }) else {
            throw PLYError(
                .missingCoordinates, .line(header.lines), "the header declares no element 'vertex'",
                remedy: "export the file with its vertices")
        }
        let vertex = header.elements[index]
        var columns: [Int] = []
        var missing: [String] = []
        for name in ["x", "y", "z"] {
            if let column = vertex.properties.firstIndex(where: { $0.name == name }) {
                guard vertex.properties[column].count == nil else {
                    throw PLYError(
                        .missingCoordinates, .line(vertex.line),
                        "the vertex property '\(name)' is a list, not a number",
                        remedy: "export positions as single numbers x, y and z")
                }
                columns.append(column)
            } else {
                missing.append("'\(name)'")
            }
        }
        guard missing.isEmpty else {
            throw PLYError(
                .missingCoordinates, .line(vertex.line),
                "the element 'vertex' has no \(missing.joined(separator: " and no "))",
                remedy: "export positions as properties x, y and z")
        }
        element = index
        self.columns = columns
        axes = vertex.properties.indices.map { columns.firstIndex(of: $0) }
        fitsSingle = columns.allSatisfy { vertex.properties[$0].type.fitsSingle }
    }
}

/// Coordinates while they are read, in the smallest precision that loses nothing.
struct CoordinateCollector {
    private var single: [Float] = []
    private var double: [Double] = []
    private let isSingle: Bool

    /// A collector for `count` points, which the caller has found to be possible.
    init(isSingle: Bool, count: Int) {
        self.isSingle = isSingle
        if isSingle {
            single.reserveCapacity(count * 3)
        } else {
            double.reserveCapacity(count * 3)
        }
    }

    mutating func append(_ x: Double, _ y: Double, _ z: Double) {
        if isSingle {
            single.append(Float(x))
            single.append(Float(y))
            single.append(Float(z))
        } else {
            double.append(x)
            double.append(y)
            double.append(z)
        }
    }

    var cloud: PointCloud { PointCloud(isSingle ? .single(single) : .double(double)) }
}
