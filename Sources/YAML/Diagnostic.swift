/// Something wrong with a file: where, what, and what to do about it.
///
/// It renders as compilers do:
///
///     topologies/a.yaml:12:13: error: unknown branch 'photogrametry'
///        12 |     branch: photogrametry
///           |             ^~~~~~~~~~~~~
///     help: did you mean 'photogrammetry'?
public struct Diagnostic: Sendable, Hashable {
    /// Whether the file can be used at all.
    public enum Severity: String, Sendable {
        case error
        case warning
        /// Nothing is wrong: something that a reader should know.
        case note
    }

    /// Whether the file can be used.
    public let severity: Severity
    /// The name of the file.
    public let file: String
    /// The place, or `nil` where the whole file is meant.
    public let location: Location?
    /// What is wrong, on one line.
    public let message: String
    /// What to do about it, on one line.
    public let help: String?

    /// Describes what is wrong at a place.
    public init(
        severity: Severity = .error, location: Location, message: String, help: String? = nil
    ) {
        self.severity = severity
        file = location.source.name
        self.location = location
        self.message = message
        self.help = help
    }

    /// Describes what is wrong with a file as a whole.
    public init(severity: Severity = .error, source: Source, message: String, help: String? = nil) {
        self.severity = severity
        file = source.name
        location = nil
        self.message = message
        self.help = help
    }
}

extension Diagnostic: CustomStringConvertible {
    /// The rendered diagnostic, without a line break at its end.
    public var description: String {
        var text = location.map(\.description) ?? file
        text += ": \(severity.rawValue): \(message)"
        if let location, let excerpt = Self.excerpt(at: location) { text += "\n" + excerpt }
        if let help { text += "\nhelp: " + help }
        return text
    }

    /// How much of a long line is shown, and how much of that may be in front of the caret.
    private static let (widthMax, leadMax) = (160, 80)

    /// The line and the caret below it.
    private static func excerpt(at location: Location) -> String? {
        guard location.source.lines.indices.contains(location.line - 1) else { return nil }
        let line = Array(location.source.lines[location.line - 1].unicodeScalars)
        let caret = min(max(location.column - 1, 0), line.count)
        let start = line.count > widthMax ? max(0, caret - leadMax) : 0
        let end = min(line.count, start + widthMax)
        let before = start > 0 ? "…" : ""
        let after = end < line.count ? "…" : ""

        let shown = String(String.UnicodeScalarView(line[start..<end].map(printable)))
        // Tabs stay tabs, so that the caret stands under its text however wide they are.
        let padding = line[start..<caret].map { $0 == "\t" ? "\t" : " " }.joined()
        let underline = max(1, min(location.length, end - caret))
        let number = String(location.line)
        let gutter = String(repeating: " ", count: max(0, 5 - number.count))
        let margin = String(repeating: " ", count: max(5, number.count))
        return """
            \(gutter)\(number) | \(before)\(shown)\(after)
            \(margin) | \(before.isEmpty ? "" : " ")\(padding)^\
            \(String(repeating: "~", count: underline - 1))
            """
    }

    /// What may be printed on a terminal: no escape sequences out of a file.
    private static func printable(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        switch scalar.properties.generalCategory {
        case .control where scalar != "\t", .lineSeparator, .paragraphSeparator, .format:
            "\u{FFFD}"
        default: scalar
        }
    }

    /// Text from a file as messages print it: in quotes, shortened, nothing unprintable.
    public static func quote(_ text: some StringProtocol) -> String {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(80) {
            scalars.append(scalar == "\t" ? "\u{FFFD}" : printable(scalar))
        }
        let isShortened = text.unicodeScalars.dropFirst(80).first != nil
        return "'\(String(scalars))\(isShortened ? "…" : "")'"
    }
}
