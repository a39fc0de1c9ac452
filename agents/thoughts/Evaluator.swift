import AgentRuntime
import Game24
import JSON
import Messaging
import Wire

/// Hears every proposal, and says by its own heuristic how promising it is.
final class Evaluator: Agent {
    private let root: String
    private let heuristic: Heuristic
    private var shares: Int64 = 0
    private var votes: Int64 = 0
    private var malformed: Int64 = 0

    init(_ setup: AgentSetup) throws(AgentFailure) {
        root = try setup.topic("topics")
        heuristic = try Evaluator.heuristic(setup)
    }

    /// The setting's, or one by the number that the name ends with: replicas differ.
    private static func heuristic(_ setup: AgentSetup) throws(AgentFailure) -> Heuristic {
        if let setting = setup.settings["heuristic"], setting != .null {
            guard let heuristic = setting.string.flatMap(Heuristic.init(rawValue:)) else {
                throw AgentFailure(
                    .settings,
                    "the setting 'heuristic' is \(setting.canonical), not one of "
                        + Heuristic.allCases.map(\.rawValue).joined(separator: ", "))
            }
            return heuristic
        }
        let digits = setup.name.reversed().prefix { ("0"..."9").contains($0) }.reversed()
        let index = max(1, Int(String(digits)) ?? 1) - 1
        return Heuristic.allCases[index % Heuristic.allCases.count]
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        guard envelope.type == MessageType.proposals else { return }
        guard let share = Thoughts(envelope), let thoughts = share.thoughts else {
            malformed += 1
            return outbox.log("\(envelope.identity): no thoughts to vote on")
        }
        let votes = Votes(share.place, thoughts.map(heuristic.vote(for:)))
        shares += 1
        self.votes += Int64(thoughts.count)
        try outbox.send(
            to: .topic("\(root).\(share.place.slot).\(share.place.branch)"),
            type: MessageType.votes, votes.json,
            cause: envelope.identity)
    }

    func result() -> Value {
        [
            "heuristic": .string(heuristic.rawValue), "shares": .integer(shares),
            "votes": .integer(votes), "malformed": .integer(malformed),
        ]
    }

    func state() -> Value { result() }

    func restore(_ state: Value) {
        shares = state["shares"]?.integer ?? 0
        votes = state["votes"]?.integer ?? 0
        malformed = state["malformed"]?.integer ?? 0
    }
}
