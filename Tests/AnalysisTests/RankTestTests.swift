import Testing

@testable import Analysis

/// The figures are scipy's: `statistics_by_scipy.py` prints them.
@Suite("The test of ranks")
struct RankTestTests {
    struct Case: Sendable {
        let first: [Double]
        let second: [Double]
        let probability: Double
        let shift: Double
        var interval: ClosedRange<Double>?
    }

    static let cases = [
        Case(first: [1, 2, 3], second: [4, 5, 6], probability: 0.1, shift: 3),
        Case(
            first: [1, 2, 3, 4], second: [5, 6, 7, 8], probability: 0.0285714286, shift: 4,
            interval: 1...7),
        Case(
            first: [0.91, 0.95, 0.97, 1.02, 0.93], second: [0.90, 0.99, 0.96, 1.05, 1.01],
            probability: 0.5476190476, shift: 0.03, interval: -0.06...0.1),
        Case(
            first: [0.91, 0.95, 0.97, 1.02, 0.93, 0.94, 0.98],
            second: [0.80, 0.79, 0.86, 0.92, 0.81, 0.88, 0.83],
            probability: 0.0011655012, shift: -0.12, interval: -0.17 ... -0.06),
        Case(
            first: [3.1, 2.7, 2.9], second: [3.0, 3.6, 3.3, 3.9, 3.5], probability: 0.0714285714,
            shift: 0.6, interval: -0.1...1.2),
    ]

    @Test("p-value, shift and interval are scipy's", arguments: cases)
    func asScipy(_ example: Case) throws {
        let (first, second) = (example.first, example.second)
        #expect(isClose(RankTest.probability(first, second), example.probability))
        #expect(isClose(RankTest.shift(first, second), example.shift))
        let interval = RankTest.interval(first, second, alpha: 0.05)
        guard let expected = example.interval else {
            #expect(interval == nil)
            return
        }
        let found = try #require(interval)
        #expect(isClose(found.lowerBound, expected.lowerBound))
        #expect(isClose(found.upperBound, expected.upperBound))
    }

    @Test("equal figures share their ranks")
    func ties() {
        #expect(isClose(RankTest.probability([1, 1, 2, 3], [2, 3, 3, 4]), 0.2))
        #expect(RankTest.probability([5, 5, 5], [5, 5, 5, 5]) == 1)
    }

    @Test("where there are many figures, the normal distribution stands in")
    func normal() {
        let first = (0..<40).map { Double($0 * 37 % 101) }
        let second = (0..<40).map { Double($0 * 53 % 101 + 12) }
        #expect(isClose(RankTest.probability(first, second), 0.116744031735, within: 1e-9))
    }

    @Test("no p-value is below what so many figures can have")
    func least() {
        #expect(isClose(RankTest.probabilityMin(3, 3), 0.1))
        #expect(isClose(RankTest.probabilityMin(4, 4), 2.0 / 70))
        #expect(isClose(RankTest.probabilityMin(7, 7), 2.0 / 3432))
        #expect(RankTest.probabilityMin(1, 1) == 1)
        #expect(RankTest.probabilityMin(0, 5) == 1)
    }

    @Test("p-values of many metrics are adjusted as scipy does")
    func adjusted() {
        let adjusted = RankTest.adjusted([0.03, 0.001, 0.8, 0.02, 0.04])
        for (found, expected) in zip(adjusted, [0.05, 0.005, 0.8, 0.05, 0.05]) {
            #expect(isClose(found, expected))
        }
    }

    private func isClose(_ one: Double, _ other: Double, within: Double = 1e-9) -> Bool {
        abs(one - other) <= within
    }
}
