import TestSupport
import Testing
import Wire

@Suite struct SequenceSetTests {
    @Test("It says what a set of numbers says", arguments: 0..<50)
    func model(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var (set, model) = (SequenceSet(), Set<UInt64>())
        for _ in 0..<400 {
            let number = UInt64.random(in: 1...60, using: &random)
            if Bool.random(using: &random) {
                #expect(set.insert(number) == model.insert(number).inserted)
            } else {
                #expect(set.remove(number) == (model.remove(number) != nil))
            }
            #expect(set.count == model.count)
            #expect(set.contains(number) == model.contains(number))
        }
        #expect(Array(set.sequences) == model.sorted())
        let touching = zip(set.ranges, set.ranges.dropFirst()).filter {
            $1.lowerBound - $0.upperBound < 2
        }
        #expect(touching.isEmpty)
        if let (low, high) = model.min().flatMap({ low in model.max().map { (low, $0) } }) {
            #expect(set.gapCount == high - low + 1 - UInt64(model.count))
        }
    }

    @Test("Differences and unions are those of sets", arguments: 0..<50)
    func pairs(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        func some() -> Set<UInt64> {
            Set((0..<30).map { _ in UInt64.random(in: 0...50, using: &random) })
        }
        let (one, other) = (some(), some())
        var (left, right) = (SequenceSet(), SequenceSet())
        for number in one.shuffled(using: &random) { left.insert(number) }
        for number in other.sorted() { right.insert(number) }
        #expect(left.count(without: right) == one.subtracting(other).count)
        left.formUnion(right)
        #expect(Array(left.sequences) == one.union(other).sorted())
    }
}
