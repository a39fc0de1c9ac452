import Testing
import YAML

/// How nodes become values.
struct ReadingTests {
    private enum Shape: String, CaseIterable { case sphere, torus, terrain }

    private func read<Value>(_ text: String, _ reading: Reading<Value>) -> (Value?, String) {
        let diagnostics = Diagnostics()
        let value = reading.read(
            Source(name: "a.yaml", text: text), reportingTo: diagnostics)
        return (value, diagnostics.rendered)
    }

    @Test(
        "a duration is a number with a unit",
        arguments: [
            ("5s", .seconds(5)), ("100ms", .milliseconds(100)), ("250us", .microseconds(250)),
            ("2m", .seconds(120)), ("1h", .seconds(3_600)), ("1.5s", .milliseconds(1_500)),
            ("0.1ms", .microseconds(100)), ("0s", .zero), ("5 s", .seconds(5)), ("5", nil),
            ("5d", .seconds(432_000)), ("5w", nil), ("-5s", nil), ("1.s", nil), (".5s", nil),
            ("s", nil), ("", nil),
            ("9999999999h", nil), ("99999999999999999999s", nil), ("8000h", nil),
        ] as [(String, Duration?)])
    func duration(_ text: String, _ expected: Duration?) {
        let (value, rendered) = read(text, .duration())
        #expect(value == expected)
        #expect(rendered.isEmpty == (expected != nil))
    }

    @Test(
        "a size is a number of bytes, with a unit of tens or of twos",
        arguments: [
            ("512", 512), ("512B", 512), ("1kB", 1_000), ("1KB", 1_000), ("1KiB", 1_024),
            ("16MB", 16_000_000), ("8MiB", 8_388_608), ("1.5GB", 1_500_000_000), ("2 GiB", 1 << 31),
            ("1TB", 1_000_000_000_000), ("0x10", 16), ("16mb", nil), ("16M", nil), ("-1", nil),
            ("-1MB", nil), ("MB", nil), ("9999999TB", nil), ("2000TiB", nil), ("1.5", nil),
        ] as [(String, Int?)])
    func byteSize(_ text: String, _ expected: Int?) {
        let (value, rendered) = read(text, .byteSize())
        #expect(value == expected)
        #expect(rendered.isEmpty == (expected != nil))
    }

    @Test(
        "a number out of its range is refused with the bound that it broke",
        arguments: [
            ("0", "at least 1"), ("1", nil), ("10", nil), ("11", "at most 10"),
        ])
    func ranges(_ text: String, _ complaint: String?) {
        let (value, rendered) = read(text, .integer(in: 1...10))
        #expect((value == nil) == (complaint != nil))
        #expect(rendered.contains(complaint ?? ""))
    }

    @Test(
        "a number may have a fraction, and must be one",
        arguments: [
            ("1", 1), ("-2.5", -2.5), ("1e3", 1_000), (".inf", nil), (".nan", nil), ("x", nil),
        ] as [(String, Double?)])
    func number(_ text: String, _ expected: Double?) {
        #expect(read(text, .number()).0 == expected)
    }

    /// What the table below reads; readings themselves do not go into arguments.
    enum Kind { case text, flag, whole, size, time, list, shape }

    private func complaints(about text: String, readAs kind: Kind) -> String {
        switch kind {
        case .text: read(text, .string).1
        case .flag: read(text, .bool).1
        case .whole: read(text, .integer()).1
        case .size: read(text, .byteSize()).1
        case .time: read(text, .duration()).1
        case .list: read(text, .list(of: .string)).1
        case .shape: read(text, .enumeration("shape", of: Shape.self)).1
        }
    }

    @Test(
        "what is of another type is refused, with the way to write it",
        arguments: [
            ("5", .text, "quote it: \"5\""), ("[a]", .text, "expected a text, found a list"),
            ("\"a\\0b\"", .text, "holds a NUL character"),
            ("~", .text, "give it a value, or remove the key"),
            ("yes", .flag, "write 'true'"), ("Off", .flag, "write 'false'"),
            ("\"4\"", .whole, "write it as a number: 4"), ("1e6", .whole, "write it out: 1000000"),
            ("16mb", .size, "did you mean '16MB'?"), ("5", .time, "add a unit: 5s or 5ms"),
            ("a", .list, "write it in brackets: [a]"), ("spher", .shape, "unknown shape 'spher'"),
        ] as [(String, Kind, String)])
    func wrongType(_ text: String, _ kind: Kind, _ complaint: String) {
        let rendered = complaints(about: text, readAs: kind)
        #expect(rendered.contains(complaint), "\(rendered)")
    }

    @Test("everything that is wrong is reported at once, unknown keys at every depth")
    func everythingAtOnce() {
        let reading = Reading<[Int?]>.mapping { file in
            let name = file.required("name", .string)
            #expect(name == nil)
            let inner = file.optional(
                "inner", .mapping { $0.optional("count", .integer(), default: 7) })
            let list = file.optional(
                "list", .list(of: .mapping { $0.required("size", .byteSize()) }))
            return [inner] + (list ?? [])
        }
        let (value, rendered) = read(
            """
            inner: { cuont: 1 }
            list:
              - { size: 1kB, slots: 4 }
              - { sizes: 2kB }
            nmae: x
            """, reading)
        #expect(value == [7, 1_000])
        #expect(
            rendered == """
                a.yaml:1:1: error: missing key 'name'
                    1 | inner: { cuont: 1 }
                      | ^
                a.yaml:1:10: error: unknown key 'cuont'
                    1 | inner: { cuont: 1 }
                      |          ^~~~~
                help: did you mean 'count'?
                a.yaml:3:18: error: unknown key 'slots'
                    3 |   - { size: 1kB, slots: 4 }
                      |                  ^~~~~
                help: known here: 'size'
                a.yaml:4:5: error: missing key 'size'
                    4 |   - { sizes: 2kB }
                      |     ^
                help: add 'size: 16MB'
                a.yaml:4:7: error: unknown key 'sizes'
                    4 |   - { sizes: 2kB }
                      |       ^~~~~
                help: did you mean 'size'?
                a.yaml:5:1: error: unknown key 'nmae'
                    5 | nmae: x
                      | ^~~~
                help: did you mean 'name'?

                """)
    }

    @Test("nothing behind a key reads as a mapping without keys")
    func emptyMapping() {
        let reading = Reading<Int>.mapping { file in
            file.required("inner", .mapping { $0.optional("count", .integer(), default: 7) }) ?? 0
        }
        #expect(read("inner:\n", reading) == (7, ""))
    }

    @Test("a key that cannot be read stays in a dictionary, for what refers to it")
    func dictionary() {
        let (value, rendered) = read("a: 1\nb: x\n", .dictionary(of: .integer()))
        #expect(value?.map(\.key) == ["a", "b"])
        #expect(value?.map(\.value) == [1, nil])
        #expect(rendered.contains("expected a whole number, found the text 'x'"))
    }

    @Test(
        "one key says how its value is read",
        arguments: [
            ("wait: 5s", .seconds(5), ""), ("stop", .zero, ""), ("stop: {}", .zero, ""),
            ("wiat: 5s", nil, "did you mean 'wait'?"),
            ("{wait: 5s, stop: }", nil, "expected a step, which is one key with its value"),
            ("[wait]", nil, "one of wait, stop"), ("wait", nil, "expected a duration"),
        ] as [(String, Duration?, String)])
    func oneKey(_ text: String, _ expected: Duration?, _ complaint: String) {
        let reading = Reading<Duration>.oneKey(
            of: ["wait": .duration(), "stop": .mapping { _ in .zero }], what: "step")
        let (value, rendered) = read(text, reading)
        #expect(value == expected)
        #expect(rendered.contains(complaint), "\(rendered)")
    }

    @Test("readings can be checked, mapped and located")
    func combinators() {
        let even = Reading.integer().checked {
            $0.isMultiple(of: 2) ? nil : Complaint("odd", help: "add one")
        }
        #expect(read("4", even.map { $0 * 10 }).0 == 40)
        #expect(read("5", even).1.hasSuffix("help: add one\n"))
        let located = read(
            "x:  7",
            Reading<Located<Int>>.mapping {
                $0.required("x", .located(.integer()))
            }
        ).0
        #expect(located?.value == 7)
        #expect(located?.location.column == 5)
    }

    @Test("a list keeps what can be read, and its length is checked")
    func lists() {
        #expect(read("[1, x, 3]", .list(of: .integer())).0 == [1, 3])
        #expect(read("[]", .list(of: .integer(), count: 1...2)).1.contains("at least 1"))
        #expect(read("[1, 2, 3]", .list(of: .integer(), count: 1...2)).1.contains("at most 2"))
        #expect(read("7", .listOrOne(of: .integer())).0 == [7])
    }
}
