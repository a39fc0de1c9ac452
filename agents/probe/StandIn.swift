import AgentRuntime
import JSON
import Messaging
import Wire

/// Stands in for an agent of a recording: takes what it is sent, answers nothing, and sends what its load
/// says.
final class StandIn: Agent {
    private var received: UInt64 = 0

    init(_ setup: AgentSetup) throws(AgentFailure) {}

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) { received += 1 }

    func result() -> Value { ["received": Value(received)] }

    func state() -> Value { result() }

    func restore(_ state: Value) {
        received = UInt64(clamping: state["received"]?.integer ?? 0)
    }
}
