import Glibc
import JSON
import TestSupport
import Testing

/// The canonical form beside that of a library that is not ours (PyPI's `rfc8785`).
@Suite struct CanonicalTests {
    /// `make fuzz` has 100,000.
    static let documents = thoroughness("SYNMESH_DOCUMENTS", usually: 10_000)

    @Test(
        "numbers are written as appendix B of RFC 8785 has them",
        arguments: [
            (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"), (0x8000_0000_0000_0001, "-5e-324"),
            (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
            (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xC340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"),
            (0x44B5_2D02_C7E1_4AF6, "1e+23"),
            (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"),
            (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
            (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"),
            (0x444B_1AE4_D6E2_EF50, "1e+21"), (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"),
            (0x3EB0_C6F7_A0B5_ED8D, "0.000001"), (0x41B3_DE43_5555_5553, "333333333.3333332"),
            (0x41B3_DE43_5555_5554, "333333333.33333325"),
            (0x41B3_DE43_5555_5555, "333333333.3333333"),
            (0x41B3_DE43_5555_5556, "333333333.3333334"),
            (0x41B3_DE43_5555_5557, "333333333.33333343"),
            (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
            (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
        ] as [(UInt64, String)])
    func numbers(bits: UInt64, text: String) {
        #expect(Value.double(Double(bitPattern: bits)).canonical == text)
    }

    @Test("random documents are written as the library writes them")
    func library() throws {
        var random = SeededGenerator(seed: 8_785)
        let directory = try TemporaryDirectory()
        let path = directory.file("documents")
        let file = try #require(fopen(path, "w"))
        for _ in 0..<Self.documents {
            let document = Document.text(depth: 0, &random)
            let canonical = try Value(parsing: document).canonical
            fputs("\(document)\n\(canonical)\n", file)
        }
        fclose(file)
        let script = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        let said = try Value(
            parsing: try output(of: ["python3", "/\(script)/canonical.py", path]))
        #expect(said["count"]?.integer == Int64(Self.documents))
        #expect(said["different"] == [])
    }
}

/// Documents as anybody may write them.
private enum Document {
    static func text(depth: Int, _ random: inout SeededGenerator) -> String {
        switch Int.random(in: 0..<(depth < 4 ? 8 : 6), using: &random) {
        case 0: ["null", "true", "false"].randomElement(using: &random) ?? "null"
        case 1:
            String(Int64.random(in: -9_007_199_254_740_991...9_007_199_254_740_991, using: &random))
        case 2: String(Int.random(in: -10...1_000, using: &random))
        case 3: number(&random)
        case 4, 5: string(&random)
        case 6:
            "["
                + (0..<Int.random(in: 0...5, using: &random)).map { _ in
                    space(&random) + text(depth: depth + 1, &random)
                }.joined(separator: ",") + space(&random) + "]"
        default: object(depth: depth, &random)
        }
    }

    private static func object(depth: Int, _ random: inout SeededGenerator) -> String {
        var names: Set<String> = []
        var members: [String] = []
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let name = string(&random)
            guard let read = try? Value(parsing: name).string, names.insert(read).inserted else {
                continue
            }
            members.append("\(name)\(space(&random)):\(text(depth: depth + 1, &random))")
        }
        return "{" + members.joined(separator: "," + space(&random)) + "}"
    }

    private static func number(_ random: inout SeededGenerator) -> String {
        while true {
            let number =
                Bool.random(using: &random)
                ? Double(bitPattern: random.next())
                : Double.random(in: -1e6...1e6, using: &random)
            if number.isFinite { return number.description }
        }
    }

    private static func string(_ random: inout SeededGenerator) -> String {
        var text = "\""
        for _ in 0..<Int.random(in: 0...8, using: &random) {
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                text +=
                    ["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\u0007", "\\u20ac"].randomElement(
                        using: &random) ?? ""
            case 1:
                let scalar = UInt32.random(in: 0x80...0xD7FF, using: &random)
                text.unicodeScalars.append(Unicode.Scalar(scalar) ?? "x")
            case 2:
                let scalar = UInt32.random(in: 0x1_0000...0x1_FFFF, using: &random)
                text.unicodeScalars.append(Unicode.Scalar(scalar) ?? "x")
            default:
                text.unicodeScalars.append(
                    Unicode.Scalar(UInt8.random(in: 0x61...0x7A, using: &random)))
            }
        }
        return text + "\""
    }

    private static func space(_ random: inout SeededGenerator) -> String {
        ["", "", " ", "\t"].randomElement(using: &random) ?? ""
    }
}
