/// A file of variables, one `NAME=VALUE` a line, as shells and Docker Compose read them.
///
/// Empty lines and lines that begin with `#` mean nothing, `export ` in front of a name neither. A
/// value in single quotes is what stands between them; in double quotes `\n`, `\t`, `\"`, `\\` and
/// `\$` stand for one character. A value without quotes ends before ` #`. Nothing is expanded.
public enum EnvironmentFile {
    /// A variable, and where the file sets it.
    public struct Variable: Sendable {
        /// A letter or `_`, then letters, digits and `_`.
        public let name: String
        /// What it is set to.
        public let value: String
        /// Where its name stands.
        public let location: Location
    }

    /// Reads a file, or reports what is wrong with it; what can be read is returned.
    public static func read(_ path: String, reportingTo diagnostics: Diagnostics) -> [Variable] {
        Source.read(path, reportingTo: diagnostics).map { parse($0, reportingTo: diagnostics) }
            ?? []
    }

    /// Takes a text apart; lines that mean nothing are reported and left out.
    public static func parse(_ source: Source, reportingTo diagnostics: Diagnostics) -> [Variable] {
        source.lines.enumerated().compactMap { index, line in
            let scalars = Array(line.unicodeScalars)
            let start = scalars.firstIndex { $0 != " " && $0 != "\t" } ?? scalars.count
            guard start < scalars.count, scalars[start] != "#" else { return nil }
            var rest = scalars[start...]
            if rest.starts(with: "export ".unicodeScalars) {
                rest = rest.dropFirst(7).drop { $0 == " " }
            }
            let column = rest.startIndex + 1
            let name = String(
                String.UnicodeScalarView(
                    rest.prefix {
                        $0.isASCII && ($0.properties.isAlphabetic || isDigit($0) || $0 == "_")
                    }))
            let location = Location(
                source: source, line: index + 1, column: column,
                length: max(1, name.unicodeScalars.count))
            rest = rest.dropFirst(name.unicodeScalars.count)
            guard let first = name.unicodeScalars.first, !isDigit(first), rest.first == "=" else {
                diagnostics.error(
                    "expected NAME=VALUE", at: location,
                    help: "a letter or '_', then letters, digits and '_', then '='; '#' begins a "
                        + "comment")
                return nil
            }
            guard let value = value(of: rest.dropFirst()) else {
                diagnostics.error(
                    "the quotes of \(Diagnostic.quote(name)) do not end, or something follows them",
                    at: location)
                return nil
            }
            return Variable(name: name, value: value, location: location)
        }
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar == " " || scalar == "\t"
    }

    private static func value(of text: ArraySlice<Unicode.Scalar>) -> String? {
        var value = String.UnicodeScalarView()
        guard let quote = text.first, quote == "'" || quote == "\"" else {
            for (index, scalar) in zip(text.indices, text) {
                if scalar == "#", index == text.startIndex || isSpace(text[index - 1]) { break }
                value.append(scalar)
            }
            while let last = value.last, isSpace(last) { value.removeLast() }
            return String(value)
        }
        var rest = text.dropFirst()
        while let scalar = rest.popFirst() {
            if scalar == quote {
                let after = rest.drop(while: isSpace)
                return after.isEmpty || after.first == "#" ? String(value) : nil
            }
            guard quote == "\"", scalar == "\\", let next = rest.first else {
                value.append(scalar)
                continue
            }
            let escapes: [Unicode.Scalar: Unicode.Scalar] = [
                "n": "\n", "t": "\t", "\"": "\"", "\\": "\\", "$": "$",
            ]
            guard let meant = escapes[next] else {
                value.append(scalar)
                continue
            }
            value.append(meant)
            rest = rest.dropFirst()
        }
        return nil
    }
}
