internal import Chunking
internal import NATS
internal import Wire

/// Makes of what a subscription brings what a transport has to say; on the subscription's thread,
/// so that the agent's own has less to do.
struct NATSDecoder: Sendable {
    /// The run whose shadow subjects are listened to; nil for the agents' own.
    let shadowRun: String?
    /// Whether what has no identity is taken as it is: nobody else numbers it.
    let takesUnidentified: Bool
    private static let name = "nats"

    /// Nil where it says nothing yet, or nothing to this agent.
    func read(
        _ message: consuming ReceivedMessage, _ chunks: inout ChunkAssembly
    ) -> Inbound? {
        if message.hasHeader("ce-specversion") {
            let envelope: Envelope
            do throws(WireError) {
                envelope = try message.attributes()
            } catch {
                return .malformed("\(message.subject): \(error)")
            }
            return inbound(message.giveContent(to: envelope))
        }
        guard message.isChunk else { return unidentified(message) }
        switch chunks.take(message) {
        case .none: return nil
        case .whole(let envelope): return inbound(envelope)
        case .lost(let loss): return self.loss(loss)
        case .unreadable(let reason): return .malformed("\(message.subject): \(reason)")
        }
    }

    /// What did not come together.
    func loss(_ loss: ChunkAssembly.Loss) -> Inbound {
        .incomplete(loss.envelope, transport: Self.name, reason: loss.reason)
    }

    private func unidentified(_ message: borrowing ReceivedMessage) -> Inbound? {
        // It comes again, from the agent's branch, which gives it its identity.
        guard takesUnidentified else { return nil }
        guard shadowRun == nil, let seed = try? SeedMessage(parsing: message.content) else {
            return .malformed("\(message.subject): neither ce- headers nor a seed message")
        }
        return .unidentified(seed, transport: Self.name)
    }

    private func inbound(_ envelope: Envelope) -> Inbound {
        switch envelope.kind {
        case .content:
            shadowRun == nil
                ? .arrival(Arrival(envelope, transport: Self.name))
                : .shadow(envelope, transport: Self.name)
        case .batch where shadowRun == nil:
            .batch(envelope, from: Subject.of(envelope), transport: Self.name)
        case .gap: GapNotice.inbound(envelope)
        case .acknowledgement: Acknowledgement.inbound(envelope)
        default: .malformed("\(Subject.of(envelope)): unexpected \(envelope.kind)")
        }
    }
}
