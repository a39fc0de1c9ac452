/// The numbers that a PLY file is made of.
enum PLYScalar: Hashable, Sendable {
    case int8, uint8, int16, uint16, int32, uint32, float32, float64

    /// The type of the given name, in the names of 1994 or in those with sizes.
    init?(_ name: String) {
        switch name {
        case "char", "int8": self = .int8
        case "uchar", "uint8": self = .uint8
        case "short", "int16": self = .int16
        case "ushort", "uint16": self = .uint16
        case "int", "int32": self = .int32
        case "uint", "uint32": self = .uint32
        case "float", "float32": self = .float32
        case "double", "float64": self = .float64
        default: return nil
        }
    }

    var size: Int {
        switch self {
        case .int8, .uint8: 1
        case .int16, .uint16: 2
        case .int32, .uint32, .float32: 4
        case .float64: 8
        }
    }

    /// The integers that the type holds; nil for floating-point types.
    var integers: ClosedRange<Int>? {
        switch self {
        case .int8: Int(Int8.min)...Int(Int8.max)
        case .uint8: 0...Int(UInt8.max)
        case .int16: Int(Int16.min)...Int(Int16.max)
        case .uint16: 0...Int(UInt16.max)
        case .int32: Int(Int32.min)...Int(Int32.max)
        case .uint32: 0...Int(UInt32.max)
        case .float32, .float64: nil
        }
    }

    /// Whether every value of the type is a `Float`.
    var fitsSingle: Bool {
        switch self {
        case .int8, .uint8, .int16, .uint16, .float32: true
        case .int32, .uint32, .float64: false
        }
    }
}

/// What a PLY file says about itself before its data.
struct PLYHeader {
    enum Format { case ascii, binaryLittleEndian, binaryBigEndian }

    struct Property {
        let name: String
        let type: PLYScalar
        /// The type of the number of values before a list; nil for a single value.
        let count: PLYScalar?
    }

    struct Element {
        let name: String
        let count: Int
        /// Where the header declares it.
        let line: Int
        var properties: [Property] = []

        var hasLists: Bool { properties.contains { $0.count != nil } }
        /// The least that one row takes in binary: lists are empty.
        var rowSizeMin: Int { properties.reduce(0) { $0 + ($1.count ?? $1.type).size } }
    }

    /// A longer line is no header; embedded comments are far below.
    static let lineLengthMax = 65_536
    /// More elements, or more properties of one, are refused.
    static let entriesMax = 1_000

    private(set) var format = Format.ascii
    private(set) var elements: [Element] = []
    /// Where the data begins.
    private(set) var bodyOffset = 0
    /// The number of lines, `end_header` included.
    private(set) var lines = 0

    private var hasFormat = false

    init(parsing bytes: [UInt8]) throws(PLYError) {
        var reader = try HeaderLines(bytes)
        while let line = try reader.next() {
            lines = reader.number
            let words = line.split { $0 == 0x20 || $0 == 0x09 }
            guard let keyword = words.first else { continue }
            switch String(decoding: keyword, as: UTF8.self) {
            case "comment", "obj_info": continue
            case "format": try readFormat(words)
            case "element": try readElement(words)
            case "property": try readProperty(words)
            case "end_header":
                guard hasFormat else { throw malformed("the header names no format") }
                bodyOffset = reader.position
                return
            default: throw malformed("unknown header keyword \(quoted(keyword))")
            }
        }
        throw PLYError(
            .truncated, .line(reader.number), "the file ends before 'end_header'",
            remedy: PLYError.writeAgain)
    }

    private func malformed(_ reason: String) -> PLYError {
        PLYError(.header, .line(lines), reason, remedy: PLYError.writeAgain)
    }

    private mutating func readFormat(_ words: [ArraySlice<UInt8>]) throws(PLYError) {
        guard !hasFormat else { throw malformed("a second 'format'") }
        guard words.count == 3 else { throw malformed("expected 'format NAME VERSION'") }
        guard String(decoding: words[2], as: UTF8.self) == "1.0" else {
            throw PLYError(
                .unsupported, .line(lines), "version \(quoted(words[2])), only 1.0 is known",
                remedy: "export the file as PLY 1.0")
        }
        switch String(decoding: words[1], as: UTF8.self) {
        case "ascii": format = .ascii
        case "binary_little_endian": format = .binaryLittleEndian
        case "binary_big_endian": format = .binaryBigEndian
        default: throw malformed("unknown format \(quoted(words[1]))")
        }
        hasFormat = true
    }

    private mutating func readElement(_ words: [ArraySlice<UInt8>]) throws(PLYError) {
        guard words.count == 3 else { throw malformed("expected 'element NAME COUNT'") }
        let name = String(decoding: words[1], as: UTF8.self)
        guard words[2].allSatisfy({ (0x30...0x39).contains($0) }),
            let count = Int(String(decoding: words[2], as: UTF8.self))
        else {
            throw PLYError(
                .wrongCount, .line(lines),
                "the count of \(quoted(words[1])) is \(quoted(words[2])), not a number of rows",
                remedy: PLYError.writeAgain)
        }
        guard !elements.contains(where: { $0.name == name }) else {
            throw malformed("a second element \(quoted(words[1]))")
        }
        guard elements.count < PLYHeader.entriesMax else { throw malformed("too many elements") }
        elements.append(Element(name: name, count: count, line: lines))
    }

    private mutating func readProperty(_ words: [ArraySlice<UInt8>]) throws(PLYError) {
        guard var element = elements.popLast() else {
            throw malformed("a property before the first element")
        }
        let isList = words.count > 1 && String(decoding: words[1], as: UTF8.self) == "list"
        guard words.count == (isList ? 5 : 3), let last = words.last else {
            throw malformed("expected 'property TYPE NAME' or 'property list TYPE TYPE NAME'")
        }
        let name = String(decoding: last, as: UTF8.self)
        let type = try scalar(words[isList ? 3 : 1])
        let count: PLYScalar? = isList ? try scalar(words[2]) : nil
        if let count, count.integers == nil {
            throw malformed("the length of list \(quoted(last)) is of type \(quoted(words[2]))")
        }
        guard !element.properties.contains(where: { $0.name == name }) else {
            throw malformed("a second property \(quoted(last)) of '\(element.name)'")
        }
        guard element.properties.count < PLYHeader.entriesMax else {
            throw malformed("too many properties")
        }
        element.properties.append(Property(name: name, type: type, count: count))
        elements.append(element)
    }

    private func scalar(_ word: ArraySlice<UInt8>) throws(PLYError) -> PLYScalar {
        guard let type = PLYScalar(String(decoding: word, as: UTF8.self)) else {
            throw malformed("unknown type \(quoted(word))")
        }
        return type
    }
}

/// The lines of a header, whichever of LF, CR LF and CR ends them.
private struct HeaderLines {
    let bytes: [UInt8]
    let terminator: UInt8
    var position: Int
    var number = 1

    init(_ bytes: [UInt8]) throws(PLYError) {
        self.bytes = bytes
        guard bytes.starts(with: "ply".utf8), bytes.count > 3, bytes[3] == 0x0A || bytes[3] == 0x0D
        else {
            throw PLYError(
                .notPLY, .byte(0),
                bytes.isEmpty ? "the file is empty" : "the first line is not 'ply'",
                remedy: "name a PLY file, ascii or binary")
        }
        let isWide = bytes[3] == 0x0D && bytes.count > 4 && bytes[4] == 0x0A
        terminator = isWide ? 0x0A : bytes[3]
        position = isWide ? 5 : 4
    }

    /// The next line without its end; nil where the file ends without one.
    mutating func next() throws(PLYError) -> ArraySlice<UInt8>? {
        number += 1
        let limit = min(bytes.count, position + PLYHeader.lineLengthMax)
        guard let end = bytes[position..<limit].firstIndex(of: terminator) else {
            guard limit == bytes.count else {
                throw PLYError(
                    .header, .line(number),
                    "a line of more than \(PLYHeader.lineLengthMax) bytes",
                    remedy: PLYError.writeAgain)
            }
            return nil
        }
        var line = bytes[position..<end]
        if line.last == 0x0D { line.removeLast() }
        position = end + 1
        return line
    }
}
