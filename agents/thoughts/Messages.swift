import AgentRuntime
import Game24
import JSON
import Messaging
import Wire

/// The types of the messages that thoughts travel in.
enum MessageType {
    /// To a proposer: what it is to expand.
    static let expand = "expand"
    /// On `tot.<puzzle>.<branch>`: what that gave.
    static let proposals = "proposals"
    /// On `votes.<slot>.<branch>`: what an evaluator thinks of it.
    static let votes = "votes"
    /// On `votes.<slot>`: an observer heard that the search begins, and listens if it wants to.
    static let heard = "heard"
    /// On `puzzles.<slot>`: its search begins.
    static let puzzle = "puzzle"
    /// On `puzzles.<slot>`: its answer, or null, which is proved.
    static let answer = "answer"
    /// On `puzzles.<slot>`: it was given up.
    static let unfinished = "unfinished"
}

/// Which share of which search a message is about.
struct Place: Hashable {
    let puzzle: Int
    /// Puzzles of one slot are searched one after the other, so that what is said of them on a topic of
    /// the slot comes in order, and topics need not be as many as puzzles.
    let slot: Int
    let branch: Int
    let round: Int

    /// More puzzles than this have no number.
    static let puzzleMax = 1_000_000_000

    init(puzzle: Int, slot: Int, branch: Int, round: Int) {
        self.puzzle = puzzle
        self.slot = slot
        self.branch = branch
        self.round = round
    }

    init?(_ content: Value) {
        guard let puzzle = content["puzzle"]?.count(upTo: Self.puzzleMax),
            let slot = content["slot"]?.count(upTo: 1_000_000),
            let branch = content["branch"]?.count(upTo: 1_000_000),
            let round = content["round"]?.count(upTo: 1_000_000)
        else { return nil }
        self.init(puzzle: puzzle, slot: slot, branch: branch, round: round)
    }

    var members: [String: Value] {
        [
            "puzzle": Value(puzzle), "slot": Value(slot), "branch": Value(branch),
            "round": Value(round),
        ]
    }
}

/// Thoughts of one share: to be expanded, or proposed.
struct Thoughts {
    let place: Place
    let texts: [[String]]
    /// False where something could not be computed.
    let isComplete: Bool

    init(_ place: Place, _ thoughts: [Thought], isComplete: Bool = true) {
        self.place = place
        self.texts = thoughts.map(\.texts)
        self.isComplete = isComplete
    }

    init?(_ envelope: Envelope) {
        guard let content = envelope.json, let place = Place(content),
            let thoughts = content["thoughts"]?.array
        else { return nil }
        let texts = thoughts.compactMap { thought -> [String]? in
            guard let terms = thought.array else { return nil }
            let texts = terms.compactMap(\.string)
            return texts.count == terms.count ? texts : nil
        }
        guard texts.count == thoughts.count else { return nil }
        self.place = place
        self.texts = texts
        isComplete = content["complete"]?.bool ?? true
    }

    /// The thoughts; nil where one is none.
    var thoughts: [Thought]? {
        let thoughts = texts.compactMap { Thought(texts: $0) }
        return thoughts.count == texts.count ? thoughts : nil
    }

    var json: Value {
        var members = place.members
        members["thoughts"] = .array(texts.map { .array($0.map(Value.string)) })
        if !isComplete { members["complete"] = false }
        return .object(members)
    }
}

/// What an evaluator thinks of a share's proposals, one vote for each.
struct Votes {
    let place: Place
    let votes: [Int]

    init(_ place: Place, _ votes: [Int]) {
        self.place = place
        self.votes = votes
    }

    init?(_ envelope: Envelope) {
        guard let content = envelope.json, let place = Place(content),
            let votes = content["votes"]?.array
        else { return nil }
        self.place = place
        self.votes = votes.compactMap { $0.count(upTo: Heuristic.votes.upperBound) }
        guard self.votes.count == votes.count else { return nil }
    }

    var json: Value {
        var members = place.members
        members["votes"] = .array(votes.map { Value($0) })
        return .object(members)
    }
}

extension Envelope {
    /// The content, where it is JSON.
    var json: Value? { try? Value(parsing: content) }
}

extension Value {
    /// A whole number from 0.
    func count(upTo limit: Int) -> Int? {
        guard let number = integer, number >= 0, number <= limit else { return nil }
        return Int(number)
    }
}

extension Outbox {
    func send(
        to destination: Address, type: String, _ content: Value, cause: Identity? = nil
    ) throws(MessagingError) {
        try send(
            to: destination, type: type, content: Array(content.canonical.utf8), encoding: .json,
            cause: cause)
    }
}

extension AgentSetup {
    /// The one topic of a setting.
    func topic(_ key: String) throws(AgentFailure) -> String {
        let topics = try texts(key)
        guard topics.count == 1 else {
            throw AgentFailure(
                .settings,
                "the setting '\(key)' names \(topics.count) topics; this kind of agent "
                    + "takes one")
        }
        return topics[0]
    }

    /// A duration in seconds, as the topology gives it.
    func duration(_ key: String, or fallback: Double) throws(AgentFailure) -> UInt64 {
        guard let value = settings[key], value != .null else { return UInt64(fallback * 1e9) }
        guard let seconds = value.double, (0.001...86_400).contains(seconds) else {
            throw AgentFailure(
                .settings, "the setting '\(key)' is \(value.canonical), not seconds up to a day")
        }
        return UInt64(seconds * 1e9)
    }
}
