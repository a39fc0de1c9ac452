/// Columns that line up.
struct Table {
    /// On which side of its column a cell stands.
    enum Side {
        case left
        case right
    }

    /// A cell, and the style that it is shown in.
    struct Cell: ExpressibleByStringInterpolation {
        let text: String
        let style: Style

        init(_ text: String, _ style: Style = .plain) {
            self.text = text
            self.style = style
        }

        init(stringLiteral value: String) { self.init(value) }
    }

    private let sides: [Side]
    private var rows: [[Cell]] = []

    init(_ sides: [Side]) { self.sides = sides }

    mutating func add(_ cells: [Cell]) { rows.append(cells) }

    /// The rows as lines, the last column cut to the width.
    func lines(_ ink: Ink, width: Int, indent: Int = 2) -> [String] {
        let widths = sides.indices.map { column in
            rows.map { column < $0.count ? $0[column].text.count : 0 }.max() ?? 0
        }
        return rows.map { row in
            var line = String(repeating: " ", count: indent)
            var used = indent
            for (column, cell) in row.enumerated() {
                let isLast = column == row.count - 1
                let text =
                    isLast && sides[column] == .left
                    ? Text.cut(cell.text, to: max(20, width - used)) : cell.text
                let padding = String(
                    repeating: " ", count: max(0, widths[column] - text.count))
                let inked = ink.text(text, cell.style)
                switch sides[column] {
                case .left: line += isLast ? inked : inked + padding + "  "
                case .right: line += padding + inked + (isLast ? "" : "  ")
                }
                used += widths[column] + 2
            }
            return line
        }
    }
}

/// How a piece of text is shown.
enum Style: String {
    case plain = ""
    case bold = "1"
    case dim = "2"
    case good = "32"
    case bad = "31"
    case doubtful = "33"
}

/// Puts styles on text, or leaves them out.
struct Ink {
    let hasColour: Bool

    func text(_ text: String, _ style: Style) -> String {
        guard hasColour, style != .plain, !text.isEmpty else { return text }
        return "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
    }
}

/// Lines that fit.
enum Text {
    /// At most so many characters, an ellipsis where some are gone.
    ///
    /// Control characters, which a message's content may hold, do not reach the terminal.
    static func cut(_ text: String, to width: Int) -> String {
        let clean = String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
        return clean.count <= width ? clean : clean.prefix(max(1, width - 1)) + "…"
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    }

    /// Broken between words.
    static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if line.isEmpty {
                line = String(word)
            } else if line.count + 1 + word.count <= width {
                line += " " + word
            } else {
                lines.append(line)
                line = String(word)
            }
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }
}
