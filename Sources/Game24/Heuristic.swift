/// How promising a thought looks to one evaluator.
///
/// Votes only say what is looked at first: whether there is an answer does not depend on them.
public enum Heuristic: String, Hashable, Sendable, CaseIterable {
    /// How close to 24 some simple ways to go on come.
    case nearness
    /// How many of the numbers divide 24.
    case factors
    /// Two numbers: whether they make 24. More: undecided.
    case lookahead
    /// How many of the numbers are whole and at most 24.
    case whole

    /// What a vote may be: from hopeless to sure.
    public static let votes = 0...100

    /// The vote for a thought.
    public func vote(for thought: Thought) -> Int {
        let values = thought.multiset
        guard values.count > 1 else {
            return thought.answer == nil ? Self.votes.lowerBound : Self.votes.upperBound
        }
        switch self {
        case .nearness: return Self.nearness(of: values)
        case .factors:
            return Self.share(of: values) { value in
                value.isWhole && value.numerator > 0 && Puzzle.target % value.numerator == 0
            }
        case .lookahead:
            guard values.count == 2 else { return 50 }
            let isSure = Expansion(of: [thought]).thoughts.contains { $0.answer != nil }
            return isSure ? Self.votes.upperBound : Self.votes.lowerBound
        case .whole:
            return Self.share(of: values) { $0.isWhole && $0.numerator <= Puzzle.target }
        }
    }

    private static func share(of values: [Rational], where isGood: (Rational) -> Bool) -> Int {
        100 * values.count(where: isGood) / values.count
    }

    /// All added, all multiplied, and any two joined; what is not computed is far.
    private static func nearness(of values: [Rational]) -> Int {
        var ways: [Rational?] = [
            try? values.dropFirst().reduce(values[0]) { try $0.adding($1) },
            try? values.dropFirst().reduce(values[0]) { try $0.multiplied(by: $1) },
        ]
        for first in values.indices {
            for second in values.indices.dropFirst(first + 1) {
                for operation in Operator.allCases {
                    ways.append(try? operation(values[second], values[first]))
                }
            }
        }
        let target = Rational(Puzzle.target)
        let distances = ways.compactMap { way -> Int64? in
            guard let way, let distance = try? way.subtracting(target) else { return nil }
            return Int64(clamping: distance.numerator.magnitude) / distance.denominator
        }
        return 100 - Int(min(100, (distances.min() ?? 100).multipliedClamped(by: 4)))
    }
}

extension Int64 {
    fileprivate func multipliedClamped(by factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
