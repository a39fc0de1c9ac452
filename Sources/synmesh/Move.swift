import Analysis
import ArgumentParser
import JSON
import Operating
import Scenarios

struct Move: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Move agents of a mesh that is up to the other transport.",
        discussion: """
            An agent goes on meanwhile where it can: it hears on both transports, and its home \
            proxy decides between two messages. One that cannot is drained, started again on the \
            other side, and given what was kept for it.

            With --json each move has the transports, the strategy, how long the agent sent \
            nothing (pause_us) or was down (window_ms), what was held for it, and its outcome.
            """)

    @Argument(help: "Agents by name; a group means all replicas.")
    var names: [String]

    enum Side: String, ExpressibleByArgument, CaseIterable {
        case zmq
        case nats
    }

    @Option(help: "Where to.")
    var to: Side

    @Flag(help: "Restart agents that could move while they go on, too.")
    var restart = false

    @OptionGroup var choice: MeshChoice

    func run() throws {
        let record = try choice.record()
        let strategy = restart ? MoveReport.Strategy.restart : .live
        let request = Request(
            "move",
            [
                "names": .array(names.map(Value.string)), "to": .string(to.rawValue),
                "strategy": .string(strategy.rawValue),
            ])
        let answer = try choice.ask(request, of: record, timeout: .seconds(180))
        if choice.json { return print((answer["moves"] ?? []).canonical) }
        for line in answer["lines"]?.array ?? [] { print(line.string ?? "") }
    }
}
