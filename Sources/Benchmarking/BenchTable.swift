/// Rows as a person reads them.
public struct BenchTable: Sendable {
    private let rows: [Row]

    /// Makes a table.
    public init(_ rows: [Row]) { self.rows = rows }

    /// The table, a line a row; the spread is half of least to greatest, in percent of the median.
    public var text: String {
        let header = ["metric", "unit", "ours", "+-", "reference", "ratio", "target", "met"]
        return Self.aligned([header] + rows.map(cells), textColumns: [0, 1, 6, 7])
    }

    /// Lines of cells under each other; numbers stand to the right.
    static func aligned(_ cells: [[String]], textColumns: Set<Int>) -> String {
        let columns = cells.first?.indices ?? 0..<0
        let widths = columns.map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return textColumns.contains(column)
                    ? row[column] + padding : padding + row[column]
            }.joined(separator: "  ").trimmingEnd()
        }.joined(separator: "\n")
    }

    private func cells(_ row: Row) -> [String] {
        [
            row.metric, row.unit, Statistics.text(Statistics.median(row.ours)),
            row.ours.count > 1 ? "\(Int((Statistics.spread(row.ours) * 100).rounded()))%" : "",
            row.reference.isEmpty ? "" : Statistics.text(Statistics.median(row.reference)),
            row.ratio.map(Statistics.text) ?? "", row.target.description,
            row.met.map { $0 ? "yes" : "NO" } ?? "",
        ]
    }
}

extension String {
    fileprivate func trimmingEnd() -> String {
        var text = self
        while text.hasSuffix(" ") { text.removeLast() }
        return text
    }
}

/// What there is to measure, as a person reads it.
public enum BenchCatalogue {
    /// Each suite, and below it its metrics with what they mean.
    public static var text: String {
        Bench.catalogue.map { suite, metrics in
            ([suite] + metrics.map { "  \($0.name)\n\(wrapped($0.meaning))" }).joined(
                separator: "\n")
        }.joined(separator: "\n\n")
    }

    /// Lines of at most 92 characters, indented.
    private static func wrapped(_ text: String) -> String {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + word.count < 92 {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append("      " + word)
            }
        }
        return lines.joined(separator: "\n")
    }
}
