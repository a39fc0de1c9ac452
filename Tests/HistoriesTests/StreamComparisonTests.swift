import Analysis
import Histories
import Recording
import TestSupport
import Testing
import Wire

/// What streams say is held against what the comparison of histories in memory says.
@Suite struct StreamComparisonTests {
    static let rules: [PathRule] = {
        [
            try? PathRule("$.stamp", .ignore),
            try? PathRule("$.value", .absolute(0.1)),
        ].compactMap(\.self)
    }()

    private static func options() -> ComparisonOptions {
        var options = ComparisonOptions(mode: .diff, rules: rules)
        options.alignment = .continued
        return options
    }

    /// Plants differences of every kind.
    static func plant(
        _ count: Int, into recording: inout Recording, using random: inout SeededGenerator
    ) {
        for _ in 0..<count {
            let place = Int.random(in: 0..<recording.deliveries.count, using: &random)
            let delivery = recording.deliveries[place]
            switch Int.random(in: 0..<9, using: &random) {
            case 0:
                recording.deliveries[place].content = delivery.content.replacing(
                    "number", with: "nombre")
            case 1:
                recording.deliveries[place].content = delivery.content.replacing(
                    "at ", with: "around ")
            case 2:
                recording.deliveries[place].content = delivery.content.replacing(
                    ".5}", with: ".55}")
            case 3:
                let again = min(
                    recording.deliveries.count, place + Int.random(in: 1...40, using: &random))
                recording.deliveries.insert(delivery, at: again)
            case 4:
                recording.deliveries.remove(at: place)
            case 5:
                let other = Int.random(in: 0..<recording.deliveries.count, using: &random)
                recording.deliveries.remove(at: place)
                recording.deliveries.insert(
                    delivery, at: min(other, recording.deliveries.count))
            case 6:
                recording.deliveries.remove(at: place)
                recording.late.append((delivery.identity, delivery.receiver))
            case 7:
                let invented = Recording.Delivery(
                    receiver: delivery.receiver,
                    identity: Identity(
                        flow: delivery.identity.flow, incarnation: delivery.identity.incarnation,
                        sequence: delivery.identity.sequence + 100_000),
                    content: delivery.content)
                recording.deliveries.insert(invented, at: place)
            default:
                recording.deliveries[place].type = "other"
            }
        }
    }

    private struct Summary: Equatable {
        var counts: ComparisonCounts
        var paths: [String: Int]
        var differences: Set<String>

        init(_ report: ComparisonReport) {
            counts = report.counts
            paths = report.paths
            // Which one of several stands out of order is a matter of taste.
            differences = Set(
                report.differences.filter { $0.deviation != .reordered }
                    .map { "\($0.deviation) \($0.identity) \($0.receiver) \($0.path ?? "")" })
        }
    }

    private func compare(
        _ left: [String], _ right: [String], _ bounds: StreamComparison.Bounds
    ) throws -> ComparisonReport {
        let folders = try (HistoryFiles(left[0].folder), HistoryFiles(right[0].folder))
        let outcome = try HistoryComparison.compare(
            folders.0, folders.1, options: Self.options(), bounds: bounds)
        #expect(outcome.damages == [])
        return outcome.report
    }

    @Test(arguments: 0..<60)
    func saysTheSame(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let (one, other) = (try TemporaryDirectory(), try TemporaryDirectory())
        let flows = Int.random(in: 1...6, using: &random)
        let length = UInt64.random(in: 4...120, using: &random)
        let incarnations = UInt32.random(in: 1...2, using: &random)
        var left = Recording(
            flows: flows, length: length, incarnations: incarnations, interleavedBy: &random)
        var right = Recording(
            flows: flows, length: length, incarnations: incarnations,
            numbered: UInt32.random(in: 1...3, using: &random), interleavedBy: &random)
        let count = Int.random(in: 0...12, using: &random)
        Self.plant(count, into: &left, using: &random)
        Self.plant(count, into: &right, using: &random)
        let (leftPaths, rightPaths) = (
            try left.write(to: one.path), try right.write(to: other.path)
        )
        let expected = Comparison.diff(
            left: try leftPaths.map { try HistoryReader.read(path: $0) },
            right: try rightPaths.map { try HistoryReader.read(path: $0) }, rules: Self.rules)
        for bounds in [
            StreamComparison.Bounds(window: 1_000_000),
            StreamComparison.Bounds(window: 1_000_000, loadMax: 15),
        ] {
            let found = try compare(leftPaths, rightPaths, bounds)
            #expect(Summary(found) == Summary(expected))
        }
    }
}

extension String {
    fileprivate var folder: String { String(prefix(upTo: lastIndex(of: "/") ?? endIndex)) }
}
