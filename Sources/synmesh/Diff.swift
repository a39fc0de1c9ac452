import Analysis
import ArgumentParser
import Foundation
import Histories
import JSON
import Recording
import Reporting

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare what two runs or recordings delivered, envelope by envelope.",
        discussion: """
            Each envelope is in one class: match, tolerated, ignored, duplicate, reordered, late, \
            payload, missing, extra, undecidable. Recordings of any length are read as streams, in \
            bounded memory. A rule is a path as '$.points[*].x', with a message type before it as \
            'result:$.points[*].x' where it is for that type alone.

            Exit code 0 when everything matches, or differs as the rules allow; 1 when anything else \
            differs, or a file is damaged.
            """)

    @Argument(
        help: "A run's directory, a directory of histories, or one history.",
        completion: .file())
    var left: String

    @Argument(help: "What to compare it with.", completion: .file())
    var right: String

    @OptionGroup var rules: RuleArguments

    @Option(
        help: ArgumentHelp(
            "Two recordings that should be the same: what differs there as often is noise.",
            valueName: "recording"))
    var noise: [String] = []

    @Option(
        help: ArgumentHelp(
            "How many sequences of its flow an envelope may come later and still be paired.",
            valueName: "sequences"))
    var window: UInt64 = StreamComparison.Bounds().window

    @Option(
        help: ArgumentHelp("Write a page for a browser, too.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var html: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard noise.isEmpty || noise.count == 2 else {
            throw ValidationError("--noise is given twice: two recordings that should be the same.")
        }
        guard window > 0 else { throw ValidationError("--window is at least 1.") }
        _ = try rules.all
    }

    func run() throws {
        var options = ComparisonOptions(mode: .diff, rules: try rules.all)
        options.alignment = .continued
        let outcome: HistoryComparison.Outcome
        do throws(HistoryError) {
            let bounds = StreamComparison.Bounds(window: window)
            let reference: (HistoryFiles, HistoryFiles)? =
                noise.isEmpty ? nil : (try HistoryFiles(noise[0]), try HistoryFiles(noise[1]))
            outcome = try HistoryComparison.compare(
                try HistoryFiles(left), try HistoryFiles(right), options: options,
                bounds: bounds, noise: reference)
        } catch {
            printError("\(error)")
            throw ExitStatus.badInput.code
        }
        let diff = DiffReport(outcome.report, left: left, right: right)
        print(json ? diff.json.canonical : diff.text(colour: isColourful(descriptor: 1)))
        if let html {
            do {
                try DiffPage(outcome.report, left: left, right: right).html()
                    .write(toFile: html, atomically: true, encoding: .utf8)
            } catch {
                printError("could not write '\(html)': \(error)")
                throw ExitStatus.environment.code
            }
        }
        for damage in outcome.damages { printError(damage) }
        if !diff.isSame || !outcome.damages.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}

/// How contents are compared.
struct RuleArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Differences here and below do not count.", valueName: "path"))
    var ignore: [String] = []

    @Option(
        help: ArgumentHelp(
            "Something must stand here on both sides, whatever it is.", valueName: "path"))
    var presence: [String] = []

    @Option(
        help: ArgumentHelp(
            "Numbers here and below may differ by this much.", valueName: "path=number"))
    var absolute: [String] = []

    @Option(
        help: ArgumentHelp(
            "Numbers here and below may differ by this share of the larger.",
            valueName: "path=share"))
    var relative: [String] = []

    @Option(help: ArgumentHelp("The order of this list does not count.", valueName: "path"))
    var asMultiset: [String] = []

    @Option(
        help: ArgumentHelp(
            "Neither order nor repetitions of this list count.", valueName: "path"))
    var asSet: [String] = []

    @Option(
        help: ArgumentHelp(
            "The elements of this list are paired by a member of theirs.",
            valueName: "path=member"))
    var keyed: [String] = []

    /// All of them.
    var all: [PathRule] {
        get throws {
            try ignore.map { try Self.rule($0, .ignore) }
                + presence.map { try Self.rule($0, .presence) }
                + absolute.map { text in
                    let (path, value) = try Self.number(text)
                    return try Self.rule(path, .absolute(value))
                }
                + relative.map { text in
                    let (path, value) = try Self.number(text)
                    return try Self.rule(path, .relative(value))
                }
                + asMultiset.map { try Self.rule($0, .multiset) }
                + asSet.map { try Self.rule($0, .set) }
                + keyed.map { text in
                    let (path, member) = try Self.split(text)
                    return try Self.rule(path, .keyed(member))
                }
        }
    }

    private static func rule(
        _ text: String, _ treatment: PathRule.Treatment
    ) throws -> PathRule {
        guard let start = text.firstIndex(of: "$") else {
            throw ValidationError("'\(text)' has no path: write it as $.points[3].x.")
        }
        let type = text[..<start]
        guard type.isEmpty || type.hasSuffix(":") else {
            throw ValidationError("'\(text)': write a message type as 'result:$.points[3].x'.")
        }
        do throws(PathPatternError) {
            return try PathRule(
                String(text[start...]), treatment,
                type: type.isEmpty ? nil : String(type.dropLast()))
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private static func split(_ text: String) throws -> (String, String) {
        guard let sign = text.lastIndex(of: "="), text.index(after: sign) < text.endIndex else {
            throw ValidationError("'\(text)' says nothing behind a '='.")
        }
        return (String(text[..<sign]), String(text[text.index(after: sign)...]))
    }

    private static func number(_ text: String) throws -> (String, Double) {
        let (path, value) = try split(text)
        guard let number = Double(value), number >= 0, number.isFinite else {
            throw ValidationError("'\(text)': '\(value)' is no number of at least 0.")
        }
        return (path, number)
    }
}
