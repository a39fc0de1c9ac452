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

    /// Two runs in which a place differs in every envelope, and one of them with more wrong with it.
    @Test("Noise is tolerated, named, and hides neither disorder nor repeats nor what exceeds it")
    func noise() throws {
        var random = SeededGenerator(seed: 3)
        let folders = try (0..<4).map { _ in try TemporaryDirectory() }
        for (number, folder) in folders.enumerated() {
            var recording = Recording(flows: 2, length: 200, interleavedBy: &random)
            for place in recording.deliveries.indices {
                recording.deliveries[place].content = recording.deliveries[place].content
                    .replacing("{", with: #"{"id":\#((number + 1) * 1_000 + place),"#)
            }
            if number == 3 {
                let repeated = recording.deliveries[40]
                recording.deliveries.insert(repeated, at: 44)
                let displaced = recording.deliveries.remove(at: 100)
                recording.deliveries.insert(displaced, at: 120)
                recording.deliveries[200].content = recording.deliveries[200].content.replacing(
                    "number", with: "nombre")
            }
            _ = try recording.write(to: folder.path)
        }
        let files = try folders.map { try HistoryFiles($0.path) }
        var options = ComparisonOptions(mode: .diff)
        options.alignment = .continued
        let same = try HistoryComparison.compare(
            files[0], files[2], options: options, noise: (files[0], files[1])
        ).report
        #expect(same.counts[.tolerated] == 400)
        #expect(same.noisePlaces.map(\.path) == ["$.id"])
        let other = try HistoryComparison.compare(
            files[0], files[3], options: options, noise: (files[0], files[1])
        ).report
        #expect(other.counts[.duplicate] == 1)
        #expect(other.counts[.reordered] == 1)
        #expect(other.counts[.payload] == 1)
        #expect(other.counts[.tolerated] == 397)
        // A rule about the place says itself what may differ there.
        options.rules = [try PathRule("$.id", .absolute(0))]
        let ruled = try HistoryComparison.compare(
            files[0], files[2], options: options, noise: (files[0], files[1])
        ).report
        #expect(ruled.counts[.payload] == 400)
    }

    @Test("What follows from a difference is told with it, and the first one with its neighbours")
    func cascades() throws {
        var random = SeededGenerator(seed: 4)
        let (one, other) = (try TemporaryDirectory(), try TemporaryDirectory())
        let left = Recording(flows: 3, length: 30, interleavedBy: &random)
        var right = left
        func identity(_ flow: Int, _ sequence: UInt64) throws -> Identity {
            try #require(
                left.deliveries.first {
                    $0.identity.flow.source == "agent-\(flow)" && $0.identity.sequence == sequence
                }?.identity)
        }
        let (root, middle, leaf) = (try identity(0, 10), try identity(1, 12), try identity(2, 15))
        for place in right.deliveries.indices
        where [root, middle, leaf].contains(right.deliveries[place].identity) {
            right.deliveries[place].content = #"{"broken":true}"#
        }
        right.causes = [(middle, root), (leaf, middle)]
        _ = try left.write(to: one.path)
        _ = try right.write(to: other.path)
        let report = try HistoryComparison.compare(
            HistoryFiles(one.path), HistoryFiles(other.path), options: Self.options()
        ).report
        #expect(report.counts[.payload] == 3)
        let ancestors = Dictionary(
            uniqueKeysWithValues: report.differences.map { ($0.identity, $0.ancestor) })
        #expect(ancestors == [root: nil, middle: root, leaf: root])
        let first = try #require(report.first)
        #expect([root, middle, leaf].contains(first.identity))
        #expect(first.left.count == 7 && first.right.count == 7)
        #expect(first.left.filter(\.isDivergent).map(\.identity) == [first.identity])
        #expect(first.right.first(where: \.isDivergent)?.content == #"{"broken":true}"#)
    }
}

extension String {
    fileprivate var folder: String { String(prefix(upTo: lastIndex(of: "/") ?? endIndex)) }
}
