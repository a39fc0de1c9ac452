internal import Analysis
public import Checkers
public import JSON
internal import Wire

/// What `synmesh judge` says.
public enum CheckReport {
    /// The outcomes as lines for a terminal; ends with a line break.
    ///
    /// - Parameters:
    ///   - outcomes: Each with the mesh that it is of: empty for a run's own.
    ///   - colour: Whether the terminal shows colours.
    ///   - width: Columns of the terminal.
    /// - Returns: The lines.
    public static func text(
        _ outcomes: [(part: String, outcome: CheckOutcome)], colour: Bool, width: Int = 100
    ) -> String {
        let ink = Ink(hasColour: colour)
        var lines: [String] = []
        for (part, outcome) in outcomes {
            let style: Style = outcome.verdict == .pass ? .good : .bad
            let name = part.isEmpty ? outcome.name : "\(part): \(outcome.name)"
            lines.append(ink.text(outcome.verdict.rawValue, style) + "  " + ink.text(name, .bold))
            lines += Text.wrapped(outcome.reason, width: width - 2).map { "  " + $0 }
            for finding in outcome.findings.dropFirst().prefix(9) {
                lines.append("  " + Text.cut(finding.reason, to: width - 2))
            }
            let more = outcome.findingsOmitted + max(0, outcome.findings.count - 10)
            if more > 0 { lines.append("  … and \(Numbers.grouped(more)) more") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The outcomes for programs.
    public static func json(_ outcomes: [(part: String, outcome: CheckOutcome)]) -> Value {
        .array(
            outcomes.map { part, outcome in
                [
                    "mesh": .string(part), "check": .string(outcome.name),
                    "verdict": .string(outcome.verdict.rawValue),
                    "reason": .string(outcome.reason),
                    "findings": .array(
                        outcome.findings.map { finding in
                            [
                                "class": .string(finding.deviation.rawValue),
                                "envelope": finding.identity.map { .string($0.description) }
                                    ?? .null,
                                "receiver": finding.receiver.map(Value.string) ?? .null,
                                "reason": .string(finding.reason),
                            ]
                        }),
                    "findings_omitted": Value(outcome.findingsOmitted),
                ]
            })
    }
}
