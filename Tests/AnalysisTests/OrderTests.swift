import TestSupport
import Testing

@testable import Analysis

@Suite struct OrderTests {
    @Test(
        "The displaced are named, of a swapped pair the one that came late",
        arguments: [
            ([], []), ([7], []), ([1, 2, 3], []), ([1, 2, 4, 3, 5], [3]),
            ([2, 3, 4, 5, 1], [4]), ([5, 1, 2, 3, 4], [0]), ([3, 2, 1], [1, 2]),
            ([1, 3, 2, 5, 4], [2, 4]),
        ] as [([Int], [Int])])
    func table(_ values: [Int], _ displaced: [Int]) {
        #expect(Order.displaced(values) == displaced)
    }

    @Test("As few are displaced as a slow, plain search finds", arguments: 0..<200)
    func againstBruteForce(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let values = Array(0..<Int.random(in: 1...40, using: &generator))
            .shuffled(using: &generator)
        var best = [Int](repeating: 1, count: values.count)
        for index in values.indices {
            for earlier in 0..<index where values[earlier] < values[index] {
                best[index] = max(best[index], best[earlier] + 1)
            }
        }
        let displaced = Set(Order.displaced(values))
        #expect(displaced.count == values.count - (best.max() ?? 0))
        let rest = values.indices.filter { !displaced.contains($0) }.map { values[$0] }
        #expect(rest == rest.sorted())
    }
}
