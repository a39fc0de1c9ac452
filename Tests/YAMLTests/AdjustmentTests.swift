import Testing
import YAML

/// What a document gets from outside of its file.
@Suite("Adjustments")
struct AdjustmentTests {
    private func parse(
        _ text: String, _ variables: [String: String] = [:], set overrides: [String] = []
    ) -> (rendered: String?, problems: [String]) {
        let diagnostics = Diagnostics()
        let adjustments = Adjustments(
            variables: variables, deferring: ["ports."],
            overrides: overrides.compactMap {
                Override($0, origin: "--set", reportingTo: diagnostics)
            })
        let node = Node.parse(
            Source(name: "a.yaml", text: text), adjusting: adjustments, reportingTo: diagnostics)
        return (
            node?.rendered,
            diagnostics.all.map { diagnostic in
                (diagnostic.location.map {
                    "\($0.source.name):\($0.line):\($0.column)+\($0.length) "
                }
                    ?? "") + diagnostic.message
            }
        )
    }

    @Test(
        "References are replaced before types are found",
        arguments: [
            ("a: ${N}", "a: 4\n"), ("a: \"${N}\"", "a: \"4\"\n"), ("a: '${N}'", "a: \"4\"\n"),
            ("a: x${N}y${N}", "a: x4y4\n"), ("a: ${M:-7}", "a: 7\n"), ("a: ${EMPTY:-7}", "a: 7\n"),
            ("a: ${EMPTY}", "a: null\n"), ("a: ${N:?must be}", "a: 4\n"),
            ("a: $${N}", "a: \"${N}\"\n"), ("a: $N$", "a: \"$N$\"\n"),
            ("a: ${ports.main}", "a: \"${ports.main}\"\n"), ("a: ${M:-}", "a: null\n"),
            ("${N}: 1", "\"4\": 1\n"),
            ("a: ['${N}', {b: 'x${N}'}]", "a:\n  - \"4\"\n  -\n    b: x4\n"),
            ("a: ${QUOTED}", "a: \"\\\"\\\\\\n: #\"\n"),
        ])
    func references(text: String, expected: String) {
        let (rendered, problems) = parse(
            text, ["N": "4", "EMPTY": "", "QUOTED": "\"\\\n: #"])
        #expect(problems.isEmpty)
        #expect(rendered == expected)
    }

    @Test(
        "References that mean nothing are shown where they stand",
        arguments: [
            ("a: ${MISSING}", "a.yaml:1:4+10 the variable 'MISSING' is not set"),
            (
                "a: 'x ${MISSING:?say it}'",
                "a.yaml:1:7+18 the variable 'MISSING' is not set: say it"
            ),
            ("a: ${EMPTY:?say it}", "a.yaml:1:4+16 the variable 'EMPTY' is not set: say it"),
            ("a: ${1}", "a.yaml:1:4+4 '${1}' is no reference"),
            (
                "a: {b: ${N}}",
                "a.yaml:1:9+1 not YAML: expected ',' or '}'"
            ),
            ("a: ${N+1}", "a.yaml:1:4+6 '${N+1}' is no reference"),
            ("a: ${}", "a.yaml:1:4+3 '${}' is no reference"),
            ("a: x${N", "a.yaml:1:5+2 a '${' without its '}'"),
        ])
    func mistakes(text: String, expected: String) {
        #expect(parse(text, ["N": "4", "EMPTY": ""]).problems == [expected])
    }

    @Test("Overrides change values, add keys and reach into lists, in their order")
    func overrides() {
        let text = "agents:\n  camera: {kind: probe, to: [a, b]}\n"
        let (rendered, problems) = parse(
            text, ["N": "2"],
            set: [
                "agents.camera.replicas=3", "agents.camera.to.1=c",
                "agents.camera.kind=[x, {y: z}]",
                "agents.camera.replicas=${N}", "name=",
            ])
        #expect(problems.isEmpty)
        #expect(
            rendered == """
                agents:
                  camera:
                    kind:
                      - x
                      -
                        y: z
                    to:
                      - a
                      - c
                    replicas: 2
                name: null

                """)
    }

    @Test(
        "Overrides that reach nothing say where they end",
        arguments: [
            ("agents.camrea.kind=x", "--set:1:8+6 unknown key 'camrea'"),
            ("agents.camera.to.2=x", "--set:1:18+1 '2' is no element of this list"),
            (
                "agents.camera.kind.x=1",
                "--set:1:20+1 there is nothing below 'agents.camera.kind': it is the text 'probe'"
            ),
            ("agents", "--set:1:1+6 expected PATH=VALUE on one line, found 'agents'"),
            ("a..b=1", "--set:1:1+6 the path 'a..b' has an empty part"),
            ("agents.camera.kind=[x", "--set:1:20+1 not YAML: a list that begins here has no end"),
        ])
    func badOverrides(override: String, expected: String) {
        let text = "agents:\n  camera: {kind: probe, to: [a, b]}\n"
        let problems = parse(text, set: [override]).problems
        #expect(problems.count == 1)
        // How libyaml says it is its own.
        let isSyntax = expected.contains("not YAML")
        #expect(
            isSyntax
                ? problems.first?.contains("not YAML") == true : problems.first == expected)
    }

    @Test("What is rendered means the same when it is read again")
    func rendering() throws {
        let text = """
            texts: ["1", "true", "", "null", " a", "a ", "a: b", "-", "é", "\\u0007\\u2028", "0x1", "~"]
            numbers: [1, -2, 0x10, 1.5, .inf, true, null]
            nested: [[], {}, [[1]], {a: {b: [c]}}]
            """
        let first = try #require(parse(text).rendered)
        let second = parse(first)
        #expect(second.problems.isEmpty)
        #expect(second.rendered == first)
        #expect(first.contains("- \"1\"") && first.contains("- \"true\""))
    }

    @Test("Files of variables are read as shells read them, and mistakes are located")
    func environmentFiles() {
        let text = """
            # comment
            export A=1
              B = 2
            C=two words # comment
            D='single # $x \\n'
            E="double\\n\\"\\\\ $x" # comment
            F=
            G="open
            H='x'y
            1X=2
            I=a#b
            """
        let diagnostics = Diagnostics()
        let variables = EnvironmentFile.parse(
            Source(name: "e", text: text), reportingTo: diagnostics)
        #expect(
            variables.map { "\($0.name)=\($0.value)" } == [
                "A=1", "C=two words", "D=single # $x \\n", "E=double\n\"\\ $x", "F=", "I=a#b",
            ])
        #expect(diagnostics.all.compactMap { $0.location?.line } == [3, 8, 9, 10])
    }
}
