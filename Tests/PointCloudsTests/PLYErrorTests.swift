import PointClouds
import Testing

/// A file, and what is to be said of it.
struct BrokenFile: Sendable, CustomTestStringConvertible {
    let title: String
    let bytes: [UInt8]
    let kind: PLYError.Kind
    let location: PLYError.Location
    let reason: String

    var testDescription: String { title }

    init(
        _ title: String, _ text: String, _ kind: PLYError.Kind, _ location: PLYError.Location,
        _ reason: String, data: [UInt8] = []
    ) {
        self.title = title
        bytes = Array(text.utf8) + data
        self.kind = kind
        self.location = location
        self.reason = reason
    }
}

private func ascii(_ vertex: String, _ body: String, format: String = "ascii 1.0") -> String {
    "ply\nformat \(format)\nelement vertex \(vertex)\nproperty float x\nproperty float y\n"
        + "property float z\nend_header\n" + body
}

private func binary(_ vertex: String, more: String = "") -> String {
    ascii(vertex, "", format: "binary_little_endian 1.0")
        .replacing("end_header", with: more + "end_header")
}

private func floats(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in
        withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    }
}

private let headers: [BrokenFile] = [
    BrokenFile("empty", "", .notPLY, .byte(0), "empty"),
    BrokenFile("another format", "OFF\n8 6 0\n", .notPLY, .byte(0), "'ply'"),
    BrokenFile(
        "no end", "ply\nformat ascii 1.0\nelement vertex 1\n", .truncated, .line(4), "ends before"),
    BrokenFile("no format", "ply\nelement vertex 1\nend_header\n", .header, .line(3), "no format"),
    BrokenFile(
        "two formats", "ply\nformat ascii 1.0\nformat ascii 1.0\n", .header, .line(3), "second"),
    BrokenFile("format without version", "ply\nformat ascii\n", .header, .line(2), "VERSION"),
    BrokenFile("another version", "ply\nformat ascii 1.1\n", .unsupported, .line(2), "'1.1'"),
    BrokenFile("unknown format", "ply\nformat ebcdic 1.0\n", .header, .line(2), "'ebcdic'"),
    BrokenFile(
        "unknown keyword", "ply\nformat ascii 1.0\nelment vertex 1\n", .header, .line(3), "'elment'"
    ),
    BrokenFile("control characters", "ply\n\u{1B}[2Jx\n", .header, .line(2), "'?[2Jx'"),
    BrokenFile(
        "property before element", "ply\nproperty float x\n", .header, .line(2), "before the first"),
    BrokenFile(
        "unknown type", "ply\nelement vertex 1\nproperty half x\n", .header, .line(3), "'half'"),
    BrokenFile(
        "property without name", "ply\nelement vertex 1\nproperty float\n", .header, .line(3),
        "NAME"),
    BrokenFile(
        "list without types", "ply\nelement f 1\nproperty list uchar i\n", .header, .line(3),
        "list TYPE"),
    BrokenFile(
        "list counted in floats", "ply\nelement f 1\nproperty list float int i\n", .header,
        .line(3), "length of list"),
    BrokenFile(
        "two elements of a name", "ply\nelement v 1\nelement v 1\n", .header, .line(3),
        "second element"),
    BrokenFile(
        "two properties of a name", "ply\nelement v 1\nproperty int a\nproperty int a\n", .header,
        .line(4), "second property"),
    BrokenFile("negative count", ascii("-1", ""), .wrongCount, .line(3), "'-1'"),
    BrokenFile("count that is no number", ascii("many", ""), .wrongCount, .line(3), "'many'"),
    BrokenFile(
        "count beyond 64 bits", ascii("99999999999999999999", ""), .wrongCount, .line(3),
        "not a number of rows"),
    BrokenFile(
        "no vertices", "ply\nformat ascii 1.0\nelement face 0\nend_header\n", .missingCoordinates,
        .line(4), "no element 'vertex'"),
    BrokenFile(
        "no y and z", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
        .missingCoordinates, .line(3), "no 'y' and no 'z'"),
    BrokenFile(
        "x is a list",
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar float x\nend_header\n",
        .missingCoordinates, .line(3), "is a list"),
]

private let texts: [BrokenFile] = [
    BrokenFile(
        "rows are missing", ascii("3", "1 2 3\n1 2 3\n"), .truncated, .line(8), "12 bytes are left"),
    BrokenFile(
        "the last row is missing", ascii("2", "100.25 200.25 300.25\n"), .truncated, .line(9),
        "after 1 of 2"),
    BrokenFile(
        "a value is missing", ascii("2", "1 2 3\n1 2\n1 2 3"), .wrongCount, .line(9),
        "before its 'z'"),
    BrokenFile(
        "cut within a row", ascii("2", "1 2 3\n1.25 2"), .truncated, .line(9), "before its 'z'"),
    BrokenFile(
        "a value too many", ascii("2", "1 2 3\n1 2 3 4\n"), .wrongCount, .line(9), "more values"),
    BrokenFile(
        "a row too many", ascii("1", "1 2 3\n\n1 2 3\n"), .wrongCount, .line(10), "text follows"),
    BrokenFile(
        "a count that lies", ascii("4000000000000", "1 2 3\n"), .wrongCount, .line(8),
        "4000000000000"),
    BrokenFile(
        "a count whose bytes overflow", ascii("4611686018427387904", "1 2 3\n"), .wrongCount,
        .line(8), "rows of 'vertex'"),
    BrokenFile("not a number", ascii("1", "1 nan 3\n"), .notFinite, .line(8), "'nan'"),
    BrokenFile(
        "infinite", ascii("1", "-inf 2 3\n"), .notFinite, .line(8), "coordinate x of vertex 0"),
    BrokenFile("beyond float", ascii("1", "1 2 1e39\n"), .notFinite, .line(8), "beyond the range"),
    BrokenFile("beyond double", ascii("1", "1 2 1e999\n"), .notFinite, .line(8), "not finite"),
    BrokenFile("a word", ascii("1", "1 two 3\n"), .value, .line(8), "'two'"),
    BrokenFile("hexadecimal", ascii("1", "1 0x10 3\n"), .value, .line(8), "'0x10'"),
    BrokenFile(
        "a list length that lies",
        "ply\nformat ascii 1.0\nelement face 1\nproperty list int int i\nelement vertex 0\nproperty int x\nproperty int y\nproperty int z\nend_header\n9000000000 1 2\n",
        .wrongCount, .line(10), "before its 'i'"),
    BrokenFile(
        "a negative list length",
        "ply\nformat ascii 1.0\nelement face 1\nproperty list int int i\nelement vertex 0\nproperty int x\nproperty int y\nproperty int z\nend_header\n-1 1 2\n",
        .wrongCount, .line(10), "'-1'"),
    BrokenFile(
        "an integer with a fraction", ascii("1", "1 2.5 3\n").replacing("float", with: "int"),
        .value, .line(8), "no integer"),
    BrokenFile(
        "an integer out of range", ascii("1", "1 256 3\n").replacing("float", with: "uchar"),
        .value, .line(8), "no integer"),
]

private let binaries: [BrokenFile] = [
    BrokenFile(
        "binary cut", binary("2"), .truncated, .byte(115), "23 bytes are left",
        data: Array(floats([1, 2, 3, 4, 5, 6]).dropLast())),
    BrokenFile(
        "binary bytes too many", binary("1"), .wrongCount, .byte(127), "12 bytes follow",
        data: floats([1, 2, 3, 4, 5, 6])),
    BrokenFile(
        "binary count that lies", binary("4000000000"), .wrongCount, .byte(124), "4000000000 rows",
        data: floats([1, 2, 3])),
    BrokenFile(
        "binary not a number", binary("2"), .notFinite, .byte(131),
        "coordinate y of vertex 1 is nan", data: floats([1, 2, 3, 4, .nan, 6])),
    BrokenFile(
        "binary infinite", binary("1"), .notFinite, .byte(123), "coordinate z of vertex 0 is inf",
        data: floats([1, 2, .infinity])),
    BrokenFile(
        "big-endian not a number", ascii("1", "", format: "binary_big_endian 1.0"), .notFinite,
        .byte(116), "coordinate y of vertex 0 is nan",
        data: [0x3F, 0x80, 0, 0, 0x7F, 0xC0, 0, 0, 0x3F, 0x80, 0, 0]),
    BrokenFile(
        "binary list that lies", binary("1", more: "element face 1\nproperty list uint int i\n"),
        .truncated, .byte(171), "row 0 of 1 of 'face'",
        data: floats([1, 2, 3]) + [0xFF, 0xFF, 0xFF, 0x7F, 0, 0]),
    BrokenFile(
        "binary negative list", binary("1", more: "element face 1\nproperty list int int i\n"),
        .wrongCount, .byte(166), "-1 values", data: floats([1, 2, 3]) + [0xFF, 0xFF, 0xFF, 0xFF]),
]

@Test(
    "What is wrong with a file is said with its place and a remedy",
    arguments: headers + texts + binaries)
func errors(file: BrokenFile) throws {
    let error = try #require(throws: PLYError.self) { try PLY.read(file.bytes) }
    #expect(error.kind == file.kind)
    #expect(error.location == file.location, "\(error)")
    #expect(error.reason.contains(file.reason), "\(error)")
    #expect(!error.remedy.isEmpty)
    #expect(error.description.contains("\(file.location)"))
}

@Test("Every kind of error has its case in the table")
func kindsAreCovered() {
    let covered = Set((headers + texts + binaries).map(\.kind))
    #expect(covered == Set(PLYError.Kind.allCases))
}
