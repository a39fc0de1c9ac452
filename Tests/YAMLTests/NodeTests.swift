import Testing
import YAML

/// How text becomes nodes.
struct NodeTests {
    private func parse(_ text: String) throws -> (node: Node?, rendered: String) {
        let diagnostics = Diagnostics()
        let node = Node.parse(Source(name: "a.yaml", text: text), reportingTo: diagnostics)
        return (node, diagnostics.rendered)
    }

    private func scalar(_ text: String) throws -> Scalar? {
        guard case .mapping(let entries)? = try parse("key: \(text)\n").node?.content,
            case .scalar(let scalar, _)? = entries.first?.value.content
        else { return nil }
        return scalar
    }

    @Test(
        "plain scalars have the types of YAML 1.2's core schema",
        arguments: [
            ("", .null), ("~", .null), ("null", .null), ("NULL", .null), ("nULL", .string("nULL")),
            ("true", .bool(true)), ("FALSE", .bool(false)), ("tRUE", .string("tRUE")),
            ("yes", .string("yes")), ("no", .string("no")), ("on", .string("on")),
            ("off", .string("off")), ("y", .string("y")),
            ("0", .integer(0)), ("-7", .integer(-7)), ("+12", .integer(12)), ("007", .integer(7)),
            ("0o17", .integer(15)), ("0x1F", .integer(31)), ("0o8", .string("0o8")),
            ("0x", .string("0x")), ("-0x1", .string("-0x1")), ("0b1", .string("0b1")),
            ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("1_000", .string("1_000")), ("12:30", .string("12:30")), ("1,5", .string("1,5")),
            ("1.5", .float(1.5)), ("-.5", .float(-0.5)), ("1.", .float(1)), ("1e3", .float(1_000)),
            ("1.5E-2", .float(0.015)), (".", .string(".")), ("1e", .string("1e")),
            ("+", .string("+")), ("e5", .string("e5")), ("0x1p3", .string("0x1p3")),
            (".inf", .float(.infinity)), ("-.INF", .float(-.infinity)), ("inf", .string("inf")),
            ("nan", .string("nan")), ("\"5\"", .string("5")), ("'true'", .string("true")),
            ("!!str 5", .string("5")), ("! 5", .string("5")), ("!!float 5", .float(5)),
            ("!!int 5", .integer(5)),
        ] as [(String, Scalar)])
    func coreSchema(_ text: String, _ expected: Scalar) throws {
        #expect(try scalar(text) == expected)
    }

    @Test("not a number is a float")
    func notANumber() throws {
        guard case .float(let number)? = try scalar(".nan") else {
            Issue.record("no float")
            return
        }
        #expect(number.isNaN)
    }

    @Test("keys and values know their line, column and length, in Unicode scalars")
    func locations() throws {
        let (node, _) = try parse("# head\nkéy: välue # tail\nlist: [a, {b: c}]\n")
        guard case .mapping(let entries)? = node?.content,
            case .sequence(let elements) = entries[1].value.content,
            case .mapping(let inner) = elements[1].content
        else {
            Issue.record("no tree")
            return
        }
        func place(_ location: Location) -> [Int] {
            [location.line, location.column, location.length]
        }
        #expect(place(entries[0].keyLocation) == [2, 1, 3])
        #expect(place(entries[0].value.location) == [2, 6, 5])
        #expect(place(entries[1].value.location) == [3, 7, 11])
        #expect(place(entries[1].value.heading) == [3, 1, 4])
        #expect(place(elements[1].location) == [3, 11, 6])
        #expect(place(inner[0].value.location) == [3, 15, 1])
    }

    @Test(
        "line breaks of every kind count as libyaml counts them", arguments: ["\n", "\r", "\r\n"])
    func lineBreaks(_ lineBreak: String) throws {
        let (node, _) = try parse("a: 1\(lineBreak)b: 2\(lineBreak)")
        guard case .mapping(let entries)? = node?.content else {
            Issue.record("no tree")
            return
        }
        #expect(entries[1].value.location.line == 2)
        #expect(entries[1].value.location.source.lines == ["a: 1", "b: 2", ""])
    }

    @Test("a byte order mark does not move the first line")
    func byteOrderMark() throws {
        let (node, rendered) = try parse("\u{FEFF}a: 1")
        guard case .mapping(let entries)? = node?.content else {
            Issue.record("no tree: \(rendered)")
            return
        }
        #expect(entries[0].keyLocation.column == 1)
    }

    @Test("an alias is what its anchor names")
    func alias() throws {
        let (node, rendered) = try parse("a: &x {b: 1}\nc: *x\n")
        #expect(rendered.isEmpty)
        guard case .mapping(let entries)? = node?.content,
            case .mapping(let inner) = entries[1].value.content
        else {
            Issue.record("no tree")
            return
        }
        #expect(inner[0].key == "b")
    }

    @Test(
        "what a file must not hold is refused with its place",
        arguments: [
            ("a: 1\na: 2\n", "a.yaml:2:1: error: duplicate key 'a'"),
            ("{a: 1, \"a\": 2}", "a.yaml:1:8: error: duplicate key 'a'"),
            ("a: 1\n---\nb: 2\n", "a.yaml:2:1: error: a second document begins here"),
            ("a: !own 1\n", "a.yaml:1:4: error: the tag '!own' does not fit here"),
            ("a: !!binary aGk=\n", "a.yaml:1:4: error: the tag '!!binary' does not fit here"),
            ("a: !!int x\n", "a.yaml:1:4: error: the tag '!!int' does not fit here"),
            ("%TAG ! x\n---\na: 1\n", "a.yaml:1:1: error: tags of one's own"),
            ("[a]: 1\n", "a.yaml:1:1: error: a key must be a text, this is a list"),
            ("? ~\n: 1\n", "a.yaml:1:3: error: a key must be a text, this is nothing"),
            ("<<: {a: 1}\n", "a.yaml:1:1: error: merge keys"),
            ("a: *b\n", "a.yaml:1:4: error: unknown anchor 'b'"),
            ("a: &b [*b]\n", "a.yaml:1:8: error: the alias '*b' stands inside its own anchor"),
            ("a: 99999999999999999999\n", "a.yaml:1:4: error: the number '99999999999999999999'"),
            ("a: 1e999\n", "a.yaml:1:4: error: the number '1e999' needs more than 64 bits"),
            ("a: [1\n", "a.yaml:2:1: error: not YAML: expected ',' or ']'"),
            ("a: b: c\n", "a.yaml:1:5: error: not YAML: mapping values are not allowed"),
            ("a:\n\tb: 1\n", "a.yaml:2:1: error: a tab indents this line"),
            ("a: \u{7}\n", "a.yaml:1:4: error: the file holds a control character here"),
            ("a: 1\nb: \u{0}\n", "a.yaml:2:4: error: the file holds a NUL byte here"),
            ("", "a.yaml: error: the file holds no YAML document"),
            (
                "%YAML 3.0\n---\na\n",
                "a.yaml:1:1: error: not YAML: found incompatible YAML document"
            ),
        ])
    func refused(_ text: String, _ expected: String) throws {
        let rendered = try parse(text).rendered
        #expect(rendered.hasPrefix(expected), "\(rendered)")
    }

    @Test("the same key in another mapping is no duplicate, nor is a quoted << a merge key")
    func noDuplicate() throws {
        #expect(try parse("a: {x: 1}\nb: {x: 1}\n").rendered.isEmpty)
        #expect(try parse("\"<<\": 1\n").rendered.isEmpty)
    }

    @Test("text that is not UTF-8 is refused with its place")
    func invalidText() {
        let diagnostics = Diagnostics()
        let source = Source(name: "a.yaml", bytes: Array("a: 1\nb: é".utf8) + [0xC3, 0x28])
        #expect(Node.parse(source, reportingTo: diagnostics) == nil)
        #expect(diagnostics.rendered.hasPrefix("a.yaml:2:5: error: the file is not UTF-8 here\n"))
    }

    @Test("nesting is allowed to its limit, aliases counted")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try parse(nested(Node.depthMax)).rendered.isEmpty)
        #expect(try parse(nested(Node.depthMax + 2)).rendered.contains("nested deeper"))
        let half = nested(40)
        let doubled = "a: &a \(half)\nb: \(half.prefix(40))*a\(half.suffix(40))\n"
        #expect(try parse(doubled).rendered.contains("nested deeper"))
    }

    @Test("aliases may stand for so many values and no more")
    func aliasLimit() throws {
        let list = "a: &a [" + String(repeating: "x,", count: 99) + "]\n"
        func aliases(_ count: Int) -> String {
            list + "b: [" + String(repeating: "*a ,", count: count) + "]\n"
        }
        #expect(try parse(aliases(100)).rendered.isEmpty)
        #expect(try parse(aliases(101)).rendered.contains("stand for more than 10000 values"))
    }
}
