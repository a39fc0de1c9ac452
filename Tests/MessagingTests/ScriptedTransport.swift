import Messaging
import Wire
import ZeroMQ

/// A way into the mesh on which comes what a test wrote down.
final class ScriptedTransport: AgentTransport {
    let name = "scripted"
    /// What comes next.
    var inbound: [Inbound]
    /// What comes only when the way in was given up.
    var late: [Inbound] = []
    var isInboundDrained = false
    var isOutboundDrained = true
    private var tickets: UInt64 = 0

    init(_ inbound: [Inbound] = []) { self.inbound = inbound }

    func refusal(of envelope: Envelope) -> MessagingError.Reason? { nil }
    func send(_ envelope: Envelope) -> Bool { true }
    func receive() -> Inbound? { inbound.isEmpty ? nil : inbound.removeFirst() }
    func inboundItems() -> [PollItem] { [] }
    func outboundItems(to destination: Address) -> [PollItem] { [] }

    func subscribe(to topic: String) -> UInt64 {
        tickets += 1
        inbound.append(.confirmed(ticket: tickets))
        return tickets
    }

    func unsubscribe(from topic: String) {}
    func consumed(_ count: Int) {}
    func beginInboundDrain(of hold: UInt64?) {}

    func beginOutboundDrain() {
        inbound += late
        late = []
    }

    func close() {}
}
