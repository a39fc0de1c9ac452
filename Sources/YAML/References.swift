/// References to values from outside in a text: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`.
///
/// The forms are those of the shell (POSIX.1-2024, XCU 2.6.2), of which a colon means that an
/// empty value counts as none. `$${` stands for `${`; a `$` in front of anything else is a `$`.
struct References {
    /// What is wrong, and where in the text: the offset and length in Unicode scalars.
    struct Mistake {
        let message: String
        let help: String?
        let range: Range<Int>
    }

    let adjustments: Adjustments

    /// Whether there is anything to do.
    static func areIn(_ text: String) -> Bool { text.utf8.contains(UInt8(ascii: "$")) }

    /// The text with values in the place of references.
    func expanded(_ text: String, _ complain: (Mistake) -> Void) -> String? {
        let scalars = Array(text.unicodeScalars)
        var result = String.UnicodeScalarView()
        var position = 0
        var isGood = true
        while position < scalars.count {
            let rest = scalars[position...]
            if rest.starts(with: "$${".unicodeScalars) {
                result.append(contentsOf: "${".unicodeScalars)
                position += 3
            } else if rest.starts(with: "${".unicodeScalars) {
                guard let end = rest.firstIndex(of: "}") else {
                    complain(
                        Mistake(
                            message: "a '${' without its '}'",
                            help: "write '$${' for the characters themselves",
                            range: position..<position + 2))
                    return nil
                }
                let inner = String(String.UnicodeScalarView(scalars[position + 2..<end]))
                if let value = value(of: inner, at: position..<end + 1, complain) {
                    result.append(contentsOf: value.unicodeScalars)
                } else {
                    isGood = false
                }
                position = end + 1
            } else {
                result.append(scalars[position])
                position += 1
            }
        }
        return isGood ? String(result) : nil
    }

    private func value(
        of inner: String, at range: Range<Int>, _ complain: (Mistake) -> Void
    ) -> String? {
        if adjustments.deferredPrefixes.contains(where: { inner.hasPrefix($0) }) {
            return "${\(inner)}"
        }
        let name = String(inner.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        let rest = inner.dropFirst(name.count)
        guard let first = name.first, !first.isNumber,
            rest.isEmpty || rest.hasPrefix(":-") || rest.hasPrefix(":?")
        else {
            complain(
                Mistake(
                    message: "\(Diagnostic.quote("${\(inner)}")) is no reference",
                    help: "'${NAME}', '${NAME:-default}' or '${NAME:?message}'; write '$${' for "
                        + "the characters themselves", range: range))
            return nil
        }
        if let value = adjustments.variables[name], !value.isEmpty || rest.isEmpty {
            return value
        }
        if rest.hasPrefix(":-") { return String(rest.dropFirst(2)) }
        let message = rest.dropFirst(2)
        let nearest = Suggestion.nearest(to: name, among: adjustments.variables.keys.sorted())
        complain(
            Mistake(
                message: "the variable \(Diagnostic.quote(name)) is not set"
                    + (message.isEmpty ? "" : ": \(message)"),
                help: nearest.map { "did you mean \(Diagnostic.quote($0))?" }
                    ?? "set it, or give it a default: '${\(name):-…}'",
                range: range))
        return nil
    }
}
