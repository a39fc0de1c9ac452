import Analysis
import Benchmarking
import Histories
import TestSupport
import Testing

@Suite struct PlantedRecordingsTests {
    @Test("Every planted difference is found in its class, and no other")
    func found() throws {
        let directory = try TemporaryDirectory()
        let recordings = PlantedRecordings(count: 64_000, planted: 40)
        let sides = [directory.file("left"), directory.file("right")]
        try recordings.write(to: sides[0], isRight: false)
        try recordings.write(to: sides[1], isRight: true)
        var options = ComparisonOptions(
            mode: .diff,
            rules: [try PathRule("$.value", .absolute(0.5)), try PathRule("$.stamp", .ignore)])
        options.alignment = .continued
        let outcome = try HistoryComparison.compare(
            try HistoryFiles(sides[0]), try HistoryFiles(sides[1]), options: options)
        #expect(outcome.damages == [])
        for kind in PlantedRecordings.Kind.allCases {
            let deviation = try #require(Deviation(rawValue: kind.rawValue))
            #expect(outcome.report.counts[deviation] == recordings.expected[kind], "\(kind)")
            #expect(recordings.expected[kind] == 40)
        }
        #expect(outcome.report.passes == 1)
        let extra = recordings.expected[.extra] ?? 0
        #expect(outcome.report.counts.total == 64_000)
        #expect(extra == 40)
    }
}
