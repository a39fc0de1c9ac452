extension Value {
    /// The canonical bytes of the value, as RFC 8785 (JSON Canonicalization Scheme) has them.
    ///
    /// Members are sorted by UTF-16 code units, numbers are written as ECMAScript writes them and
    /// there is no white space. Integers outside ±2^53 are written exactly, which RFC 8785 leaves to
    /// strings: a sequence number must survive the round trip.
    ///
    /// - Complexity: O(n log n) in the number of members of the largest object.
    public var canonical: String {
        var text = ""
        write(into: &text)
        return text
    }

    private func write(into text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let truth): text += truth ? "true" : "false"
        case .integer(let number): text += String(number)
        case .double(let number): text += Value.ecmaScript(number)
        case .string(let string): Value.quote(string, into: &text)
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += "," }
                element.write(into: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            let sorted = members.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
            for (index, member) in sorted.enumerated() {
                if index > 0 { text += "," }
                Value.quote(member.key, into: &text)
                text += ":"
                member.value.write(into: &text)
            }
            text += "}"
        }
    }

    private static func quote(_ string: String, into text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\u{08}": text += "\\b"
            case "\u{0C}": text += "\\f"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{00}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }

    /// Number::toString of ECMA-262, from the shortest digits that Swift's description gives.
    private static func ecmaScript(_ number: Double) -> String {
        // JSON has no infinities; a writer that met one would have to lie, so it says null.
        guard number.isFinite else { return "null" }
        guard number != 0 else { return "0" }
        let (digits, exponent) = shortestDigits(number.magnitude)
        let count = digits.count
        let sign = number < 0 ? "-" : ""
        if exponent > 21 || exponent < -5 {
            let power = exponent - 1
            let fraction = count > 1 ? "." + digits.dropFirst() : ""
            return sign + digits.prefix(1) + fraction + "e" + (power < 0 ? "-" : "+")
                + String(power.magnitude)
        }
        if exponent <= 0 {
            return sign + "0." + String(repeating: "0", count: -exponent) + digits
        }
        if count <= exponent {
            return sign + digits + String(repeating: "0", count: exponent - count)
        }
        return sign + digits.prefix(exponent) + "." + digits.dropFirst(exponent)
    }

    /// The digits d1 d2 … and the n with value = 0.d1d2… × 10^n.
    private static func shortestDigits(_ number: Double) -> (digits: String, exponent: Int) {
        let parts = number.description.split(separator: "e")
        let power = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let mantissa = parts[0].split(separator: ".")
        let whole = mantissa[0] == "0" ? "" : String(mantissa[0])
        let fraction = mantissa.count > 1 && mantissa[1] != "0" ? String(mantissa[1]) : ""
        let all = whole + fraction
        let leading = all.prefix { $0 == "0" }.count
        var digits = String(all.dropFirst(leading))
        while digits.last == "0" { digits.removeLast() }
        return (digits, whole.count + power - leading)
    }
}
