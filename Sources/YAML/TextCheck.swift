/// Refuses what is no text, before libyaml sees it: libyaml names such a place by its byte only.
struct TextCheck {
    let source: Source
    let diagnostics: Diagnostics

    /// Whether the bytes are UTF-8 text that a YAML file may hold; the first fault is reported.
    func passes() -> Bool {
        guard source.bytes.count <= Source.byteCountMax else {
            diagnostics.report(Diagnostic(source: source, message: Source.tooLarge))
            return false
        }
        var iterator = source.bytes.makeIterator()
        var decoder = UTF8()
        var (line, column) = (1, 1)
        var afterReturn = false
        while true {
            let scalar: Unicode.Scalar
            switch decoder.decode(&iterator) {
            case .emptyInput: return hasNoTagDirective()
            case .error:
                refuse("the file is not UTF-8 here", line, column)
                return false
            case .scalarValue(let value): scalar = value
            }
            guard Self.isAllowed(scalar) else {
                let name = scalar == "\0" ? "a NUL byte" : "a control character"
                refuse("the file holds \(name) here", line, column)
                return false
            }
            let isBreak = ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains(scalar)
            if scalar == "\n", afterReturn {
                afterReturn = false
            } else if isBreak {
                (line, column) = (line + 1, 1)
                afterReturn = scalar == "\r"
            } else {
                column += 1
                afterReturn = false
            }
        }
    }

    private func refuse(_ message: String, _ line: Int, _ column: Int) {
        diagnostics.error(
            message, at: Location(source: source, line: line, column: column, length: 1),
            help: "save the file as plain UTF-8 text")
    }

    /// libyaml compares each `%TAG` with all before it, and own tags are refused in any case.
    private func hasNoTagDirective() -> Bool {
        guard let index = source.lines.firstIndex(where: { $0.utf8.starts(with: "%TAG".utf8) })
        else {
            return true
        }
        diagnostics.error(
            "tags of one's own are not supported",
            at: Location(source: source, line: index + 1, column: 1, length: 4),
            help: "remove the %TAG line")
        return false
    }

    /// YAML's `c-printable`.
    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xA, 0xD, 0x20...0x7E, 0x85, 0xA0...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF:
            true
        default: false
        }
    }
}
