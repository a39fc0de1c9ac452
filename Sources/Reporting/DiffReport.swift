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
        if let first = report.first { lines += [""] + describe(first, ink, width) }
        // What a rule lets pass is counted above; what it does not comes first below.
        let grave = report.differences.filter { ![.tolerated, .ignored].contains($0.deviation) }
        let light = report.differences.filter { [.tolerated, .ignored].contains($0.deviation) }
        let followers = followers
        let listed = Set(report.differences.map(\.identity))
        let roots = (grave + light).filter { $0.ancestor.map { !listed.contains($0) } ?? true }
        var shown = 0
        for difference in roots.prefix(Self.differencesMax) {
            lines += [""] + describe(difference, ink, width)
            shown += 1
            if let count = followers[difference.identity], count > 0 {
                shown += count
                lines.append(
                    "  \(Numbers.count(count, "difference")) more \(count == 1 ? "follows" : "follow") from it"
                )
            }
        }
        let more = report.differencesOmitted + max(0, report.differences.count - shown)
        if more > 0 { lines += ["", "… and \(Numbers.grouped(more)) more"] }
        if report.causesOmitted { lines += ["", "There are more causes than were followed."] }
        if !report.noisePlaces.isEmpty {
            lines += ["", "Noise, which differs as often where nothing should:"]
            lines += report.noisePlaces.prefix(Self.differencesMax).map {
                "  \(Text.cut($0.path, to: width - 12))  \(Numbers.fixed($0.rate * 100, 2) + " %")"
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// How many of the kept differences follow from each.
    private var followers: [Identity: Int] {
        var counts: [Identity: Int] = [:]
        for difference in report.differences {
            if let ancestor = difference.ancestor { counts[ancestor, default: 0] += 1 }
        }
        return counts
    }

    /// The first divergence in its flow: what both sides have alike stands once.
    private func describe(
        _ first: FirstDivergence, _ ink: Ink, _ width: Int
    ) -> [String] {
        var lines = [
            ink.text("first", .bold) + "  "
                + Text.cut("\(first.identity) at \(first.receiver)", to: width - 7)
        ]
        func line(_ mark: String, _ one: ContextLine) -> String {
            Text.cut(
                "  \(mark) #\(one.identity.incarnation).\(one.identity.sequence) \(one.type)  "
                    + one.content, to: width)
        }
        var right = first.right[...]
        for one in first.left {
            if let place = right.firstIndex(where: {
                $0.identity == one.identity && $0.content == one.content && $0.type == one.type
            }) {
                for other in right[..<place] { lines.append(ink.text(line("+", other), .good)) }
                lines.append(line(" ", one))
                right = right[right.index(after: place)...]
            } else {
                lines.append(ink.text(line("-", one), .bad))
            }
        }
        for other in right { lines.append(ink.text(line("+", other), .good)) }
        return lines
    }

    var headline: String {
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
            members["follows_from"] = difference.ancestor.map { .string($0.description) }
            return .object(members)
        }
        var document: [String: Value] = [
            "mode": .string(report.counts.mode.rawValue), "left": .string(left),
            "right": .string(right), "same": .bool(isSame), "counts": .object(counts),
            "differences": .array(differences),
            "differences_omitted": Value(report.differencesOmitted),
            "paths": .object(report.paths.mapValues { Value($0) }),
        ]
        if !report.noisePlaces.isEmpty {
            document["noise"] = .object(
                Dictionary(
                    report.noisePlaces.map { ($0.path, Value.double($0.rate)) },
                    uniquingKeysWith: { one, _ in one }))
        }
        document["first"] = report.first.map { first in
            [
                "envelope": .string(first.identity.description),
                "receiver": .string(first.receiver), "left": Self.json(first.left),
                "right": Self.json(first.right),
            ]
        }
        return .object(document)
    }

    private static func json(_ lines: [ContextLine]) -> Value {
        .array(
            lines.map { line in
                [
                    "envelope": .string(line.identity.description), "type": .string(line.type),
                    "content": .string(line.content), "differs": .bool(line.isDivergent),
                ]
            })
    }
}
