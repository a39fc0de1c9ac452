import Analysis
import Testing

@testable import Reporting

@Suite struct TerminalReportTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let file: String
        let verdict: Verdict
        var colour = false
        var width = 100
        var testDescription: String { file }
    }

    static let cases = [
        Case(file: "promoted.txt", verdict: Verdicts.promoted()),
        Case(file: "broken.txt", verdict: Verdicts.broken()),
        Case(file: "broken-colour.txt", verdict: Verdicts.broken(), colour: true, width: 80),
        Case(file: "inconclusive.txt", verdict: Verdicts.inconclusive()),
    ]

    @Test("The terminal report reads as its snapshot", arguments: cases)
    func snapshots(_ planted: Case) throws {
        let report = TerminalReport(planted.verdict, directory: "logs/rehearsal/r1")
        try Snapshot.expect(
            report.text(colour: planted.colour, width: planted.width), named: planted.file)
    }

    @Test("No finding is wider than the terminal, however narrow", arguments: [40, 60, 80, 120])
    func width(_ width: Int) throws {
        let text = TerminalReport(Verdicts.broken()).text(colour: false, width: width)
        let findings = try #require(text.split(separator: "Findings\n").last)
        #expect(findings.split(separator: "\n").allSatisfy { $0.count <= width })
    }

    @Test("What a message holds cannot drive the terminal")
    func escapes() {
        let text = TerminalReport(Verdicts.broken()).text(colour: false)
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 })
    }
}

@Suite struct NumbersTests {
    @Test(
        "Numbers are grouped",
        arguments: [
            (0, "0"), (999, "999"), (1_000, "1,000"), (-12_345_678, "-12,345,678"),
            (100_000, "100,000"),
        ])
    func grouped(_ number: Int, _ text: String) {
        #expect(Numbers.grouped(number) == text)
    }

    @Test(
        "Durations come in the unit that suits them",
        arguments: [
            (0.5, "0.5 µs"), (99.94, "99.9 µs"), (100, "100 µs"), (9_999, "9,999 µs"),
            (15_200, "15.2 ms"), (11_000_000, "11.0 s"),
        ])
    func microseconds(_ microseconds: Double, _ text: String) {
        #expect(Numbers.duration(microseconds: microseconds) == text)
    }

    @Test(
        "Long durations too",
        arguments: [(0, "0 ms"), (999, "999 ms"), (1_000, "1.0 s"), (125_000, "2 min 5 s")])
    func milliseconds(_ milliseconds: Int, _ text: String) {
        #expect(Numbers.duration(milliseconds: milliseconds) == text)
    }
}
