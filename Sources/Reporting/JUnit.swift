public import Analysis

/// A run's verdict as JUnit XML: one test case for the scenario, one a step, one a limit.
///
/// What a scenario was expected to show does not fail: a run that was to fail and did is green, with
/// its broken steps marked as skipped.
public struct JUnit: Sendable {
    private let verdict: Verdict
    private let limits: Limits

    /// A report on a verdict.
    ///
    /// - Parameters:
    ///   - verdict: What the run showed.
    ///   - limits: What was allowed; classes without a limit cannot fail.
    public init(_ verdict: Verdict, limits: Limits = .zero) {
        self.verdict = verdict
        self.limits = limits
    }

    private enum Result {
        case passed
        case failed(String)
        case inconclusive(String)
    }

    private struct Case {
        let name: String
        var milliseconds = 0
        let result: Result
    }

    /// The document.
    public var xml: String {
        let suites = [
            ("\(verdict.scenario).verdict", [scenario, leaks], false),
            ("\(verdict.scenario).steps", steps, verdict.isAsExpected),
            ("\(verdict.scenario).limits", limitCases, verdict.isAsExpected),
        ].filter { !$0.1.isEmpty }
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        let counts = suites.map { Counts($0.1, isExcused: $0.2) }
        let total = counts.reduce(Counts()) { $0 + $1 }
        text +=
            "<testsuites name=\(Self.quoted(verdict.scenario)) \(total.attributes) "
            + "time=\"\(Self.seconds(verdict.durationMilliseconds))\">\n"
        for ((name, cases, isExcused), counts) in zip(suites, counts) {
            let time = cases.reduce(0) { $0 + $1.milliseconds }
            text +=
                "  <testsuite name=\(Self.quoted(name)) \(counts.attributes) "
                + "time=\"\(Self.seconds(time))\" "
                + "timestamp=\"\(Timestamp.text(verdict.started).prefix(19))\">\n"
            for element in cases { text += Self.element(element, suite: name, isExcused) }
            text += "  </testsuite>\n"
        }
        return text + "</testsuites>\n"
    }

    private struct Counts {
        var tests = 0
        var failures = 0
        var errors = 0
        var skipped = 0

        init() {}

        init(_ cases: [Case], isExcused: Bool) {
            tests = cases.count
            for element in cases {
                switch element.result {
                case .passed: break
                case .failed where isExcused, .inconclusive where isExcused: skipped += 1
                case .failed: failures += 1
                case .inconclusive: errors += 1
                }
            }
        }

        static func + (left: Counts, right: Counts) -> Counts {
            var sum = left
            sum.tests += right.tests
            sum.failures += right.failures
            sum.errors += right.errors
            sum.skipped += right.skipped
            return sum
        }

        var attributes: String {
            "tests=\"\(tests)\" failures=\"\(failures)\" errors=\"\(errors)\" "
                + "skipped=\"\(skipped)\""
        }
    }

    private var scenario: Case {
        let name = "ends as expected: \(verdict.expect.word)"
        let duration = verdict.durationMilliseconds
        if verdict.isAsExpected {
            return Case(name: name, milliseconds: duration, result: .passed)
        }
        let reason = "\(verdict.verdict.rawValue), \(verdict.outcome.rawValue): \(verdict.reason)"
        return Case(
            name: name, milliseconds: duration,
            result: verdict.verdict == .inconclusive ? .inconclusive(reason) : .failed(reason))
    }

    /// Expected or not: a run that fails as it should still may leave nothing behind.
    private var leaks: Case {
        let count = verdict.leaks.total
        let result: Result =
            count > 0 ? .failed("\(Numbers.count(count, "thing")) left behind") : .passed
        return Case(name: "leaves nothing behind", result: result)
    }

    private var steps: [Case] {
        verdict.steps.map { step in
            let result: Result =
                switch step.verdict {
                case .pass: .passed
                case .fail: .failed(step.reason)
                case .inconclusive: .inconclusive(step.reason)
                }
            return Case(
                name: "\(step.name) (\(step.kind))", milliseconds: step.durationMilliseconds,
                result: result)
        }
    }

    private var limitCases: [Case] {
        var cases: [Case] = []
        for deviation in Limits.classes {
            let isCompared = Limits.comparisonClasses.contains(deviation)
            let count =
                isCompared
                ? verdict.comparison?[deviation] : verdict.delivery?.unexplained[deviation]
            guard let count else { continue }
            let limit = limits[deviation]
            let isBroken = limit.map { count > $0 } ?? false
            cases.append(
                Case(
                    name: deviation.rawValue,
                    result: isBroken
                        ? .failed("\(count) \(deviation), limit \(limit ?? 0)") : .passed))
        }
        let ratios: [(String, Double?, Double?)] = [
            ("latency_p50_ratio", verdict.latency?.p50Ratio, limits.latencyP50Ratio),
            ("latency_p99_ratio", verdict.latency?.p99Ratio, limits.latencyP99Ratio),
        ]
        for (name, ratio, limit) in ratios {
            guard let ratio, let limit else { continue }
            let text = "\(Numbers.fixed(ratio, 2)), limit \(Numbers.fixed(limit, 2))"
            cases.append(Case(name: name, result: ratio > limit ? .failed(text) : .passed))
        }
        return cases
    }

    private static func element(_ element: Case, suite: String, _ isExcused: Bool) -> String {
        let head =
            "    <testcase name=\(quoted(element.name)) classname=\(quoted(suite)) "
            + "time=\"\(seconds(element.milliseconds))\""
        switch element.result {
        case .passed: return head + "/>\n"
        case .failed(let reason), .inconclusive(let reason):
            guard isExcused else { break }
            return head + ">\n      <skipped message=\(quoted("expected: " + reason))/>\n"
                + "    </testcase>\n"
        }
        switch element.result {
        case .passed: return head + "/>\n"
        case .failed(let reason):
            return head + ">\n      <failure message=\(quoted(reason))/>\n    </testcase>\n"
        case .inconclusive(let reason):
            return head + ">\n      <error type=\"inconclusive\" message=\(quoted(reason))/>\n"
                + "    </testcase>\n"
        }
    }

    private static func seconds(_ milliseconds: Int) -> String {
        let rest = String(milliseconds % 1_000)
        return "\(milliseconds / 1_000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }

    /// A quoted attribute value; what XML 1.0 cannot hold becomes U+FFFD.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": quoted += "&amp;"
            case "<": quoted += "&lt;"
            case ">": quoted += "&gt;"
            case "\"": quoted += "&quot;"
            case "\t", "\n", "\r": quoted += "&#\(scalar.value);"
            case "\u{00}"..<"\u{20}", "\u{FFFE}", "\u{FFFF}": quoted += "\u{FFFD}"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
