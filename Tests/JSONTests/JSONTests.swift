import JSON
import Testing

@Suite struct JSONTests {
    @Test(
        "a text and its canonical form",
        arguments: [
            (" { \"b\" : 1 , \"a\" : [ true , null ] } ", "{\"a\":[true,null],\"b\":1}"),
            ("1.0", "1"), ("-0.0", "0"), ("1e21", "1e+21"), ("1e-7", "1e-7"),
            ("0.000001", "0.000001"), ("123456789012345680000", "123456789012345680000"),
            ("9223372036854775807", "9223372036854775807"),
            ("333333333.33333329", "333333333.3333333"),
            ("4.50", "4.5"), ("2e-3", "0.002"), ("1E30", "1e+30"),
            (
                "\"\\u20ac$\\u000f\\nA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"",
                "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""
            ),
            ("\"\\ud83d\\ude00\"", "\"😀\""),
        ])
    func canonical(text: String, expected: String) throws {
        #expect(try Value(parsing: text).canonical == expected)
    }

    @Test("members are sorted by UTF-16 code units, as the example of RFC 8785 has it")
    func order() throws {
        let text = """
            {"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}
            """
        #expect(
            try Value(parsing: text).canonical
                == "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}")
    }

    @Test(
        "what is no JSON is refused, with the place",
        arguments: [
            ("", 0), ("[1,]", 3), ("{\"a\":1,\"a\":2}", 12), ("01", 1), ("tru", 0),
            ("\"\u{01}\"", 1),
            ("[1] 2", 4), ("\"\\ud800\"", 7), ("1e999", 0), ("\"abc", 4), ("-", 1), ("{1:2}", 1),
        ])
    func refused(text: String, offset: Int) {
        #expect { try Value(parsing: text) } throws: { ($0 as? ParseError)?.offset == offset }
    }

    @Test("nesting without end is refused, not a crash")
    func depth() {
        #expect(throws: ParseError.self) {
            try Value(parsing: String(repeating: "[", count: 100_000))
        }
    }

    @Test("every prefix of a text is refused or read, never a crash")
    func prefixes() throws {
        let text = Array("{\"a\":[1.5e3,\"\\u00e9\\ud83d\\ude00\",{\"b\":null}],\"c\":false}".utf8)
        for count in 0..<text.count {
            #expect(throws: ParseError.self) { try Value(parsing: text[..<count]) }
        }
        _ = try Value(parsing: text)
    }

    @Test("what was written is read back the same")
    func roundTrip() throws {
        let value: Value = [
            "text": "\"\\\u{07}\u{7f}€",
            "numbers": [0, -1, 0.1, 1e300, .double(.leastNonzeroMagnitude), .integer(.min)],
            "nested": ["empty": [:], "list": []],
        ]
        #expect(try Value(parsing: value.canonical) == value)
    }
}
