/// Four numbers, of which 24 is to be made: each once, by addition, subtraction, multiplication and
/// division.
public struct Puzzle: Hashable, Sendable, CustomStringConvertible {
    /// What is to be made.
    public static let target: Int64 = 24
    /// How many numbers there are.
    public static let size = 4
    /// What a number may be.
    public static let range: ClosedRange<Int64> = 0...1_000_000_000
    /// What the numbers of seeded puzzles are: those of playing cards.
    public static let cards: ClosedRange<Int64> = 1...13

    /// The numbers, in order.
    public let numbers: [Int64]

    /// A puzzle of these numbers; nil where they are not four, or one is out of range.
    public init?(_ numbers: [Int64]) {
        guard numbers.count == Self.size, numbers.allSatisfy(Self.range.contains) else {
            return nil
        }
        self.numbers = numbers.sorted()
    }

    /// Reads four whole numbers, between them spaces or commas.
    public init?(_ text: String) {
        let words = text.split { $0 == " " || $0 == "," || $0 == "\t" }
        let numbers = words.compactMap { word in
            word.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(word) : nil
        }
        guard numbers.count == words.count else { return nil }
        self.init(numbers)
    }

    /// `4 9 10 13`.
    public var description: String { numbers.map(String.init).joined(separator: " ") }

    /// Whether the expression is an answer: 24, exactly, of these numbers, each once.
    public func isAnswer(_ expression: Expression) -> Bool {
        expression.numbers.sorted() == numbers
            && (try? expression.value()) == Rational(Self.target)
    }

    /// Whether 24 can be made at all.
    ///
    /// - Throws: `ArithmeticError` where that cannot be told, since a number on the way needs more
    ///   than 64 bits.
    public func isSolvable() throws(ArithmeticError) -> Bool {
        try Self.canReach(numbers.map { Rational($0) })
    }

    private static func canReach(_ values: [Rational]) throws(ArithmeticError) -> Bool {
        guard values.count > 1 else { return values.first == Rational(target) }
        for first in values.indices {
            for second in values.indices where second != first {
                let rest = values.indices.filter { $0 != first && $0 != second }
                    .map { values[$0] }
                for operation in Operator.allCases {
                    // What commutes is tried once.
                    if first > second, operation == .plus || operation == .times { continue }
                    // Signs can be moved outwards, as in `Expansion`.
                    if operation == .minus, values[first] < values[second] { continue }
                    do throws(ArithmeticError) {
                        let joined = try operation(values[first], values[second])
                        if try canReach(rest + [joined]) { return true }
                    } catch {
                        if error == .overflow { throw error }
                    }
                }
            }
        }
        return false
    }
}

/// Which puzzle belongs to which number.
public struct PuzzleSource: Hashable, Sendable {
    private enum Kind: Hashable, Sendable {
        case list([Puzzle])
        case seeded(UInt64, unsolvable: Double, cycle: Int?)
    }

    private let kind: Kind

    /// The puzzles of a list, over and over; nil where it is empty.
    public init?(_ puzzles: [Puzzle]) {
        guard !puzzles.isEmpty else { return nil }
        kind = .list(puzzles)
    }

    /// Puzzles of cards that follow from a seed.
    ///
    /// - Parameters:
    ///   - seed: What they follow from.
    ///   - unsolvable: The share of those without an answer, spread evenly: of the first 100 puzzles
    ///     at 0.2 exactly 20.
    ///   - cycle: After so many the first comes again; nil is never.
    public init(seed: UInt64, unsolvable: Double, cycle: Int? = nil) {
        kind = .seeded(seed, unsolvable: unsolvable, cycle: cycle)
    }

    /// The puzzle with a number.
    public subscript(_ number: Int) -> Puzzle {
        switch kind {
        case .list(let puzzles): return puzzles[number % puzzles.count]
        case .seeded(let seed, let share, let cycle):
            let index = cycle.map { number % $0 } ?? number
            let isSolvable =
                (Double(index + 1) * share).rounded(.down) == (Double(index) * share).rounded(.down)
            return Self.drawn(index, from: seed, isSolvable: isSolvable)
        }
    }

    private static func drawn(_ index: Int, from seed: UInt64, isSolvable: Bool) -> Puzzle {
        var state = mixed(seed ^ mixed(UInt64(truncatingIfNeeded: index)))
        // One of four puzzles has no answer: so many are drawn only if the impossible happens.
        for _ in 0..<10_000 {
            let numbers = (0..<Puzzle.size).map { _ in
                state = mixed(state)
                return Puzzle.cards.lowerBound + Int64(state % UInt64(Puzzle.cards.count))
            }
            if let puzzle = Puzzle(numbers), (try? puzzle.isSolvable()) == isSolvable {
                return puzzle
            }
        }
        preconditionFailure("no puzzle in 10000")
    }

    /// One step that spreads every bit over all 64 (SplitMix64's).
    private static func mixed(_ number: UInt64) -> UInt64 {
        var mixed = number &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension PuzzleSource {
    /// Reads a file of puzzles: one a line; what follows a `#`, and empty lines, are nothing.
    ///
    /// - Returns: The source, or what is wrong with which line.
    public static func reading(_ text: String) -> Result<PuzzleSource, MalformedPuzzle> {
        var puzzles: [Puzzle] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let content = line.prefix { $0 != "#" }
            guard content.contains(where: { !$0.isWhitespace }) else { continue }
            guard let puzzle = Puzzle(String(content)) else {
                return .failure(MalformedPuzzle(line: index + 1, text: String(line.prefix(80))))
            }
            puzzles.append(puzzle)
        }
        guard let source = PuzzleSource(puzzles) else {
            return .failure(MalformedPuzzle(line: max(1, lines.count), text: ""))
        }
        return .success(source)
    }
}

/// A line that is no puzzle.
public struct MalformedPuzzle: Error, Hashable, Sendable, CustomStringConvertible {
    /// The line's number, from 1.
    public let line: Int
    /// The line, cut.
    public let text: String

    /// What was found, and what was expected.
    public var description: String {
        text.isEmpty
            ? "line \(line): the file ends without a puzzle; write four whole numbers a line"
            : "line \(line): '\(text)' is not four whole numbers from \(Puzzle.range.lowerBound) "
                + "through \(Puzzle.range.upperBound)"
    }
}
