internal import Analysis

extension TerminalReport {
    /// What processes took under load: early, late and at most.
    static func memoryTable(of reports: [MemoryReport]) -> Table? {
        guard !reports.isEmpty else { return nil }
        var table = Table([.left, .left, .right, .right, .right])
        table.add(["", "", "early", "late", "at most"].map { .init($0, .dim) })
        func text(_ bytes: Int?) -> String {
            bytes.map { Numbers.fixed(Double($0) / 1_000_000, 1) + " MB" } ?? "-"
        }
        for report in reports {
            table.add([
                .init(
                    report.incarnation == 1
                        ? report.process : "\(report.process) #\(report.incarnation)"),
                .init(report.role.rawValue), .init(text(report.early)), .init(text(report.late)),
                .init(text(report.peak)),
            ])
        }
        return table
    }
}
