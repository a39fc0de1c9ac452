/// The types of plain scalars in YAML 1.2's core schema (section 10.3.2 of its specification).
enum CoreSchema {
    /// The value of a plain scalar, or `nil` for a number that no `Int64` or `Double` holds.
    static func resolve(_ text: String) -> Scalar? {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .float(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .float(-.infinity)
        case ".nan", ".NaN", ".NAN": return .float(.nan)
        default: break
        }
        let bytes = Array(text.utf8)
        // Nothing else starts a number, and most scalars are words.
        guard let first = bytes.first, first.isDigit || "+-.".utf8.contains(first) else {
            return .string(text)
        }
        if bytes.starts(with: "0o".utf8) || bytes.starts(with: "0x".utf8) {
            let digits = text.dropFirst(2)
            let isHexadecimal = bytes[1] == UInt8(ascii: "x")
            guard !digits.isEmpty,
                digits.utf8.allSatisfy({ isHexadecimal ? $0.isHexDigit : $0.isOctalDigit })
            else { return .string(text) }
            return Int64(digits, radix: isHexadecimal ? 16 : 8).map(Scalar.integer)
        }
        let unsigned = first.isDigit || first == UInt8(ascii: ".") ? bytes[...] : bytes.dropFirst()
        if !unsigned.isEmpty, unsigned.allSatisfy(\.isDigit) {
            return Int64(text).map(Scalar.integer)
        }
        guard isFloat(unsigned) else { return .string(text) }
        guard let number = Double(text), number.isFinite else { return nil }
        return .float(number)
    }

    /// `\.[0-9]+ | [0-9]+(\.[0-9]*)?`, then `([eE][-+]?[0-9]+)?`.
    private static func isFloat(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        func digits() -> Int {
            let count = rest.prefix(while: \.isDigit).count
            rest = rest.dropFirst(count)
            return count
        }
        let whole = digits()
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            if digits() == 0, whole == 0 { return false }
        } else if whole == 0 {
            return false
        }
        guard let exponent = rest.first else { return true }
        guard exponent == UInt8(ascii: "e") || exponent == UInt8(ascii: "E") else { return false }
        rest = rest.dropFirst()
        if let sign = rest.first, "+-".utf8.contains(sign) { rest = rest.dropFirst() }
        return digits() > 0 && rest.isEmpty
    }
}

extension UInt8 {
    var isDigit: Bool { (0x30...0x39).contains(self) }
    var isOctalDigit: Bool { (0x30...0x37).contains(self) }
    var isHexDigit: Bool {
        isDigit || (0x41...0x46).contains(self) || (0x61...0x66).contains(self)
    }
}
