import AgentRuntime
import Game24
import JSON
import Messaging
import Wire

/// Searches puzzles by the work of proposers and the votes of evaluators, some at the same time.
///
/// It believes nobody: proposals must be what the thoughts that were handed out expand to, and an
/// answer is computed again. So the result follows from the puzzle, the settings and the evaluators'
/// heuristics, whatever the order of arrival, and what was lost or altered can delay a proof but never
/// become one.
final class Coordinator: Agent {
    let settings: CoordinatorSettings
    var open: [Int: OpenPuzzle] = [:]
    /// Puzzles whose slot is not free yet, by slot.
    var waiting: [[Int]]
    /// What is known of puzzles that are over, as it is told.
    var finished: [Int: Value] = [:]
    var unfinished: [Int: Value] = [:]
    var counts = Counts()
    /// Whether a slot may be free, or an open puzzle without a deadline.
    var mayStart = false

    /// What is counted beside puzzles.
    struct Counts {
        var answered: Int64 = 0
        var none: Int64 = 0
        var unfinished: Int64 = 0
        /// Messages that could not be read, or said what cannot be.
        var refused: Int64 = 0
        /// Messages of rounds that were over, as after a round that was asked for again.
        var stale: Int64 = 0
        /// Rounds that were asked for again.
        var repeated: Int64 = 0
    }

    /// Of more puzzles than this only the number is kept.
    private static let finishedMax = 100_000
    /// Puzzles that may wait for each slot.
    private static let waitingMax = 3

    init(_ setup: AgentSetup) throws(AgentFailure) {
        settings = try CoordinatorSettings(setup)
        waiting = Array(repeating: [], count: settings.slots)
    }

    // MARK: Loads

    func load(_ order: LoadOrder) throws(LoadError) -> any Load { PuzzleLoad(self) }

    var hasRoom: Bool {
        waiting.reduce(open.count) { $0 + $1.count } < settings.slots * (1 + Self.waitingMax)
    }

    var isBusy: Bool { !open.isEmpty || waiting.contains { !$0.isEmpty } }

    /// Takes a puzzle on, or does nothing where it did before.
    func accept(_ number: Int) {
        let slot = settings.slot(of: number)
        guard open[number] == nil, finished[number] == nil, unfinished[number] == nil,
            !waiting[slot].contains(number)
        else { return }
        waiting[slot].append(number)
        mayStart = true
    }

    // MARK: Messages

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        switch envelope.type {
        case MessageType.proposals:
            if let number = takeProposals(envelope, outbox) { try goOn(number, outbox) }
        case MessageType.votes:
            if let number = takeVotes(envelope, outbox) { try goOn(number, outbox) }
        case MessageType.heard:
            if let number = takeHeard(envelope) { try ask(number, outbox) }
        default: break
        }
    }

    private func takeProposals(_ envelope: Envelope, _ outbox: Outbox) -> Int? {
        guard let proposals = Thoughts(envelope) else { return refuse(envelope, outbox) }
        let place = proposals.place
        guard let share = open[place.puzzle]?.share(at: place) else { return dismiss() }
        guard open[place.puzzle]?.proposed.contains(place.branch) == false else {
            return dismiss()
        }
        guard proposals.texts == share.expansion.thoughts.map(\.texts),
            proposals.isComplete == share.expansion.isComplete
        else { return refuse(envelope, outbox) }
        open[place.puzzle]?.proposed.insert(place.branch)
        return place.puzzle
    }

    private func takeVotes(_ envelope: Envelope, _ outbox: Outbox) -> Int? {
        guard let votes = Votes(envelope), settings.evaluators.contains(envelope.source) else {
            return refuse(envelope, outbox)
        }
        let place = votes.place
        guard let share = open[place.puzzle]?.share(at: place),
            open[place.puzzle]?.votes[place.branch]?[envelope.source] == nil
        else { return dismiss() }
        guard votes.votes.count == share.expansion.thoughts.count else {
            return refuse(envelope, outbox)
        }
        open[place.puzzle]?.votes[place.branch, default: [:]][envelope.source] = votes.votes
        return place.puzzle
    }

    /// The puzzle, where all observers are ready.
    private func takeHeard(_ envelope: Envelope) -> Int? {
        guard let number = envelope.json?["puzzle"]?.count(upTo: Place.puzzleMax),
            open[number]?.isAwaited == true
        else { return nil }
        open[number]?.awaitedObservers.remove(envelope.source)
        guard open[number]?.isAwaited == false else { return nil }
        return number
    }

    private func refuse(_ envelope: Envelope, _ outbox: Outbox) -> Int? {
        counts.refused += 1
        outbox.log("\(envelope.identity): '\(envelope.type)' is not what it must be")
        return nil
    }

    private func dismiss() -> Int? {
        counts.stale += 1
        return nil
    }

    // MARK: The searches

    private func startNext(in slot: Int, _ outbox: Outbox) throws(MessagingError) {
        let isFree = !open.keys.contains { settings.slot(of: $0) == slot }
        guard isFree, !waiting[slot].isEmpty else { return }
        let number = waiting[slot].removeFirst()
        var puzzle = OpenPuzzle(
            number: number, search: Search(settings.puzzles[number], settings.search),
            awaiting: settings.observers)
        puzzle.deadline = outbox.now + settings.patience
        open[number] = puzzle
        try announce(
            number, MessageType.puzzle, ["numbers": Self.numbers(of: puzzle)], outbox)
        if !puzzle.isAwaited { try ask(number, outbox) }
    }

    /// Goes on to the next round of a puzzle, where this one is complete.
    private func goOn(_ number: Int, _ outbox: Outbox) throws(MessagingError) {
        guard var puzzle = open[number], puzzle.foldIfComplete(settings.evaluators) else { return }
        puzzle.deadline = outbox.now + settings.patience
        open[number] = puzzle
        switch puzzle.search.outcome {
        case nil: try ask(number, outbox)
        case .answer(let expression) where puzzle.search.puzzle.isAnswer(expression):
            counts.answered += 1
            try finish(puzzle, answer: .string(expression.description), outbox)
        case .answer(let expression):
            try giveUp(puzzle, because: "'\(expression)' is no answer", outbox)
        case .some(.none):
            counts.none += 1
            try finish(puzzle, answer: .null, outbox)
        case .unprovable:
            try giveUp(
                puzzle,
                because: "a number on the way needs more than 64 bits, so nothing is proved",
                outbox)
        }
    }

    /// Hands out what is missing of a round.
    private func ask(_ number: Int, _ outbox: Outbox) throws(MessagingError) {
        guard let puzzle = open[number] else { return }
        for share in puzzle.search.shares
        where !puzzle.isComplete(share, settings.evaluators) {
            let place = Place(
                puzzle: number, slot: settings.slot(of: number), branch: share.branch,
                round: puzzle.search.round)
            try outbox.send(
                to: .agent(settings.proposer(of: number, branch: share.branch)),
                type: MessageType.expand, Thoughts(place, share.thoughts).json)
        }
    }

    private func finish(
        _ puzzle: OpenPuzzle, answer: Value, _ outbox: Outbox
    ) throws(MessagingError) {
        let members: [String: Value] = [
            "numbers": Self.numbers(of: puzzle), "answer": answer,
            "explored": Value(puzzle.search.explored), "rounds": Value(puzzle.search.rounds),
        ]
        if finished.count < Self.finishedMax { finished[puzzle.number] = .object(members) }
        try close(puzzle, MessageType.answer, members, outbox)
    }

    private func giveUp(
        _ puzzle: OpenPuzzle, because reason: String, _ outbox: Outbox
    ) throws(MessagingError) {
        counts.unfinished += 1
        outbox.log("puzzle \(puzzle.number) (\(puzzle.search.puzzle)) is given up: \(reason)")
        let members: [String: Value] = [
            "numbers": Self.numbers(of: puzzle), "reason": .string(reason),
        ]
        if unfinished.count < Self.finishedMax { unfinished[puzzle.number] = .object(members) }
        try close(puzzle, MessageType.unfinished, members, outbox)
    }

    private func close(
        _ puzzle: OpenPuzzle, _ type: String, _ members: [String: Value], _ outbox: Outbox
    ) throws(MessagingError) {
        open[puzzle.number] = nil
        mayStart = true
        var members = members
        members["last"] = .array(
            puzzle.last.sorted { $0.key < $1.key }.map { [Value($0.key), Value($0.value)] })
        try announce(puzzle.number, type, members, outbox)
    }

    private func announce(
        _ number: Int, _ type: String, _ members: [String: Value], _ outbox: Outbox
    ) throws(MessagingError) {
        var members = members
        let slot = settings.slot(of: number)
        members["puzzle"] = Value(number)
        members["slot"] = Value(slot)
        for topic in settings.announcements {
            try outbox.send(to: .topic("\(topic).\(slot)"), type: type, .object(members))
        }
    }

    private static func numbers(of puzzle: OpenPuzzle) -> Value {
        .array(puzzle.search.puzzle.numbers.map(Value.integer))
    }

    // MARK: What is due

    var due: UInt64? {
        mayStart ? 0 : open.values.map(\.deadline).min()
    }

    /// Begins what there is a slot for, asks again for what has not come in time, and in the end gives
    /// its puzzle up.
    func wake(_ outbox: Outbox) throws(MessagingError) {
        let now = outbox.now
        if mayStart {
            mayStart = false
            for number in open.keys where open[number]?.deadline == 0 {
                open[number]?.deadline = now + settings.patience
            }
            for slot in waiting.indices { try startNext(in: slot, outbox) }
        }
        for number in open.keys.sorted() {
            guard var puzzle = open[number], puzzle.deadline <= now else { continue }
            puzzle.deadline = now + settings.patience
            let missing = puzzle.missing(
                { settings.proposer(of: number, branch: $0) }, settings.evaluators)
            if puzzle.isAwaited {
                // Who does not listen misses it.
                outbox.log("puzzle \(number) begins without \(missing)")
                puzzle.awaitedObservers = []
            } else if puzzle.attempts >= settings.attempts {
                try giveUp(puzzle, because: "\(missing) did not come", outbox)
                continue
            } else {
                outbox.log("puzzle \(number) waits for \(missing): asking again")
                puzzle.attempts += 1
                counts.repeated += 1
            }
            open[number] = puzzle
            try ask(number, outbox)
        }
    }
}

/// Puzzles, as fast as there is room for them.
private final class PuzzleLoad: Load {
    private unowned let coordinator: Coordinator

    init(_ coordinator: Coordinator) {
        self.coordinator = coordinator
    }

    /// Itself: when a puzzle's search begins, and who is handed what of it, is its own affair.
    var destinations: [Address] { [.agent(coordinator.settings.name)] }

    var isReady: Bool { coordinator.hasRoom }

    func send(
        _ index: Int, to destination: Address, _ outbox: Outbox
    ) throws(MessagingError) {
        coordinator.accept(index)
    }
}
