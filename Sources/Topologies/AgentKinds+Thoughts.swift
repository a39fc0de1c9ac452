/// The agents that think together, all of them in `agents/thoughts`.
extension AgentKind {
    private static let program = "synmesh-thoughts"
    private static let numbers = 0...1_000_000_000

    static let coordinator = AgentKind(
        "coordinator", executable: program,
        settings: [
            Setting("proposers", .agents, isRequired: true, example: "[proposer]"),
            Setting("evaluators", .agents, isRequired: true, example: "[evaluator]"),
            Setting("observers", .agents),
            Setting("subscribe", .subscribedTopics, isRequired: true, example: "[tot, votes]"),
            Setting("topics", .publishedTopics),
            Setting("puzzles", .texts),
            Setting("puzzle_file", .file),
            Setting("unsolvable", .number(0...1)),
            Setting("cycle", .integer(numbers)),
            Setting("seed", .integer(0 ... .max)),
            Setting("beam", .integer(1...1_000)),
            Setting("branches", .integer(1...64)),
            Setting("batch", .integer(1...1_000)),
            Setting("in_flight", .integer(1...1_000)),
            Setting("patience", .duration),
            Setting("attempts", .integer(1...100)),
        ], exclusive: [["puzzles", "puzzle_file"]])

    static let proposer = AgentKind(
        "proposer", executable: program,
        settings: [
            Setting("topics", .publishedTopics, isRequired: true, example: "tot")
        ])

    static let evaluator = AgentKind(
        "evaluator", executable: program,
        settings: [
            Setting("subscribe", .subscribedTopics, isRequired: true, example: "tot"),
            Setting("topics", .publishedTopics, isRequired: true, example: "votes"),
            Setting("heuristic", .choice(["nearness", "factors", "lookahead", "whole"])),
        ])

    /// It subscribes below `follow` while it runs, which a move must know of.
    static let observer = AgentKind(
        "observer", executable: program,
        settings: [
            Setting("subscribe", .subscribedTopics, isRequired: true, example: "puzzles"),
            Setting("follow", .subscribedTopics, isRequired: true, example: "tot"),
            Setting("topics", .publishedTopics),
            Setting("after", .integer(numbers)),
            Setting("every", .integer(1...1_000_000_000)),
            Setting("leave", .flag),
        ])
}
