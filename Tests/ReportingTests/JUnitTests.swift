import Analysis
import Foundation
import Testing

@testable import Reporting

@Suite struct JUnitTests {
    /// The counts of a document as an independent reader sees them; `nil` where there is none.
    private static func read(_ xml: String) throws -> String? {
        let python = ["/usr/bin/python3", "/usr/local/bin/python3"].first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
        guard let python else { return nil }
        let script = """
            import sys, xml.etree.ElementTree as tree
            root = tree.fromstring(sys.stdin.buffer.read())
            cases = list(root.iter("testcase"))
            count = lambda name: sum(1 for case in cases if case.find(name) is not None)
            print(root.tag, len(cases), count("failure"), count("error"), count("skipped"))
            print(*[root.get(name) for name in ("tests", "failures", "errors", "skipped")])
            """
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = ["-c", script]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(xml.utf8))
        try input.fileHandleForWriting.close()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: data, as: UTF8.self)
    }

    @Test("The document reads as its snapshot")
    func snapshots() throws {
        try Snapshot.expect(JUnit(Verdicts.broken()).xml, named: "broken.xml")
        try Snapshot.expect(JUnit(Verdicts.promoted()).xml, named: "promoted.xml")
    }

    @Test("Another reader finds it well-formed, and the counts those of the cases")
    func wellFormed() throws {
        var expected = Verdicts.broken()
        expected.expect = .outcome(.rolledBack)
        expected.leaks = Leaks()
        let wanted: [(Verdict, String)] = [
            (Verdicts.promoted(), "testsuites 16 0 0 0\n16 0 0 0\n"),
            (Verdicts.broken(), "testsuites 16 9 1 0\n16 9 1 0\n"),
            (expected, "testsuites 16 0 0 8\n16 0 0 8\n"),
            (Verdicts.inconclusive(), "testsuites 2 0 0 0\n2 0 0 0\n"),
        ]
        for (verdict, counts) in wanted {
            if let read = try Self.read(JUnit(verdict).xml) { #expect(read == counts) }
        }
    }

    @Test("An inconclusive run is an error, not a pass")
    func inconclusive() {
        var verdict = Verdicts.inconclusive()
        verdict.expect = .verdict(.pass)
        #expect(JUnit(verdict).xml.contains("<error type=\"inconclusive\""))
    }

    @Test("A limit that allows some fails only above it; one that is not set never does")
    func limits() {
        var limits = Limits()
        limits[.corrupted] = 3
        limits[.payload] = 6
        let xml = JUnit(Verdicts.broken(), limits: limits).xml
        #expect(xml.contains("<failure message=\"7 payload, limit 6\"/>"))
        #expect(!xml.contains("corrupted, limit 3"))
        #expect(!xml.contains("unexpected, limit"))
    }

    @Test(
        "Attribute values are escaped, and what XML cannot hold is replaced",
        arguments: [
            ("a", "\"a\""), ("<&>\"", "\"&lt;&amp;&gt;&quot;\""), ("a\nb", "\"a&#10;b\""),
            ("\u{00}\u{1B}", "\"\u{FFFD}\u{FFFD}\""), ("é…", "\"é…\""),
        ])
    func escaping(_ text: String, _ quoted: String) {
        #expect(JUnit.quoted(text) == quoted)
    }
}
