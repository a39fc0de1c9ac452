internal import Analysis
public import Histories
public import JSON

/// What `synmesh runs` says.
public enum RunsReport {
    /// Runs as lines for a terminal, the oldest first; ends with a line break.
    public static func text(_ runs: [RunEntry], colour: Bool, width: Int = 120) -> String {
        guard !runs.isEmpty else { return "no runs\n" }
        let ink = Ink(hasColour: colour)
        var table = Table([.left, .left, .left, .right, .right, .right, .left])
        table.add(
            ["name", "run", "verdict", "delivered", "took", "size", "reason"].map { .init($0) })
        for run in runs {
            let verdict = run.verdict
            table.add([
                .init(run.name), .init(run.run), word(run),
                .init(verdict?.delivery.map { Numbers.grouped($0.delivered) } ?? "-"),
                .init(
                    verdict.map { Numbers.duration(milliseconds: $0.durationMilliseconds) } ?? "-"),
                .init(Numbers.bytes(run.bytes)), .init(reason(run)),
            ])
        }
        let total = runs.reduce(0) { $0 + $1.bytes }
        return
            (table.lines(ink, width: width, indent: 0) + [
                "", "\(Numbers.count(runs.count, "run")), \(Numbers.bytes(total))",
            ]).joined(separator: "\n") + "\n"
    }

    private static func word(_ run: RunEntry) -> Table.Cell {
        switch run.state {
        case .judged(let verdict):
            .init(
                verdict.isAsExpected ? verdict.verdict.rawValue : "\(verdict.verdict.rawValue) (!)",
                verdict.isAsExpected ? .good : .bad)
        case .unjudged: .init("-")
        case .unreadable: .init("unreadable", .bad)
        }
    }

    private static func reason(_ run: RunEntry) -> String {
        switch run.state {
        case .judged(let verdict): verdict.reason
        case .unjudged: ""
        case .unreadable(let reason): reason
        }
    }

    /// Runs for programs.
    public static func json(_ runs: [RunEntry]) -> Value {
        .array(
            runs.map { run in
                var members: [String: Value] = [
                    "name": .string(run.name), "run": .string(run.run),
                    "directory": .string(run.directory), "bytes": Value(run.bytes),
                ]
                switch run.state {
                case .judged(let verdict):
                    members["verdict"] = .string(verdict.verdict.rawValue)
                    members["as_expected"] = .bool(verdict.isAsExpected)
                    members["outcome"] = .string(verdict.outcome.rawValue)
                    members["started"] = .string(Timestamp.text(verdict.started))
                    members["duration_ms"] = Value(verdict.durationMilliseconds)
                    members["seed"] = .string(String(verdict.seed))
                    members["reason"] = .string(verdict.reason)
                    members["figures"] = .object(
                        figures(of: verdict).mapValues(Value.double))
                case .unjudged: break
                case .unreadable(let reason): members["unreadable"] = .string(reason)
                }
                return .object(members)
            })
    }

    /// The figures by which runs are compared, each named with its unit.
    static func figures(of verdict: Verdict) -> [String: Double] {
        var figures: [String: Double] = ["duration, ms": Double(verdict.durationMilliseconds)]
        if let delivery = verdict.delivery {
            figures["expected"] = Double(delivery.expected)
            figures["delivered"] = Double(delivery.delivered)
            for deviation in DeviationCounts.classes {
                figures["\(deviation.rawValue)"] = Double(delivery.deviations[deviation])
            }
        }
        for (transport, percentiles) in verdict.latency?.transports ?? [:] {
            figures["\(transport) p50, us"] = percentiles.p50Microseconds
            figures["\(transport) p99, us"] = percentiles.p99Microseconds
        }
        let windows = verdict.moves.map(\.windowMilliseconds)
        if let longest = windows.max() { figures["longest window, ms"] = Double(longest) }
        return figures
    }

    /// Runs of one name beside each other, a column each, the oldest first.
    public static func comparison(
        _ runs: [RunEntry], colour: Bool, width: Int = 160
    ) -> String {
        let judged = runs.compactMap { run in run.verdict.map { (run, figures(of: $0)) } }
        guard judged.count > 1 else { return "there is nothing to compare\n" }
        let names = Set(judged.flatMap { $0.1.keys }).sorted()
        var table = Table([.left] + judged.map { _ in .right } + [.right])
        table.add([""] + judged.map { .init($0.0.run) } + [.init("change")])
        table.add(
            ["verdict"] + judged.map { word($0.0) } + [.init("")])
        for name in names {
            let values = judged.map { $0.1[name] }
            let cells = values.map { value in
                Table.Cell(value.map { Numbers.fixed($0, $0 == $0.rounded() ? 0 : 1) } ?? "-")
            }
            table.add([.init(name)] + cells + [.init(change(values))])
        }
        return table.lines(Ink(hasColour: colour), width: width, indent: 0).joined(separator: "\n")
            + "\n"
    }

    /// From the first to the last.
    private static func change(_ values: [Double?]) -> String {
        guard let first = values.first ?? nil, let last = values.last ?? nil else { return "" }
        if first == last { return "=" }
        guard first != 0 else { return "+" + Numbers.fixed(last, 0) }
        let percent = (last - first) / first * 100
        return (percent > 0 ? "+" : "") + Numbers.fixed(percent, 1) + " %"
    }
}
