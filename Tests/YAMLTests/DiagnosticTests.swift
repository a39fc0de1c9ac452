import Testing
import YAML

/// How mistakes are shown.
struct DiagnosticTests {
    private func render(
        _ text: String, line: Int, column: Int, length: Int, help: String? = nil
    ) -> String {
        let source = Source(name: "topologies/a.yaml", text: text)
        let location = Location(source: source, line: line, column: column, length: length)
        return Diagnostic(location: location, message: "wrong", help: help).description
    }

    @Test("a diagnostic is its place, the line, a caret and the help")
    func shape() {
        let text = String(repeating: "\n", count: 11) + "    branch: photogrametry\n"
        let location = Location(
            source: Source(name: "topologies/a.yaml", text: text), line: 12, column: 13, length: 13)
        let diagnostics = Diagnostics()
        diagnostics.unknown(
            "branch", "photogrametry", at: location, among: ["core", "photogrammetry"])
        #expect(
            diagnostics.rendered == """
                topologies/a.yaml:12:13: error: unknown branch 'photogrametry'
                   12 |     branch: photogrametry
                      |             ^~~~~~~~~~~~~
                help: did you mean 'photogrammetry'?

                """)
    }

    @Test("tabs keep the caret under its text, and nothing unprintable gets out")
    func unprintable() {
        #expect(
            render("a:\tb\u{1B}[31m", line: 1, column: 4, length: 1).contains(
                "    1 | a:\tb\u{FFFD}[31m\n      |   \t^"))
        #expect(Diagnostic.quote("a\u{1B}\u{202E}\nb") == "'a\u{FFFD}\u{FFFD}\u{FFFD}b'")
    }

    @Test("of a long line the part around the caret is shown")
    func longLine() {
        let text = String(repeating: "x", count: 300) + "Y" + String(repeating: "z", count: 300)
        let lines = render(text, line: 1, column: 301, length: 300).split(separator: "\n")
        #expect(lines[1].count < 180)
        let caret = lines[2].firstIndex(of: "^").map {
            lines[2].distance(from: lines[2].startIndex, to: $0)
        }
        let letter = lines[1].firstIndex(of: "Y").map {
            lines[1].distance(from: lines[1].startIndex, to: $0)
        }
        #expect(caret == letter)
        #expect(Diagnostic.quote(text).count == 83)
    }

    @Test("a place past the end of its line, or of the file, is still shown or left out")
    func outside() {
        #expect(render("ab", line: 1, column: 9, length: 5).hasSuffix("    1 | ab\n      |   ^"))
        #expect(
            render("ab", line: 7, column: 1, length: 1) == "topologies/a.yaml:7:1: error: wrong")
    }

    @Test("diagnostics come in the file's order, each once, and only so many")
    func collector() {
        let source = Source(name: "a", text: "x\nx\nx\n")
        func place(_ line: Int) -> Location {
            Location(source: source, line: line, column: 1, length: 1)
        }
        let diagnostics = Diagnostics(countMax: 3)
        diagnostics.warning("third", at: place(3))
        #expect(!diagnostics.hasErrors)
        diagnostics.error("first", at: place(1))
        diagnostics.error("first", at: place(1))
        diagnostics.report(Diagnostic(source: source, message: "whole"))
        diagnostics.error("one too many", at: place(2))
        #expect(diagnostics.hasErrors)
        #expect(
            diagnostics.all.map(\.message) == [
                "whole", "first", "third", "more than 3 problems; the others are not shown",
            ])
    }

    @Test("an error that is no longer kept still counts")
    func overflow() {
        let source = Source(name: "a", text: "x")
        let place = Location(source: source, line: 1, column: 1, length: 1)
        let diagnostics = Diagnostics(countMax: 1)
        diagnostics.warning("kept", at: place)
        diagnostics.error("not kept", at: place)
        #expect(diagnostics.hasErrors)
    }

    @Test(
        "the nearest name is suggested if it is near enough to be meant",
        arguments: [
            ("photogrametry", "photogrammetry"), ("mehs", "mesh"), ("MESH", "mesh"),
            ("camra", "camera"), ("photgrametry", "photogrammetry"), ("m", nil), ("core2", "core"),
            ("house", nil), ("", nil), ("mesh", nil),
        ])
    func suggestion(_ name: String, _ expected: String?) {
        let names = ["core", "camera", "mesh", "photogrammetry"]
        #expect(Suggestion.nearest(to: name, among: names) == expected)
    }
}
