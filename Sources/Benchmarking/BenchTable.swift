/// Rows as a person reads them.
public struct BenchTable: Sendable {
    private let rows: [Row]

    /// Makes a table.
    public init(_ rows: [Row]) { self.rows = rows }

    /// The table, a line a row; the spread is half of least to greatest, in percent of the median.
    public var text: String {
        let header = ["metric", "unit", "ours", "+-", "reference", "ratio", "target", "met"]
        let cells = [header] + rows.map(cells)
        let widths = header.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                let isText = column < 2 || column > 5
                return isText ? row[column] + padding : padding + row[column]
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
