import Messaging
import Wire
import ZeroMQ

/// A way out that takes everything, or nothing, and remembers it.
final class CountingTransport: AgentTransport {
    let name = "counting"
    let batchBytesMax = 1 << 20
    var hasRoom = true
    private(set) var sent: [Envelope] = []
    var isInboundDrained = true
    var isOutboundDrained = true

    func refusal(of envelope: Envelope) -> MessagingError.Reason? { nil }

    func send(_ envelope: Envelope) -> Bool {
        if hasRoom { sent.append(envelope) }
        return hasRoom
    }

    func receive() -> Inbound? { nil }
    func inboundItems() -> [PollItem] { [] }
    func outboundItems(to destination: Address) -> [PollItem] { [] }
    func subscribe(to topic: String) -> UInt64 { 1 }
    func unsubscribe(from topic: String) {}
    func consumed(_ count: Int) {}
    func beginInboundDrain(of hold: UInt64?) {}
    func beginOutboundDrain() {}
    func close() {}
}
