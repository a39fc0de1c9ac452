import JSON
import TestSupport
import Testing

@testable import Game24

/// Every puzzle of cards: all multisets of four numbers from 1 through 13.
private let allPuzzles: [Puzzle] = {
    var puzzles: [Puzzle] = []
    for a in Puzzle.cards {
        for b in a...13 {
            for c in b...13 {
                for d in c...13 { puzzles += [Puzzle([a, b, c, d])].compactMap { $0 } }
            }
        }
    }
    return puzzles
}()

/// Fractions as pairs, never reduced, and every order, grouping and operator by turns: nothing that
/// the module has, and nothing clever.
private enum BruteForce {
    typealias Fraction = (above: Int, below: Int)

    static func join(_ operation: Int, _ left: Fraction, _ right: Fraction) -> Fraction {
        switch operation {
        case 0: (left.above * right.below + right.above * left.below, left.below * right.below)
        case 1: (left.above * right.below - right.above * left.below, left.below * right.below)
        case 2: (left.above * right.above, left.below * right.below)
        // A zero below the line stays one, whatever is done with it.
        default: (left.above * right.below, right.below == 0 ? 0 : left.below * right.above)
        }
    }

    static func is24(_ value: Fraction) -> Bool {
        value.below != 0 && value.above == 24 * value.below
    }

    static func isSolvable(_ numbers: [Int64]) -> Bool {
        orders(numbers.map(Int.init)).contains { isSolvable(inOrder: $0) }
    }

    private static func orders(_ numbers: [Int]) -> Set<[Int]> {
        guard numbers.count > 1 else { return [numbers] }
        var all: Set<[Int]> = []
        for (index, number) in numbers.enumerated() {
            var rest = numbers
            rest.remove(at: index)
            for order in orders(rest) { all.insert([number] + order) }
        }
        return all
    }

    private static func isSolvable(inOrder numbers: [Int]) -> Bool {
        let (a, b, c, d) = ((numbers[0], 1), (numbers[1], 1), (numbers[2], 1), (numbers[3], 1))
        for x in 0..<4 {
            for y in 0..<4 {
                let left = join(y, join(x, a, b), c)
                let inner = join(x, a, join(y, b, c))
                let right = join(x, b, c)
                for z in 0..<4 {
                    let all = [
                        join(z, left, d), join(z, inner, d),
                        join(y, join(x, a, b), join(z, c, d)),
                        join(z, a, join(y, right, d)), join(z, a, join(x, b, join(y, c, d))),
                    ]
                    if all.contains(where: is24) { return true }
                }
            }
        }
        return false
    }
}

private let solvable: Set<Puzzle> = Set(allPuzzles.filter { BruteForce.isSolvable($0.numbers) })

/// Plays a search to its end, with the votes of some evaluators.
private func play(
    _ search: inout Search, by heuristics: [Heuristic] = Heuristic.allCases,
    rounds: Int = .max
) {
    while search.outcome == nil, search.round <= rounds {
        search.fold(
            search.shares.map { share in
                share.expansion.thoughts.map { thought in
                    heuristics.reduce(0) { $0 + $1.vote(for: thought) }
                }
            })
    }
}

@Test("1,362 of the 1,820 puzzles of cards have an answer: the solver agrees with brute force")
func solver() throws {
    #expect(allPuzzles.count == 1_820)
    #expect(solvable.count == 1_362)
    for puzzle in allPuzzles {
        #expect(try puzzle.isSolvable() == solvable.contains(puzzle), "\(puzzle)")
    }
}

@Test("The search answers every puzzle that has an answer, and proves that the others have none")
func search() throws {
    var answers = 0
    var byBeam = 0
    for puzzle in allPuzzles {
        var search = Search(puzzle)
        play(&search)
        switch search.outcome {
        case .answer(let expression):
            answers += 1
            if !search.isExhaustive { byBeam += 1 }
            #expect(puzzle.isAnswer(expression), "\(puzzle): \(expression)")
            #expect(solvable.contains(puzzle))
        case let outcome:
            #expect(outcome == Search.Outcome.none, "\(puzzle)")
            #expect(!solvable.contains(puzzle), "\(puzzle)")
        }
    }
    #expect(answers == 1_362)
    // The beam is of use: it finds most of them.
    #expect(byBeam > 900)
}

@Test(
    "Whoever votes, and however wide the search is, the verdict on a puzzle is the same",
    arguments: [
        (Search.Settings(beam: 1, branches: 1, batch: 1), [.whole]),
        (Search.Settings(beam: 1, branches: 7, batch: 3), []),
        (Search.Settings(beam: 50, branches: 3, batch: 100), [.lookahead, .factors]),
    ] as [(Search.Settings, [Heuristic])])
func anyWidth(settings: Search.Settings, heuristics: [Heuristic]) {
    for puzzle in allPuzzles.enumerated().filter({ $0.offset % 61 == 7 }).map(\.element) {
        var search = Search(puzzle, settings)
        play(&search, by: heuristics)
        #expect(
            (search.outcome != Search.Outcome.none) == solvable.contains(puzzle), "\(puzzle)")
    }
}

@Test("A search that is written and read after any round ends as the one that was not")
func continued() throws {
    for text in ["3 3 8 8", "1 1 1 1", "4 9 10 13", "1 3 4 6", "1 1 13 13"] {
        let puzzle = try #require(Puzzle(text))
        var whole = Search(puzzle)
        play(&whole)
        for rounds in 0..<whole.round {
            var first = Search(puzzle)
            play(&first, rounds: rounds)
            guard first.outcome == nil else { break }
            let read = try Value(parsing: first.json.canonical)
            var second = try #require(Search(read, first.settings))
            #expect(second.round == first.round && second.shares == first.shares)
            play(&second)
            #expect(second.outcome == whole.outcome && second.explored == whole.explored)
        }
        #expect(Search(["numbers": [1, 2], "votes": []], whole.settings) == nil)
        #expect(
            Search(["numbers": [1, 1, 1, 1], "votes": [[[1, 2]]]], whole.settings) == nil)
    }
}

@Test("Nothing is proved where a number on the way is not computed")
func unprovable() throws {
    let puzzle = try #require(Puzzle([999_999_937, 999_999_929, 999_999_893, 999_999_883]))
    #expect(throws: ArithmeticError.overflow) { try puzzle.isSolvable() }
    var search = Search(puzzle)
    play(&search)
    #expect(search.outcome == .unprovable)
}

@Test(
    "An answer is 24, exactly, of the puzzle's numbers, each once",
    arguments: [
        ("8/(3-8/3)", true), ("8/(3-8/3)+0", false), ("(8-3)*(8-3)", false), ("3*8", false),
        ("8*3*(8-8)", false), ("3+8+8+3", false), ("8/(3-3)+8", false),
    ])
func answers(text: String, isRight: Bool) throws {
    let puzzle = try #require(Puzzle("3 3 8 8"))
    #expect(puzzle.isAnswer(try #require(Expression(text))) == isRight)
}

@Test("A puzzle is four whole numbers in range, in any order")
func puzzles() throws {
    #expect(Puzzle("13, 4 9,10")?.description == "4 9 10 13")
    #expect(Puzzle("0 0 0 1000000000") != nil)
    for text in ["", "1 2 3", "1 2 3 4 5", "1 2 3 x", "1 2 3 -4", "1 2 3 1000000001", "1 2 3 4.0"] {
        #expect(Puzzle(text) == nil, "\(text)")
    }
}

@Test("A file of puzzles goes round; what is wrong with it is said by line")
func files() throws {
    let source = try PuzzleSource.reading("# four\n1 1 1 1\n\n3 3 8 8 # fractions\n").get()
    #expect((0..<4).map { source[$0].numbers[0] } == [1, 3, 1, 3])
    let wrong = [("1 1 1 1\n2 2 2\n", "line 2: '2 2 2'"), ("", "line 1"), ("# none\n", "ends")]
    for (text, words) in wrong {
        let error = #expect(throws: MalformedPuzzle.self) {
            try PuzzleSource.reading(text).get()
        }
        #expect(error?.description.contains(words) == true)
    }
}

@Test(
    "Seeded puzzles follow from their seed; the unsolvable ones are as many as was asked for",
    arguments: [(0, 0), (0.2, 20), (0.5, 50), (1, 100)])
func seeded(share: Double, count: Int) {
    let source = PuzzleSource(seed: 5, unsolvable: share)
    let drawn = (0..<100).map { source[$0] }
    #expect(drawn.count { !solvable.contains($0) } == count)
    #expect(drawn[..<9] == (0..<9).map { PuzzleSource(seed: 5, unsolvable: share)[$0] }[...])
    #expect(drawn[..<9] != (0..<9).map { PuzzleSource(seed: 6, unsolvable: share)[$0] }[...])
    let cycle = PuzzleSource(seed: 5, unsolvable: share, cycle: 7)
    #expect((0..<14).map { cycle[$0] } == Array(drawn[..<7] + drawn[..<7]))
}

@Test("Votes are between hopeless and sure, and sure of 24 alone")
func votes() throws {
    let thoughts = Expansion(of: [Thought([3, 3, 8, 8])]).thoughts
    let deeper = Expansion(of: thoughts).thoughts
    for thought in thoughts + deeper {
        for heuristic in Heuristic.allCases {
            #expect(Heuristic.votes.contains(heuristic.vote(for: thought)))
        }
    }
    for heuristic in Heuristic.allCases {
        #expect(heuristic.vote(for: try #require(Thought(texts: ["8/(3-8/3)"]))) == 100)
        #expect(heuristic.vote(for: try #require(Thought(texts: ["25"]))) == 0)
    }
    #expect(Heuristic.lookahead.vote(for: Thought([3, 8])) == 100)
    #expect(Heuristic.lookahead.vote(for: Thought([3, 7])) == 0)
    #expect(Heuristic.factors.vote(for: Thought([5, 8])) == 50)
    let huge = Thought([.max, .max])
    for heuristic in Heuristic.allCases { #expect(heuristic.vote(for: huge) >= 0) }
}

@Test("Thoughts are read again from their texts, and what is none is refused")
func thoughtTexts() throws {
    for thought in Expansion(of: [Thought([4, 9, 10, 13])]).thoughts {
        #expect(Thought(texts: thought.texts) == thought)
    }
    #expect(Thought(texts: ["1/0"]) == nil)
    #expect(Thought(texts: ["1", "x"]) == nil)
}
