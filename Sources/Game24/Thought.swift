/// A node of the tree: the numbers that are left after some steps, each with how it came about.
public struct Thought: Hashable, Sendable {
    /// A number, and the expression that it comes from.
    public struct Term: Hashable, Sendable, Comparable {
        /// What the expression comes to.
        public let value: Rational
        /// How it came about.
        public let expression: Expression

        /// By value, then by text.
        public static func < (left: Term, right: Term) -> Bool {
            guard left.value == right.value else { return left.value < right.value }
            // Seldom needed, so not kept.
            return left.expression.description < right.expression.description
        }
    }

    /// The terms, in order.
    public let terms: [Term]

    fileprivate init(_ terms: [Term]) {
        self.terms = terms.sorted()
    }

    /// A puzzle's own numbers.
    public init(_ numbers: [Int64]) {
        self.init(numbers.map { Term(value: Rational($0), expression: .number($0)) })
    }

    /// Reads expressions, as `texts` has them.
    ///
    /// - Returns: nil where one is none, or has no value.
    public init?(texts: [String]) {
        var terms: [Term] = []
        for text in texts {
            guard let expression = Expression(text), let value = try? expression.value() else {
                return nil
            }
            terms.append(Term(value: value, expression: expression))
        }
        self.init(terms)
    }

    /// The terms' expressions, in order.
    public var texts: [String] { terms.map(\.expression.description) }

    /// What is left, in order: two thoughts with the same can reach the same.
    public var multiset: [Rational] { terms.map(\.value) }

    /// The expression, where one number is left and it is 24.
    public var answer: Expression? {
        guard terms.count == 1, terms[0].value == Rational(Puzzle.target) else { return nil }
        return terms[0].expression
    }
}

/// What can become of some thoughts in one step.
public struct Expansion: Hashable, Sendable {
    /// The thoughts, each multiset once, in an order that follows from what was expanded.
    public private(set) var thoughts: [Thought] = []
    /// False where a number came up that is not computed: then something may be missing.
    public private(set) var isComplete = true

    /// Joins every pair of terms of each thought by every operator.
    ///
    /// A smaller number minus a larger one is left out. A sign can always be moved outwards, until
    /// it is the whole expression's, and 24 has none: whoever reaches 24 by way of a negative
    /// number reaches it without.
    public init(of parents: [Thought]) {
        var seen: Set<[Rational]> = []
        for parent in parents {
            let terms = parent.terms
            for first in terms.indices {
                for second in terms.indices.dropFirst(first + 1) {
                    let rest = terms.indices.filter { $0 != first && $0 != second }
                        .map { terms[$0] }
                    for term in joined(terms[first], terms[second]) {
                        let thought = Thought(rest + [term])
                        if seen.insert(thought.multiset).inserted { thoughts.append(thought) }
                    }
                }
            }
        }
    }

    private mutating func joined(
        _ small: Thought.Term, _ large: Thought.Term
    ) -> [Thought.Term] {
        let joints: [(Operator, Thought.Term, Thought.Term)] = [
            (.plus, large, small), (.times, large, small), (.minus, large, small),
            (.over, large, small), (.over, small, large),
        ]
        var terms: [Thought.Term] = []
        for (operation, left, right) in joints {
            do throws(ArithmeticError) {
                terms.append(
                    Thought.Term(
                        value: try operation(left.value, right.value),
                        expression: .operation(operation, left.expression, right.expression)))
            } catch {
                if error == .overflow { isComplete = false }
            }
        }
        return terms
    }
}
