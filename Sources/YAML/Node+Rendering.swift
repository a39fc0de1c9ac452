extension Node {
    /// The tree as a YAML document that means the same, with references and aliases replaced.
    public var rendered: String {
        var text = ""
        write(to: &text, indent: 0)
        if text.hasPrefix("\n") { text.removeFirst() }
        if text.hasPrefix(" ") { text.removeFirst() }
        return text
    }

    private func write(to text: inout String, indent: Int) {
        let margin = String(repeating: "  ", count: indent)
        switch content {
        case .mapping(let entries) where !entries.isEmpty:
            text += "\n"
            for entry in entries {
                text += margin + Self.written(entry.key) + ":"
                entry.value.write(to: &text, indent: indent + 1)
            }
        case .sequence(let elements) where !elements.isEmpty:
            text += "\n"
            for element in elements {
                text += margin + "-"
                element.write(to: &text, indent: indent + 1)
            }
        case .mapping: text += " {}\n"
        case .sequence: text += " []\n"
        case .scalar(.string(let value), _): text += " " + Self.written(value) + "\n"
        case .scalar(.null, _): text += " null\n"
        case .scalar(_, let written): text += " " + written + "\n"
        case .invalid: text += " null\n"
        }
    }

    /// A text as a plain scalar where that is the same text again, otherwise in double quotes.
    private static func written(_ text: String) -> String {
        let isPlain =
            !text.isEmpty && CoreSchema.resolve(text) == .string(text)
            && text.utf8.allSatisfy {
                $0.isDigit || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                    || "_-./".utf8.contains($0)
            } && !"-.".utf8.contains(text.utf8.first ?? 0)
        guard !isPlain else { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case _
            where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
                || scalar == "\u{2028}" || scalar == "\u{2029}" || scalar == "\u{FEFF}":
                let digits = String(scalar.value, radix: 16, uppercase: true)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
