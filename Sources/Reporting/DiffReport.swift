public import Analysis
public import JSON
internal import Wire

/// What `synmesh diff` says: how many envelopes are in each class, and the first that differ.
public struct DiffReport: Sendable {
    /// Differences that the text shows; the rest is counted.
    public static let differencesMax = 20

    private let report: ComparisonReport
    private let left: String
    private let right: String

    /// A report on a comparison of two named sides.
    public init(_ report: ComparisonReport, left: String, right: String) {
        self.report = report
        self.left = left
        self.right = right
    }

    /// Whether the two sides say the same, as far as the rules look.
    public var isSame: Bool {
        let counts = report.counts
        return counts.total > 0
            && counts.match + counts[.tolerated] + counts[.ignored] == counts.total
    }

    /// The report as lines for a terminal; ends with a line break.
    public func text(colour: Bool, width: Int = 100) -> String {
        let ink = Ink(hasColour: colour)
        let width = max(40, width)
        let counts = report.counts
        var table = Table([.left, .right])
        table.add(["match", .init(Numbers.grouped(counts.match))])
        for deviation in ComparisonCounts.classes where counts[deviation] > 0 {
            table.add([.init(deviation.rawValue), .init(Numbers.grouped(counts[deviation]))])
        }
        var lines = [ink.text(headline, counts.isAllMatch ? .good : isSame ? .plain : .bad)]
        lines.append("  left   \(Text.cut(left, to: width - 9))")
        lines.append("  right  \(Text.cut(right, to: width - 9))")
        lines += [""] + table.lines(ink, width: width)
        // What a rule lets pass is counted above; what it does not comes first below.
        let grave = report.differences.filter { ![.tolerated, .ignored].contains($0.deviation) }
        let light = report.differences.filter { [.tolerated, .ignored].contains($0.deviation) }
        for difference in (grave + light).prefix(Self.differencesMax) {
            lines += [""] + describe(difference, ink, width)
        }
        let more =
            report.differencesOmitted + max(0, report.differences.count - Self.differencesMax)
        if more > 0 { lines += ["", "… and \(Numbers.grouped(more)) more"] }
        return lines.joined(separator: "\n") + "\n"
    }

    private var headline: String {
        let counts = report.counts
        if counts.total == 0 { return "Nothing to compare: neither side delivered an envelope." }
        if counts.isAllMatch { return "All \(Numbers.count(counts.match, "envelope")) match." }
        let other = Numbers.grouped(counts.total - counts.match)
        return "\(other) of \(Numbers.count(counts.total, "envelope")) "
            + (isSame ? "differ as the rules allow." : "do not match.")
    }

    private func describe(
        _ difference: ComparisonDifference, _ ink: Ink, _ width: Int
    ) -> [String] {
        var place = difference.identity.description
        if !difference.receiver.isEmpty,
            difference.identity.flow.destination.name != difference.receiver
        {
            place += " at \(difference.receiver)"
        }
        let word = difference.deviation.rawValue
        var lines = [
            ink.text(word, .bold) + "  " + Text.cut(place, to: width - word.count - 2)
        ]
        guard let path = difference.path, let before = difference.left,
            let after = difference.right
        else { return lines + ["  " + Text.cut(difference.reason, to: width - 2)] }
        lines.append("  @ " + Text.cut(path, to: width - 4))
        lines.append("  " + ink.text("- " + Text.cut(before, to: width - 4), .bad))
        lines.append("  " + ink.text("+ " + Text.cut(after, to: width - 4), .good))
        return lines
    }

    /// The report for programs.
    public var json: Value {
        var counts: [String: Value] = ["match": Value(report.counts.match)]
        for deviation in ComparisonCounts.classes {
            counts[deviation.rawValue] = Value(report.counts[deviation])
        }
        let differences: [Value] = report.differences.map { difference in
            var members: [String: Value] = [
                "class": .string(difference.deviation.rawValue),
                "flow": .string(difference.identity.flow.description),
                "incarnation": Value(difference.identity.incarnation),
                "sequence": Value(difference.identity.sequence),
                "receiver": .string(difference.receiver), "reason": .string(difference.reason),
            ]
            members["path"] = difference.path.map(Value.string)
            members["left"] = difference.left.map(Value.string)
            members["right"] = difference.right.map(Value.string)
            return .object(members)
        }
        return [
            "mode": .string(report.counts.mode.rawValue), "left": .string(left),
            "right": .string(right), "same": .bool(isSame), "counts": .object(counts),
            "differences": .array(differences),
            "differences_omitted": Value(report.differencesOmitted),
            "paths": .object(report.paths.mapValues { Value($0) }),
        ]
    }
}
