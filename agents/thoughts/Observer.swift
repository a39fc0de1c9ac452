import AgentRuntime
import Game24
import JSON
import Messaging
import Wire

/// Subscribes late: to the thoughts of a puzzle when it hears that its search begins.
///
/// Whoever is subscribed to `tot.1` must hear `tot.1.0` and nothing of `tot.12`, on any transport.
final class Observer: Agent {
    private let root: String
    /// Where it says that it is ready for a puzzle; the coordinator can wait for that.
    private let replies: String?
    private let after: Int
    private let every: Int
    private let leaves: Bool
    private var announcements: Int64 = 0
    private var strangers: Int64 = 0
    private var followed: [Int: Followed] = [:]

    /// What was heard of one puzzle.
    private struct Followed {
        let slot: Int
        var proposals: Int64 = 0
        var thoughts: Int64 = 0
        /// The sum of all contents' digests: it does not depend on the order of arrival.
        var digest: UInt64 = 0
        /// The highest round that was heard, by branch.
        var heard: [Int: Int] = [:]
        /// The last round, by branch, once the puzzle is over.
        var last: [Int: Int]?
        var answer: Value = .null
        var hasLeft = false

        /// Whether everything that there was to hear was heard.
        var isComplete: Bool {
            last?.allSatisfy { heard[$0.key, default: 0] >= $0.value } ?? false
        }
    }

    init(_ setup: AgentSetup) throws(AgentFailure) {
        root = try setup.topic("follow")
        replies = try setup.texts("topics").isEmpty ? nil : setup.topic("topics")
        after = try setup.integer("after", in: 0...Place.puzzleMax, or: 0)
        every = try setup.integer("every", in: 1...Place.puzzleMax, or: 1)
        leaves = setup.settings["leave"]?.bool ?? false
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        switch envelope.type {
        case MessageType.puzzle: try begin(envelope, outbox)
        case MessageType.answer, MessageType.unfinished: end(envelope, outbox)
        case MessageType.proposals: fold(envelope, outbox)
        default: break
        }
    }

    private func begin(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        guard let content = envelope.json,
            let number = content["puzzle"]?.count(upTo: Place.puzzleMax),
            let slot = content["slot"]?.count(upTo: 1_000_000)
        else { return }
        announcements += 1
        guard number >= after, (number - after).isMultiple(of: every) else {
            return try sayHeard(number, slot, outbox)
        }
        if followed[number] == nil { followed[number] = Followed(slot: slot) }
        outbox.subscribe(to: "\(root).\(number)")
    }

    func subscribed(to topic: String, _ outbox: Outbox) throws(MessagingError) {
        guard let number = Int(topic.dropFirst(root.utf8.count + 1)), let puzzle = followed[number]
        else { return }
        try sayHeard(number, puzzle.slot, outbox)
    }

    private func sayHeard(
        _ number: Int, _ slot: Int, _ outbox: Outbox
    ) throws(MessagingError) {
        guard let replies else { return }
        try outbox.send(
            to: .topic("\(replies).\(slot)"), type: MessageType.heard,
            ["puzzle": Value(number)])
    }

    private func end(_ envelope: Envelope, _ outbox: Outbox) {
        guard let content = envelope.json,
            let number = content["puzzle"]?.count(upTo: Place.puzzleMax), followed[number] != nil
        else { return }
        followed[number]?.answer = content["answer"] ?? .null
        followed[number]?.last = Observer.rounds(content["last"])
        leaveIfComplete(number, outbox)
    }

    private func fold(_ envelope: Envelope, _ outbox: Outbox) {
        let topic = envelope.destination.name
        guard let share = Thoughts(envelope),
            Names.topic(topic, isUnder: "\(root).\(share.place.puzzle)"),
            var puzzle = followed[share.place.puzzle]
        else {
            strangers += 1
            return outbox.log("\(envelope.identity): nothing that was subscribed to")
        }
        puzzle.proposals += 1
        puzzle.thoughts += Int64(share.texts.count)
        puzzle.digest &+= Observer.digest(of: envelope.content)
        puzzle.heard[share.place.branch] = max(
            puzzle.heard[share.place.branch, default: 0], share.place.round)
        followed[share.place.puzzle] = puzzle
        leaveIfComplete(share.place.puzzle, outbox)
    }

    private func leaveIfComplete(_ number: Int, _ outbox: Outbox) {
        guard leaves, let puzzle = followed[number], puzzle.isComplete, !puzzle.hasLeft else {
            return
        }
        followed[number]?.hasLeft = true
        outbox.unsubscribe(from: "\(root).\(number)")
    }

    private static func digest(of content: [UInt8]) -> UInt64 {
        content.reduce(0) { Seed.mix($0 ^ UInt64($1)) }
    }

    /// `[[branch, round]]`.
    private static func rounds(_ value: Value?) -> [Int: Int] {
        var rounds: [Int: Int] = [:]
        for pair in value?.array ?? [] {
            guard let pair = pair.array?.compactMap({ $0.count(upTo: 1_000_000) }), pair.count == 2
            else { continue }
            rounds[pair[0]] = pair[1]
        }
        return rounds
    }

    private static func json(_ rounds: [Int: Int]) -> Value {
        .array(rounds.sorted { $0.key < $1.key }.map { [Value($0.key), Value($0.value)] })
    }

    func result() -> Value {
        let puzzles = followed.map { number, puzzle -> (String, Value) in
            (
                String(number),
                [
                    "proposals": .integer(puzzle.proposals), "thoughts": .integer(puzzle.thoughts),
                    "digest": .string(String(puzzle.digest, radix: 16)), "answer": puzzle.answer,
                ]
            )
        }
        return [
            "announcements": .integer(announcements), "strangers": .integer(strangers),
            "followed": .object(Dictionary(puzzles) { $1 }),
        ]
    }

    func state() -> Value {
        let puzzles = followed.sorted { $0.key < $1.key }.map { number, puzzle -> Value in
            [
                "number": Value(number), "slot": Value(puzzle.slot),
                "proposals": .integer(puzzle.proposals),
                "thoughts": .integer(puzzle.thoughts),
                "digest": .string(String(puzzle.digest, radix: 16)), "answer": puzzle.answer,
                "heard": Observer.json(puzzle.heard),
                "last": puzzle.last.map(Observer.json) ?? .null,
                "left": .bool(puzzle.hasLeft),
            ]
        }
        return [
            "announcements": .integer(announcements), "strangers": .integer(strangers),
            "followed": .array(puzzles),
        ]
    }

    func restore(_ state: Value) {
        announcements = state["announcements"]?.integer ?? 0
        strangers = state["strangers"]?.integer ?? 0
        for value in state["followed"]?.array ?? [] {
            guard let number = value["number"]?.count(upTo: Place.puzzleMax),
                let slot = value["slot"]?.count(upTo: 1_000_000)
            else { continue }
            var puzzle = Followed(slot: slot)
            puzzle.proposals = value["proposals"]?.integer ?? 0
            puzzle.thoughts = value["thoughts"]?.integer ?? 0
            puzzle.digest = value["digest"]?.string.flatMap { UInt64($0, radix: 16) } ?? 0
            puzzle.answer = value["answer"] ?? .null
            puzzle.heard = Observer.rounds(value["heard"])
            if let last = value["last"], last != .null { puzzle.last = Observer.rounds(last) }
            puzzle.hasLeft = value["left"]?.bool ?? false
            followed[number] = puzzle
        }
    }
}
