import Foundation
import JSON
import Testing

@testable import Analysis

/// What is judged, and how: against scipy and R, and against what other judges let pass.
@Suite("Judging latency")
struct JudgingTests {
    static func reference() throws -> Value {
        let path = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "judge_reference.json")
        return try Value(parsing: [UInt8](Data(contentsOf: path)))
    }

    static func series(_ value: Value?) -> [Double] { (value?.array ?? []).compactMap(\.double) }

    @Test("U and p of many figures with shared ranks are scipy's, within 1e-9")
    func many() throws {
        let cases = try #require(try Self.reference()["many"]?.array)
        #expect(cases.count == 5)
        for example in cases {
            let (first, second) = (Self.series(example["first"]), Self.series(example["second"]))
            #expect(RankTest.statistic(first, second) == example["u"]?.double)
            let expected = try #require(example["p"]?.double)
            #expect(abs(RankTest.probability(first, second) - expected) <= 1e-9)
        }
    }

    @Test("U, p, shift and interval of few figures are R's, within 1e-9")
    func few() throws {
        let cases = try #require(try Self.reference()["few"]?.array)
        #expect(cases.count == 5)
        for example in cases {
            let (first, second) = (Self.series(example["first"]), Self.series(example["second"]))
            func isClose(_ found: Double, _ name: String) throws -> Bool {
                abs(found - (try #require(example[name]?.double))) <= 1e-9
            }
            #expect(try isClose(RankTest.statistic(first, second), "u"))
            #expect(try isClose(RankTest.probability(first, second), "p"))
            #expect(try isClose(RankTest.shift(first, second), "shift"))
            let alpha = try #require(example["alpha"]?.double)
            let interval = try #require(RankTest.interval(first, second, alpha: alpha))
            #expect(try isClose(interval.lowerBound, "low"))
            #expect(try isClose(interval.upperBound, "high"))
        }
    }

    @Test("a difference at a place is the same as with all of them made and sorted")
    func places() {
        var seed: UInt64 = 1
        for (n, m) in [(1, 1), (3, 7), (40, 25)] {
            func next() -> Double {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Double(Int64(bitPattern: seed) >> 40) / 64
            }
            let first = (0..<n).map { _ in next() }
            let second = (0..<m).map { _ in next() }
            let all = second.flatMap { value in first.map { value - $0 } }.sorted()
            let pairs = PairDifferences(first, second)
            for place in 1...(n * m) { #expect(pairs.smallest(place) == all[place - 1]) }
        }
    }

    static let rule = LatencyRule(ratioMax: 2, alpha: 0.01, minimum: 5)

    static func judge(
        _ candidate: [Double], beside reference: [Double], by rule: LatencyRule = rule
    ) -> LatencyJudgement {
        LatencyJudgement("canary", candidate, beside: reference, by: rule, seed: 7)
    }

    @Test(
        "seven of ten a hundred times slower is no pass, though a test of the middle lets it be one"
    )
    func mostlySlow() {
        let judgement = Self.judge(
            Array(repeating: 100, count: 7) + Array(repeating: 1, count: 3),
            beside: Array(repeating: 1, count: 10))
        // Ten figures say nothing of a 99th percentile, and their median may be 1: no failure either.
        #expect(judgement.verdict == .inconclusive, "\(judgement.reason)")
        #expect(judgement.statistic == 85)
        let many = (0..<700).map { Double($0 % 10 < 7 ? 100 : 1) }
        #expect(Self.judge(many, beside: Array(repeating: 1, count: 700)).verdict == .fail)
    }

    @Test("sparse figures against zeros are no pass")
    func sparse() {
        #expect(Self.judge([0, 1, 2, 1, 0, 0], beside: [0, 0, 0, 0, 0, 0]).verdict != .pass)
        let many = (0..<600).map { Double($0 % 20 == 0 ? 1 : 0) }
        let judgement = Self.judge(many, beside: Array(repeating: 0, count: 600))
        #expect(judgement.verdict == .fail, "\(judgement.reason)")
    }

    @Test("two and three figures say nothing, however far apart", arguments: [2, 3])
    func separated(count: Int) {
        let rule = LatencyRule(ratioMax: 2, alpha: 0.01, minimum: 1)
        let judgement = Self.judge(
            (0..<count).map { 100 + Double($0) }, beside: (0..<count).map { 1 + Double($0) },
            by: rule)
        #expect(judgement.verdict == .inconclusive)
        #expect(judgement.probability ?? 0 > 0.05)
    }

    @Test("nothing on either side, or on both, says nothing")
    func nothing() {
        let some = (0..<200).map { Double($0) }
        #expect(Self.judge([], beside: []).verdict == .inconclusive)
        #expect(Self.judge([], beside: some).verdict == .inconclusive)
        #expect(Self.judge(some, beside: []).verdict == .inconclusive)
        #expect(Self.judge(some, beside: []).statistic == nil)
    }

    @Test("a judgement that cannot be made is none, and never raises what is worse")
    func throwing() {
        struct Broken: Error {}
        let broken = StepVerdict.checking("latency") { throw Broken() }
        #expect(broken.verdict == .inconclusive)
        #expect(
            StepVerdict.composed(of: [broken, StepVerdict(.pass, reason: "fine")]).verdict
                == .inconclusive)
    }

    @Test("constant and identical figures are equal; constant and three times as much are not")
    func constant() {
        let ones = Array(repeating: 1.0, count: 600)
        #expect(Self.judge(ones, beside: ones).verdict == .pass)
        #expect(Self.judge(ones.map { $0 * 3 }, beside: ones).verdict == .fail)
        let some = (0..<606).map { Double($0 * 37 % 101 + 1) }
        let judgement = Self.judge(some, beside: some)
        #expect(judgement.verdict == .pass, "\(judgement.reason)")
        #expect(judgement.shift?.value == 0)
    }

    @Test(
        "three times as slow fails, a tenth slower passes, and what straddles the bound does neither"
    )
    func ratios() {
        let some = (0..<2_000).map { Double($0 * 37 % 997 + 200) }
        #expect(Self.judge(some.map { $0 * 3 }, beside: some).verdict == .fail)
        #expect(Self.judge(some.map { $0 * 1.1 }, beside: some).verdict == .pass)
        let few = Array(some.prefix(60))
        #expect(Self.judge(few.map { $0 * 2 }, beside: few).verdict == .inconclusive)
    }

    @Test("one slow in fifty is seen at the 99th percentile, not in the middle")
    func tail() throws {
        let some = (0..<5_000).map { Double($0 * 37 % 997 + 200) }
        let slow = some.enumerated().map {
            $0.offset.isMultiple(of: 50) ? $0.element * 50 : $0.element
        }
        let judgement = Self.judge(slow, beside: some)
        #expect(try #require(judgement.p50).high < 1.1)
        #expect(try #require(judgement.p99).low > 2)
        #expect(judgement.verdict == .fail, "\(judgement.reason)")
    }

    @Test("so few that the slow one in a hundred may be missing do not pass")
    func fewForTheTail() {
        let some = (0..<500).map { Double($0 * 37 % 101 + 1) }
        #expect(Self.judge(some, beside: some).verdict == .inconclusive)
        #expect(Self.judge(some.map { $0 * 9 }, beside: some).verdict == .fail)
    }

    @Test("an interval has the figure in it, and the same seed gives the same one")
    func intervals() throws {
        let some = (0..<1_000).map { Double($0 * 37 % 997 + 200) }
        let other = some.map { $0 * 1.3 + 7 }
        let judgement = Self.judge(other, beside: some)
        for estimate in [judgement.p50, judgement.p99, judgement.shift] {
            let estimate = try #require(estimate)
            #expect(estimate.low <= estimate.value && estimate.value <= estimate.high)
        }
        #expect(judgement == Self.judge(other, beside: some))
    }

    @Test("intervals of the ratio cover it as often as they say")
    func coverage() {
        var seed: UInt64 = 3
        func next() -> Double {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Double(seed >> 11) * 0x1p-53
        }
        var covered = 0
        for run in 0..<200 {
            let first = (0..<300).map { _ in 100 + next() * 100 }.sorted()
            let second = (0..<300).map { _ in 150 + next() * 150 }.sorted()
            var bootstrap = Bootstrap(seed: UInt64(run))
            let interval = bootstrap.ratio(ofPercentile: 0.5, first, second, alpha: 0.05)
            if interval.contains(1.5) { covered += 1 }
        }
        // 190 of 200 are expected; fewer than 178 would come once in some thousand times.
        #expect(covered >= 178, "\(covered)")
    }
}
