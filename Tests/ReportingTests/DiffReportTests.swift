import Analysis
import JSON
import Recording
import Testing
import Wire

@testable import Reporting

@Suite struct DiffReportTests {
    private func side(_ contents: [Int: String]) -> ComparisonSide {
        let flow = Flow(source: "camera-1", destination: .agent("mesh-1"))
        return ComparisonSide(
            contents.sorted { $0.key < $1.key }.map { sequence, text in
                ComparedRecord(
                    HistoryRecord(
                        agent: "mesh-1",
                        identity: Identity(
                            flow: flow, incarnation: 1, sequence: UInt64(sequence)),
                        type: "result", transport: "zmq", direction: .delivered,
                        sent: UInt64(sequence), observed: UInt64(sequence),
                        contentEncoding: .json, content: .bytes(Array(text.utf8))),
                    receiver: "mesh-1")
            })
    }

    private func report(
        _ left: [Int: String], _ right: [Int: String], _ rules: [PathRule] = []
    ) -> DiffReport {
        DiffReport(
            Comparison.compare(
                left: side(left), right: side(right),
                options: ComparisonOptions(mode: .diff, rules: rules)),
            left: "logs/a/1", right: "logs/a/2")
    }

    private func mixed() throws -> DiffReport {
        let right = [
            1: "{\"count\":3}", 2: "{\"count\":4,\"box\":[0,1.5]}", 3: "{\"count\":5}",
            5: "{\"count\":6}",
        ]
        let left = [
            1: "{\"count\":3}", 2: "{\"count\":4,\"box\":[0,1]}", 3: "{\"count\":5.25}",
            4: "{\"count\":6}",
        ]
        return report(left, right, [try PathRule("$.count", .absolute(0.5))])
    }

    @Test("The report reads as its snapshot")
    func snapshots() throws {
        try Snapshot.expect(try mixed().text(colour: false), named: "diff.txt")
        try Snapshot.expect(try mixed().json.canonical + "\n", named: "diff.json")
    }

    @Test("Two sides are the same where all match, or differ only as the rules allow")
    func same() throws {
        let one = [1: "{\"a\":1}"]
        #expect(report(one, one).isSame)
        #expect(report(one, one).text(colour: false).hasPrefix("All 1 envelope match"))
        #expect(!report(one, [1: "{\"a\":2}"]).isSame)
        #expect(report(one, [1: "{\"a\":2}"], [try PathRule("$.a", .ignore)]).isSame)
        #expect(!report([:], [:]).isSame)
        #expect(!(try mixed().isSame))
    }

    @Test("More differences than are shown are counted")
    func bounded() {
        let left = Dictionary(uniqueKeysWithValues: (1...50).map { ($0, "\($0)") })
        let right = Dictionary(uniqueKeysWithValues: (1...50).map { ($0, "-\($0)") })
        #expect(report(left, right).text(colour: false).hasSuffix("\n… and 30 more\n"))
    }
}
