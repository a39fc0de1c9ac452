public import JSON

/// A breadth-first search through the thoughts of one puzzle, round by round.
///
/// Each round hands out thoughts in shares, one for each branch; what they expand to is voted on, and
/// `fold` goes on to the next. First the most promising thoughts of each depth alone are expanded (the
/// beam). Where that comes up empty, so does everything that was pruned, deepest and most promising
/// first, until there is an answer or nothing is left: only then it is proved that there is none.
///
/// A pure value. It depends on the puzzle, the settings and the votes, and on nothing else: the votes
/// so far are its whole state.
public struct Search: Sendable {
    /// How wide the search is.
    public struct Settings: Hashable, Sendable {
        /// Thoughts of one depth that are expanded at first.
        public var beam: Int
        /// Shares of a round.
        public var branches: Int
        /// The most thoughts of a share when everything is searched.
        public var batch: Int

        /// Sets the width.
        public init(beam: Int = 5, branches: Int = 2, batch: Int = 16) {
            self.beam = beam
            self.branches = branches
            self.batch = batch
        }
    }

    /// What one branch grows in a round.
    public struct Share: Hashable, Sendable {
        /// The branch's number.
        public let branch: Int
        /// What is to be expanded.
        public let thoughts: [Thought]
        /// What that gives.
        public let expansion: Expansion
    }

    /// How a search ended.
    public enum Outcome: Hashable, Sendable {
        /// This is 24.
        case answer(Expression)
        /// Everything was looked at: there is no answer.
        case none
        /// Everything that can be computed was looked at, which is not everything.
        case unprovable
    }

    private struct Candidate {
        let thought: Thought
        let score: Int

        /// Promising first; equal ones by what is left, which no two have in common.
        func isBefore(_ other: Candidate) -> Bool {
            guard score == other.score else { return score > other.score }
            return thought.multiset.lexicographicallyPrecedes(other.thought.multiset)
        }
    }

    /// The puzzle.
    public let puzzle: Puzzle
    /// How wide the search is.
    public let settings: Settings
    /// The number of the round, from 1.
    public private(set) var round = 1
    /// What this round hands out; empty at the end.
    public private(set) var shares: [Share] = []
    /// Thoughts that were looked at, the puzzle itself among them.
    public private(set) var explored = 1
    /// How it ended, once it has.
    public private(set) var outcome: Outcome?
    /// Whether everything that was pruned is searched by now.
    public private(set) var isExhaustive = false

    /// How many rounds were voted on.
    public var rounds: Int { votes.count }

    /// All votes so far, by round, share and thought, those of all evaluators added up.
    private var votes: [[[Int]]] = []
    private var seen: Set<[Rational]>
    /// What was not expanded yet, by the number of its terms.
    private var pruned: [Int: [Candidate]] = [:]
    private var isComplete = true

    /// Begins a search.
    public init(_ puzzle: Puzzle, _ settings: Settings = Settings()) {
        self.puzzle = puzzle
        self.settings = settings
        let root = Thought(puzzle.numbers)
        seen = [root.multiset]
        hand(out: [root])
    }

    /// Takes in the votes of the round, and goes on to the next one.
    ///
    /// - Parameter scores: For each share, for each thought of its expansion, the votes added up.
    /// - Precondition: As many as there are.
    public mutating func fold(_ scores: [[Int]]) {
        precondition(
            scores.map(\.count) == shares.map(\.expansion.thoughts.count),
            "votes that are not of this round")
        guard outcome == nil else { return }
        votes.append(scores)
        var fresh: [Candidate] = []
        for (share, scores) in zip(shares, scores) {
            if !share.expansion.isComplete { isComplete = false }
            for (thought, score) in zip(share.expansion.thoughts, scores)
            where seen.insert(thought.multiset).inserted {
                explored += 1
                if let answer = thought.answer { return end(.answer(answer)) }
                if thought.terms.count > 1 {
                    fresh.append(Candidate(thought: thought, score: score))
                }
            }
        }
        goOn(with: fresh)
    }

    private mutating func goOn(with fresh: [Candidate]) {
        round += 1
        let ordered = fresh.sorted { $0.isBefore($1) }
        if !isExhaustive, !ordered.isEmpty {
            prune(ordered.dropFirst(settings.beam))
            return hand(out: ordered.prefix(settings.beam).map(\.thought))
        }
        isExhaustive = true
        prune(ordered[...])
        guard let depth = pruned.keys.min(), let waiting = pruned[depth] else {
            return end(isComplete ? .none : .unprovable)
        }
        let next = waiting.sorted { $0.isBefore($1) }
        let count = settings.branches * settings.batch
        let rest = Array(next.dropFirst(count))
        pruned[depth] = rest.isEmpty ? nil : rest
        hand(out: next.prefix(count).map(\.thought))
    }

    private mutating func prune(_ candidates: ArraySlice<Candidate>) {
        for candidate in candidates {
            pruned[candidate.thought.terms.count, default: []].append(candidate)
        }
    }

    /// Deals the thoughts to the branches in turn.
    private mutating func hand(out thoughts: [Thought]) {
        shares = (0..<min(settings.branches, thoughts.count)).map { branch in
            let dealt = stride(from: branch, to: thoughts.count, by: settings.branches)
                .map { thoughts[$0] }
            return Share(branch: branch, thoughts: dealt, expansion: Expansion(of: dealt))
        }
    }

    private mutating func end(_ outcome: Outcome) {
        self.outcome = outcome
        shares = []
        seen = []
        pruned = [:]
    }
}

extension Search {
    /// The puzzle and the votes so far: `{"numbers", "votes"}`.
    public var json: Value {
        [
            "numbers": .array(puzzle.numbers.map(Value.integer)),
            "votes": .array(
                votes.map { round in
                    .array(round.map { share in .array(share.map { Value($0) }) })
                }),
        ]
    }

    /// Takes a search up again where `json` was written.
    ///
    /// - Returns: nil where the value is none, or was written with other settings.
    public init?(_ json: Value, _ settings: Settings) {
        guard let puzzle = Puzzle(json["numbers"]?.array?.compactMap(\.integer) ?? []) else {
            return nil
        }
        self.init(puzzle, settings)
        for round in json["votes"]?.array ?? [] {
            let scores = (round.array ?? []).map { share in
                (share.array ?? []).compactMap { $0.integer.map { Int(clamping: $0) } }
            }
            guard outcome == nil,
                scores.map(\.count) == shares.map(\.expansion.thoughts.count)
            else { return nil }
            fold(scores)
        }
    }
}
