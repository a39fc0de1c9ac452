import PointClouds
import Testing

private let header = """
    ply
    format ascii 1.0
    comment made by hand
    obj_info nothing
    element vertex 2
    property float x
    property float y
    property float z
    end_header

    """

@Test(
    "The positions of an ascii file are read in their order, whatever ends its lines",
    arguments: ["\n", "\r\n", "\r"])
func asciiLineEnds(end: String) throws {
    let text = (header + "1 2.5 -3e1\n\n 4\t5  6 ").split(
        separator: "\n", omittingEmptySubsequences: false
    )
    .joined(separator: end)
    let cloud = try PLY.read(Array(text.utf8))
    #expect(cloud.coordinates == .single([1, 2.5, -30, 4, 5, 6]))
    #expect(cloud[1] == PointCloud.Point(x: 4, y: 5, z: 6))
}

@Test(
    "A header ends its lines as its first line does, before binary data too",
    arguments: ["\n", "\r\n", "\r"])
func binaryLineEnds(end: String) throws {
    let lines = [
        "ply", "format binary_little_endian 1.0", "element vertex 1", "property uchar x",
        "property uchar y", "property uchar z", "end_header", "",
    ]
    let cloud = try PLY.read(Array(lines.joined(separator: end).utf8) + [10, 13, 255])
    #expect(cloud.coordinates == .single([10, 13, 255]))
}

@Test("Positions are found by name among properties of any type, lists included")
func otherProperties() throws {
    let text = """
        ply
        format ascii 1.0
        element material 1
        property list uchar char name
        property int id
        element vertex 2
        property uchar red
        property float32 z
        property list uint8 float64 weights
        property double x
        property int16 y
        element face 1
        property list uchar int vertex_indices
        end_header
        3 65 66 67 9
        255 1.5 2 0.1 0.2 0.25 -7
        0 2.5 0 1e-3 8
        3 0 1 1

        """
    let cloud = try PLY.read(Array(text.utf8))
    #expect(cloud.coordinates == .double([0.25, -7, 1.5, 1e-3, 8, 2.5]))
}

@Test("The same in binary: lists before, inside and after the vertices are skipped")
func binaryLists() throws {
    var bytes = Array(
        """
        ply
        format binary_little_endian 1.0
        element material 2
        property list ushort char name
        element vertex 2
        property list uchar short weights
        property double z
        property float x
        property int y
        element face 1
        property list uint uchar vertex_indices
        end_header

        """.utf8)
    bytes += [2, 0, 1, 2, 0, 0]
    for (weights, z, x, y) in [([1, 0, 2, 0], 1.25, Float(2.5), Int32(-9)), ([], -1, 0, 7)] {
        bytes.append(UInt8(weights.count / 2))
        bytes += weights.map { UInt8($0) }
        withUnsafeBytes(of: z.bitPattern.littleEndian) { bytes += $0 }
        withUnsafeBytes(of: x.bitPattern.littleEndian) { bytes += $0 }
        withUnsafeBytes(of: y.littleEndian) { bytes += $0 }
    }
    bytes += [3, 0, 0, 0, 9, 9, 9]
    let cloud = try PLY.read(bytes)
    #expect(cloud.coordinates == .double([2.5, -9, 1.25, 0, 7, -1]))
}

@Test(
    "Both names of each type are known, and read as what they are",
    arguments: [
        ("char", "int8", [UInt8(0xFF)], -1.0), ("uchar", "uint8", [0xFF], 255),
        ("short", "int16", [0xFE, 0xFF], -2), ("ushort", "uint16", [0xFE, 0xFF], 65_534),
        ("int", "int32", [0xFD, 0xFF, 0xFF, 0xFF], -3),
        ("uint", "uint32", [0xFD, 0xFF, 0xFF, 0xFF], 4_294_967_293),
        ("float", "float32", [0, 0, 0x20, 0x40], 2.5),
        ("double", "float64", [0, 0, 0, 0, 0, 0, 4, 0xC0], -2.5),
    ])
func types(old: String, new: String, bytes: [UInt8], value: Double) throws {
    for name in [old, new] {
        let head = """
            ply
            format binary_little_endian 1.0
            element vertex 1
            property \(name) x
            property \(name) y
            property \(name) z
            end_header

            """
        let cloud = try PLY.read(Array(head.utf8) + bytes + bytes + bytes)
        #expect(cloud[0] == PointCloud.Point(x: value, y: value, z: value))
    }
}

@Test("A file without points is an empty cloud")
func noPoints() throws {
    let text = header.replacing("vertex 2", with: "vertex 0")
    #expect(try PLY.read(Array(text.utf8)).count == 0)
}

@Test(
    "What the writers write is read again, bit for bit",
    arguments: [
        PointCloud.Coordinates.single([0.1, -0.0, .leastNonzeroMagnitude, 3e38, 1 / 3, -5]),
        .double([0.1, -0.0, .leastNonzeroMagnitude, 1e308, 1 / 3, -5]), .single([]), .double([]),
    ])
func roundTrip(coordinates: PointCloud.Coordinates) throws {
    let cloud = PointCloud(coordinates)
    for bytes in [PLY.binary(cloud, comment: "two\nlines"), PLY.ascii(cloud)] {
        let again = try PLY.read(bytes)
        switch (again.coordinates, coordinates) {
        case (.single(let one), .single(let two)):
            #expect(one.map(\.bitPattern) == two.map(\.bitPattern))
        case (.double(let one), .double(let two)):
            #expect(one.map(\.bitPattern) == two.map(\.bitPattern))
        default: Issue.record("the precision changed")
        }
    }
}
