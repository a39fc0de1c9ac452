import AgentRuntime
import Game24
import JSON

/// What a coordinator is told by its topology.
struct CoordinatorSettings {
    let name: String
    let proposers: [String]
    /// In order; all of them vote on everything.
    let evaluators: [String]
    /// Waited for before a search begins.
    let observers: Set<String>
    /// Where it is said that a search begins, and how it ended.
    let announcements: [String]
    let puzzles: PuzzleSource
    let search: Search.Settings
    /// Puzzles that are searched at the same time.
    let slots: Int
    /// How long a round may take before it is asked for again, in nanoseconds.
    let patience: UInt64
    /// How often a round is asked for before its puzzle is given up.
    let attempts: Int

    init(_ setup: AgentSetup) throws(AgentFailure) {
        name = setup.name
        proposers = try setup.texts("proposers")
        evaluators = Set(try setup.texts("evaluators")).sorted()
        observers = Set(try setup.texts("observers"))
        announcements = try setup.texts("topics")
        guard !proposers.isEmpty, !evaluators.isEmpty else {
            throw AgentFailure(
                .settings, "a coordinator needs the settings 'proposers' and 'evaluators'")
        }
        let count = proposers.count
        slots = try setup.integer("in_flight", in: 1...count, or: max(1, count / 2))
        search = Search.Settings(
            beam: try setup.integer("beam", in: 1...1_000, or: 5),
            branches: try setup.integer("branches", in: 1...64, or: 2),
            batch: try setup.integer("batch", in: 1...1_000, or: 16))
        patience = try setup.duration("patience", or: 5)
        attempts = try setup.integer("attempts", in: 1...100, or: 3)
        puzzles = try Self.puzzles(setup)
    }

    private static func puzzles(_ setup: AgentSetup) throws(AgentFailure) -> PuzzleSource {
        if let path = setup.settings["puzzle_file"]?.string {
            guard let bytes = try AgentMain.contents(of: path, atMost: 64 << 20) else {
                throw AgentFailure(.settings, "there is no file '\(path)'")
            }
            switch PuzzleSource.reading(String(decoding: bytes, as: UTF8.self)) {
            case .success(let source): return source
            case .failure(let error): throw AgentFailure(.settings, "\(path): \(error)")
            }
        }
        let texts = try setup.texts("puzzles")
        var puzzles: [Puzzle] = []
        for text in texts {
            guard let puzzle = Puzzle(text) else {
                throw AgentFailure(
                    .settings,
                    "the setting 'puzzles' has '\(text)', which is not four whole numbers from "
                        + "\(Puzzle.range.lowerBound) through \(Puzzle.range.upperBound)")
            }
            puzzles.append(puzzle)
        }
        if let source = PuzzleSource(puzzles) { return source }
        let share = setup.settings["unsolvable"]?.double ?? 0.2
        guard (0...1).contains(share) else {
            throw AgentFailure(.settings, "the setting 'unsolvable' is not between 0 and 1")
        }
        let cycle = try setup.integer("cycle", in: 0...Place.puzzleMax, or: 0)
        // The run's seed alone, without the agent's name: whatever the coordinator is called.
        return PuzzleSource(
            seed: Seed.derived(from: setup.seed, "puzzles"), unsolvable: share,
            cycle: cycle == 0 ? nil : cycle)
    }

    /// The slot of a puzzle: puzzles of one slot are searched one after the other.
    ///
    /// A proposer belongs to one slot, so that what it is handed comes in an order that does not
    /// depend on how fast others are.
    func slot(of puzzle: Int) -> Int { puzzle % slots }

    /// Who grows a branch of a puzzle.
    func proposer(of puzzle: Int, branch: Int) -> String {
        let slot = slot(of: puzzle)
        let count = (proposers.count - slot + slots - 1) / slots
        return proposers[slot + branch % count * slots]
    }
}
