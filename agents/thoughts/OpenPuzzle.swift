import Game24
import JSON

/// A puzzle that is being searched, and what the coordinator still waits for.
struct OpenPuzzle {
    let number: Int
    var search: Search
    /// Observers that are to say that they are ready before the first thought is handed out.
    var awaitedObservers: Set<String>
    /// Branches of this round whose proposals came, and are what they must be.
    var proposed: Set<Int> = []
    /// The votes of this round, by branch and evaluator.
    var votes: [Int: [String: [Int]]] = [:]
    /// How often the round was asked for.
    var attempts = 1
    /// Until when the coordinator waits, by the run's clock; 0 after a restart.
    var deadline: UInt64 = 0
    /// The last round of each branch.
    var last: [Int: Int] = [:]

    init(number: Int, search: Search, awaiting observers: Set<String>) {
        self.number = number
        self.search = search
        awaitedObservers = observers
    }

    var isAwaited: Bool { !awaitedObservers.isEmpty }

    /// The share that a message is about; nil where it is of another round.
    func share(at place: Place) -> Search.Share? {
        guard !isAwaited, place.puzzle == number, place.round == search.round else { return nil }
        return search.shares.first { $0.branch == place.branch }
    }

    /// Whether all that is known of a share is there.
    func isComplete(_ share: Search.Share, _ evaluators: [String]) -> Bool {
        proposed.contains(share.branch) && votes[share.branch]?.count == evaluators.count
    }

    /// Goes on to the next round, once the proposals and votes of this one are complete.
    ///
    /// The votes are added up in the order of the evaluators' names, of which no sum depends.
    mutating func foldIfComplete(_ evaluators: [String]) -> Bool {
        guard !isAwaited, search.outcome == nil,
            search.shares.allSatisfy({ isComplete($0, evaluators) })
        else { return false }
        let scores = search.shares.map { share -> [Int] in
            let ballots = votes[share.branch] ?? [:]
            return share.expansion.thoughts.indices.map { index in
                evaluators.reduce(0) { $0 + (ballots[$1]?[index] ?? 0) }
            }
        }
        for share in search.shares { last[share.branch] = search.round }
        search.fold(scores)
        proposed = []
        votes = [:]
        attempts = 1
        return true
    }

    /// What is missing, for people.
    func missing(_ proposer: (Int) -> String, _ evaluators: [String]) -> String {
        if isAwaited { return "observers: " + awaitedObservers.sorted().joined(separator: ", ") }
        var parts: [String] = []
        for share in search.shares where !isComplete(share, evaluators) {
            var absent = evaluators.filter { votes[share.branch]?[$0] == nil }
                .map { "the votes of \($0)" }
            if !proposed.contains(share.branch) {
                absent.insert("the proposals of \(proposer(share.branch))", at: 0)
            }
            parts.append("branch \(share.branch): " + absent.joined(separator: ", "))
        }
        return "round \(search.round), " + parts.joined(separator: "; ")
    }
}

extension OpenPuzzle {
    /// For the next incarnation.
    var json: Value {
        [
            "number": Value(number), "search": search.json, "attempts": Value(attempts),
            "observers": .array(awaitedObservers.sorted().map(Value.string)),
            "proposed": .array(proposed.sorted().map { Value($0) }),
            "votes": .array(
                votes.sorted { $0.key < $1.key }.map { branch, ballots in
                    [
                        "branch": Value(branch),
                        "ballots": .object(
                            ballots.mapValues { .array($0.map { Value($0) }) }),
                    ]
                }),
            "last": .array(
                last.sorted { $0.key < $1.key }.map { [Value($0.key), Value($0.value)] }),
        ]
    }

    init?(_ json: Value, _ settings: Search.Settings) {
        guard let number = json["number"]?.count(upTo: Place.puzzleMax),
            let search = json["search"].flatMap({ Search($0, settings) })
        else { return nil }
        self.init(
            number: number, search: search,
            awaiting: Set((json["observers"]?.array ?? []).compactMap(\.string)))
        attempts = json["attempts"]?.count(upTo: 1_000) ?? 1
        proposed = Set((json["proposed"]?.array ?? []).compactMap { $0.count(upTo: 1_000_000) })
        for entry in json["votes"]?.array ?? [] {
            guard let branch = entry["branch"]?.count(upTo: 1_000_000) else { continue }
            votes[branch] = (entry["ballots"]?.object ?? [:]).mapValues { ballot in
                (ballot.array ?? []).compactMap { $0.count(upTo: Heuristic.votes.upperBound) }
            }
        }
        for pair in json["last"]?.array ?? [] {
            guard let pair = pair.array?.compactMap({ $0.count(upTo: 1_000_000) }), pair.count == 2
            else { continue }
            last[pair[0]] = pair[1]
        }
    }
}
