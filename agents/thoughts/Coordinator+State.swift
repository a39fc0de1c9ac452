import Game24
import JSON

/// What a coordinator tells, and what it hands to its next incarnation.
extension Coordinator {
    func result() -> Value {
        [
            "puzzles": Self.listed(finished), "unfinished": Self.listed(unfinished),
            "open": .array(
                (Array(open.keys) + waiting.joined()).sorted().map { number in
                    [
                        "puzzle": Value(number),
                        "numbers": .array(
                            settings.puzzles[number].numbers.map(Value.integer)),
                    ]
                }),
            "counts": countsJSON,
        ]
    }

    private static func listed(_ puzzles: [Int: Value]) -> Value {
        .array(
            puzzles.sorted { $0.key < $1.key }.map { number, value in
                var members = value.object ?? [:]
                members["puzzle"] = Value(number)
                return .object(members)
            })
    }

    private var countsJSON: Value {
        [
            "answered": .integer(counts.answered), "none": .integer(counts.none),
            "unfinished": .integer(counts.unfinished), "open": Value(open.count),
            "waiting": Value(waiting.reduce(0) { $0 + $1.count }),
            "refused": .integer(counts.refused), "stale": .integer(counts.stale),
            "repeated": .integer(counts.repeated),
        ]
    }

    func state() -> Value {
        [
            "finished": Self.listed(finished), "unfinished": Self.listed(unfinished),
            "open": .array(open.sorted { $0.key < $1.key }.map(\.value.json)),
            "waiting": .array(waiting.joined().sorted().map { Value($0) }),
            "counts": countsJSON,
        ]
    }

    func restore(_ state: Value) {
        finished = Self.read(state["finished"])
        unfinished = Self.read(state["unfinished"])
        for value in state["open"]?.array ?? [] {
            if let puzzle = OpenPuzzle(value, settings.search) {
                open[puzzle.number] = puzzle
            } else if let number = value["number"]?.count(upTo: Place.puzzleMax) {
                // Written with other settings: its search begins anew.
                waiting[settings.slot(of: number)].append(number)
            }
        }
        for value in state["waiting"]?.array ?? [] {
            guard let number = value.count(upTo: Place.puzzleMax) else { continue }
            waiting[settings.slot(of: number)].append(number)
        }
        let counted = state["counts"]
        counts.answered = counted?["answered"]?.integer ?? 0
        counts.none = counted?["none"]?.integer ?? 0
        counts.unfinished = counted?["unfinished"]?.integer ?? 0
        counts.refused = counted?["refused"]?.integer ?? 0
        counts.stale = counted?["stale"]?.integer ?? 0
        counts.repeated = counted?["repeated"]?.integer ?? 0
        mayStart = true
    }

    private static func read(_ value: Value?) -> [Int: Value] {
        var puzzles: [Int: Value] = [:]
        for entry in value?.array ?? [] {
            guard var members = entry.object,
                let number = members.removeValue(forKey: "puzzle")?.count(upTo: Place.puzzleMax)
            else { continue }
            puzzles[number] = .object(members)
        }
        return puzzles
    }
}
