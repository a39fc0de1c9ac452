import JSON
import Testing

@testable import Analysis

private func diff(
    _ left: String, _ right: String, _ rules: [PathRule] = []
) throws -> StructuralDiff {
    StructuralDiff(try Value(parsing: left), try Value(parsing: right), rules: rules)
}

@Suite struct StructuralDiffTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let left: String
        let right: String
        /// `path kind` of each difference.
        let differences: [String]
        var testDescription: String { "\(left) and \(right)" }

        init(_ left: String, _ right: String, _ differences: [String]) {
            self.left = left
            self.right = right
            self.differences = differences
        }
    }

    static let plain: [Case] = [
        Case("{}", "{}", []),
        Case("1", "1.0", []),
        Case("[1,{\"a\":2.0}]", "[1.0,{\"a\":2}]", []),
        Case("9007199254740993", "9007199254740992.0", ["$ changed"]),
        Case("1", "2", ["$ changed"]),
        Case("1", "\"1\"", ["$ type"]),
        Case("null", "false", ["$ type"]),
        Case("true", "false", ["$ changed"]),
        Case("{\"a\":1}", "{\"a\":2}", ["$.a changed"]),
        Case(
            "{\"a\":1,\"b\":{\"c\":[1,2,3]}}", "{\"a\":1,\"b\":{\"c\":[1,2,4]}}",
            ["$.b.c[2] changed"]),
        Case("{\"a\":1}", "{}", ["$.a removed"]),
        Case("{}", "{\"a\":null}", ["$.a added"]),
        Case("{\"a b\":1}", "{\"a b\":2}", ["$[\"a b\"] changed"]),
        Case("{\"z\":1,\"a\":1}", "{\"z\":2,\"a\":2}", ["$.a changed", "$.z changed"]),
        Case("[1,2,3]", "[1,3]", ["$[1] removed"]),
        Case("[1,3]", "[1,2,3]", ["$[1] added"]),
        Case("[1,2]", "[2,1]", ["$[0] changed", "$[1] changed"]),
        Case("[]", "[[]]", ["$[0] added"]),
        Case("[1]", "{\"0\":1}", ["$ type"]),
    ]

    @Test("Differences are named place by place", arguments: plain)
    func differences(_ planted: Case) throws {
        let diff = try diff(planted.left, planted.right)
        #expect(diff.differences.map { "\($0.path) \($0.kind)" } == planted.differences)
        #expect(diff.weight == (planted.differences.isEmpty ? nil : .different))
    }

    struct RuleCase: CustomTestStringConvertible, Sendable {
        let pattern: String
        let treatment: PathRule.Treatment
        let left: String
        let right: String
        let weight: Difference.Weight?
        var testDescription: String { "\(treatment) at \(pattern): \(left) and \(right)" }

        init(
            _ pattern: String, _ treatment: PathRule.Treatment, _ left: String, _ right: String,
            _ weight: Difference.Weight?
        ) {
            self.pattern = pattern
            self.treatment = treatment
            self.left = left
            self.right = right
            self.weight = weight
        }
    }

    static let ruled: [RuleCase] = [
        RuleCase("$.a", .ignore, "{\"a\":1}", "{\"a\":[2]}", .ignored),
        RuleCase("$.a", .ignore, "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}", .ignored),
        RuleCase("$.a", .ignore, "{\"a\":1}", "{}", .ignored),
        RuleCase("$.a", .ignore, "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":2}", .different),
        RuleCase("$.a.b", .ignore, "{\"a\":1}", "{\"a\":2}", .different),
        RuleCase("$.*.t", .ignore, "{\"x\":{\"t\":1}}", "{\"x\":{\"t\":2}}", .ignored),
        RuleCase("$.a", .presence, "{\"a\":1}", "{\"a\":\"x\"}", .ignored),
        RuleCase("$.a", .presence, "{\"a\":1}", "{}", .different),
        RuleCase("$.a", .presence, "{\"a\":null}", "{\"a\":1}", .ignored),
        RuleCase("$.a", .presence, "{\"a\":null}", "{}", .different),
        RuleCase("$.a", .presence, "{}", "{\"a\":1}", .different),
        RuleCase(
            "$.p[*].x", .absolute(0.1), "{\"p\":[{\"x\":1}]}", "{\"p\":[{\"x\":1.05}]}", .tolerated),
        RuleCase(
            "$.p[*].x", .absolute(0.1), "{\"p\":[{\"x\":1}]}", "{\"p\":[{\"x\":1.2}]}", .different),
        RuleCase(
            "$.p[*].x", .absolute(0.1), "{\"p\":[{\"y\":1}]}", "{\"p\":[{\"y\":1.05}]}", .different),
        RuleCase("$.p[0]", .absolute(0.1), "{\"p\":[1,1]}", "{\"p\":[1,1.05]}", .different),
        RuleCase("$", .relative(0.01), "[100,1000]", "[101,1001]", .tolerated),
        RuleCase("$", .relative(0.01), "[100]", "[102]", .different),
        RuleCase("$", .relative(0.01), "[0]", "[0.001]", .different),
        RuleCase("$", .absolute(1), "[\"1\"]", "[\"2\"]", .different),
        RuleCase("$", .absolute(1), "[1]", "[1]", nil),
        RuleCase("$", .multiset, "[\"a\",\"b\",\"b\"]", "[\"b\",\"a\",\"b\"]", .tolerated),
        // The trap: as sets these are the same, and one "b" is lost.
        RuleCase("$", .multiset, "[\"a\",\"b\",\"b\"]", "[\"b\",\"a\"]", .different),
        RuleCase("$", .multiset, "[\"a\",\"b\",\"b\"]", "[\"b\",\"a\",\"a\"]", .different),
        RuleCase("$", .set, "[\"a\",\"b\",\"b\"]", "[\"b\",\"a\"]", .tolerated),
        RuleCase("$", .set, "[\"a\",\"b\"]", "[\"a\",\"c\"]", .different),
        RuleCase(
            "$.a", .multiset, "{\"a\":[1,2],\"b\":[1,2]}", "{\"a\":[2,1],\"b\":[2,1]}", .different),
        RuleCase(
            "$", .keyed("id"), "[{\"id\":1,\"v\":1},{\"id\":2,\"v\":2}]",
            "[{\"id\":2,\"v\":2},{\"id\":1,\"v\":1}]", .tolerated),
        RuleCase(
            "$", .keyed("id"), "[{\"id\":1,\"v\":1},{\"id\":2,\"v\":2}]",
            "[{\"id\":2,\"v\":2},{\"id\":1,\"v\":9}]", .different),
        RuleCase("$", .keyed("id"), "[{\"id\":1}]", "[{\"id\":1},{\"id\":3}]", .different),
    ]

    @Test("A rule weighs what differs where it holds, and nothing else", arguments: ruled)
    func rules(_ planted: RuleCase) throws {
        let rule = try PathRule(planted.pattern, planted.treatment)
        #expect(try diff(planted.left, planted.right, [rule]).weight == planted.weight)
        #expect(try diff(planted.right, planted.left, [rule]).weight == planted.weight)
    }

    @Test("A list's elements are paired under the rules that hold inside it")
    func rulesInsideLists() throws {
        let rules = [
            try PathRule("$", .multiset), try PathRule("$[*].x", .absolute(0.1)),
            try PathRule("$[*].stamp", .ignore),
        ]
        let left = "[{\"x\":1,\"stamp\":1},{\"x\":5,\"stamp\":2}]"
        #expect(
            try diff(left, "[{\"x\":5.01,\"stamp\":7},{\"x\":1,\"stamp\":8}]", rules).weight
                == .tolerated)
        let other = try diff(left, "[{\"x\":5.01,\"stamp\":7},{\"x\":2,\"stamp\":8}]", rules)
        #expect(other.weight == .different)
        #expect(
            other.differences.filter { $0.weight == .different }.map(\.path.description)
                == ["$[0].x"])
    }

    @Test("A missing element of an unordered list is named")
    func missingElement() throws {
        let diff = try diff("[\"a\",\"b\",\"b\"]", "[\"b\",\"a\"]", [PathRule("$", .multiset)])
        #expect(diff.differences.map { "\($0.path) \($0.kind)" } == ["$[2] removed"])
    }

    @Test("More differences than are kept are counted, and weigh all the same")
    func bounded() throws {
        let left = Value.array((0..<100).map { .integer(Int64($0)) })
        let right = Value.array((0..<100).map { $0 == 99 ? "x" : .double(Double($0) + 0.25) })
        let diff = StructuralDiff(
            left, right, rules: [try PathRule("$[*]", .absolute(0.5))], limit: 10)
        #expect(diff.differences.count == 10)
        #expect(diff.count == 100)
        #expect(diff.weight == .different)
    }
}

@Suite struct PathPatternTests {
    @Test(
        "A pattern covers its place and what is below",
        arguments: [
            ("$", "$.a[1]", true), ("$.a", "$.a[1].b", true), ("$.a[1]", "$.a[2]", false),
            ("$.a[*].b", "$.a[7].b", true), ("$.*", "$.anything", true), ("$.*", "$[0]", false),
            ("$[*]", "$.a", false), ("$[\"a b\"].c", "$[\"a b\"].c", true),
            ("$[\"say \\\"x\\\"\"]", "$[\"say \\\"x\\\"\"]", true),
        ])
    func covers(_ pattern: String, _ place: String, _ isCovered: Bool) throws {
        // A place is written as the pattern that names only it.
        let pattern = try PathPattern(pattern)
        #expect(pattern.covers(Self.path(place)) == isCovered)
    }

    private static func path(_ text: String) -> Path {
        switch text {
        case "$.a[1]": Path([.member("a"), .index(1)])
        case "$.a[1].b": Path([.member("a"), .index(1), .member("b")])
        case "$.a[2]": Path([.member("a"), .index(2)])
        case "$.a[7].b": Path([.member("a"), .index(7), .member("b")])
        case "$.anything": Path([.member("anything")])
        case "$[0]": Path([.index(0)])
        case "$.a": Path([.member("a")])
        case "$[\"a b\"].c": Path([.member("a b"), .member("c")])
        default: Path([.member("say \"x\"")])
        }
    }

    @Test(
        "What is no pattern says why",
        arguments: [
            ("", "it does not start with '$'"), ("a.b", "it does not start with '$'"),
            ("$a", "'a' where '.' or '[' should be"), ("$..a", "a member name is empty"),
            ("$.", "a member name is empty"), ("$[1", "a '[' is not closed"),
            ("$[x]", "'x' is no index"), ("$[-1]", "'-1' is no index"),
            ("$[\"a", "a quoted member name does not end"),
            ("$[\"a\"", "a quoted member name does not end"),
        ])
    func malformed(_ text: String, _ reason: String) {
        #expect(throws: PathPatternError(text: text, reason: reason)) { try PathPattern(text) }
    }

    @Test("A path is written so that a pattern reads it, and generalised without its indexes")
    func text() throws {
        let path = Path([.member("a"), .index(3), .member("b c"), .index(0)])
        #expect(path.description == "$.a[3][\"b c\"][0]")
        #expect(path.generalised == "$.a[*][\"b c\"][*]")
        #expect(try PathPattern(path.description).matches(path))
        #expect(try PathPattern(path.generalised).matches(path))
    }
}
