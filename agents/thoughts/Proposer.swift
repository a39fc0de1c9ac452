import AgentRuntime
import Game24
import JSON
import Messaging
import Wire

/// Expands the thoughts that it is handed, and publishes what that gives for everyone to hear.
final class Proposer: Agent {
    private let root: String
    private var shares: Int64 = 0
    private var proposals: Int64 = 0
    private var malformed: Int64 = 0

    init(_ setup: AgentSetup) throws(AgentFailure) {
        root = try setup.topic("topics")
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        guard envelope.type == MessageType.expand else { return }
        guard let share = Thoughts(envelope), let thoughts = share.thoughts else {
            malformed += 1
            return outbox.log("\(envelope.identity): no thoughts to expand")
        }
        let expansion = Expansion(of: thoughts)
        shares += 1
        proposals += Int64(expansion.thoughts.count)
        let grown = Thoughts(
            share.place, expansion.thoughts, isComplete: expansion.isComplete)
        try outbox.send(
            to: .topic("\(root).\(share.place.puzzle).\(share.place.branch)"),
            type: MessageType.proposals, grown.json,
            cause: envelope.identity)
    }

    func result() -> Value {
        [
            "shares": .integer(shares), "proposals": .integer(proposals),
            "malformed": .integer(malformed),
        ]
    }

    func state() -> Value { result() }

    func restore(_ state: Value) {
        shares = state["shares"]?.integer ?? 0
        proposals = state["proposals"]?.integer ?? 0
        malformed = state["malformed"]?.integer ?? 0
    }
}
