public import Wire

/// What a history says beside its envelopes.
public enum Annotation: Sendable, Hashable {
    /// `of` answers `by`.
    case cause(of: Identity, by: Identity, at: UInt64)
    /// From now on the agent is to receive what is published under the topic.
    case subscribed(agent: String, topic: String, at: UInt64)
    /// From now on the agent is no longer to receive what is published under the topic.
    case unsubscribed(agent: String, topic: String, at: UInt64)
    /// An envelope was given up by a part of the mesh, with the reason.
    case dropped(Identity, reason: String, by: String, at: UInt64)
    /// A receiver had the envelope already.
    case repeatDropped(Identity, transport: String, by: String, at: UInt64)
    /// A receiver no longer waits for these envelopes.
    case gap(
        flow: Flow, incarnation: UInt32, from: UInt64, through: UInt64, reason: String, by: String,
        at: UInt64)
    /// An envelope came after its receiver had given it up; it was not delivered.
    case late(Identity, by: String, at: UInt64)
    /// The content that the envelope points to was read in shared memory; `isVerified` says whether
    /// its digest was compared with the sender's.
    case contentRead(Identity, pool: String, isVerified: Bool, by: String, at: UInt64)
    /// The content that the envelope points to was not there any more, or was not what was sent.
    case contentUnreadable(Identity, pool: String, reason: String, by: String, at: UInt64)
    /// Messages came that nobody can read and that have no identity: they are in no count of what was
    /// sent. `from` is who sent them, as far as that is known.
    case unreadable(count: Int, from: String, reason: String, by: String, at: UInt64)
    /// Its receiver has recorded the envelopes of a flow up to this one, as it says: `through` is
    /// cumulative within the incarnation.
    case acknowledged(
        flow: Flow, incarnation: UInt32, through: UInt64, by: String, at: UInt64)
    /// An agent could not send something, which got no identity: it is in no count of what was sent.
    case refused(to: Address, type: String, reason: String, by: String, at: UInt64)
    /// A process that records for others missed something, so that its history is not complete.
    case blind(reason: String, by: String, at: UInt64)
    /// Anything else worth telling a reader.
    case note(String, at: UInt64)

    /// When it was noted, by the run's clock.
    public var at: UInt64 {
        switch self {
        case .cause(_, _, let at), .subscribed(_, _, let at), .unsubscribed(_, _, let at),
            .dropped(_, _, _, let at), .repeatDropped(_, _, _, let at),
            .gap(_, _, _, _, _, _, let at), .late(_, _, let at), .blind(_, _, let at),
            .acknowledged(_, _, _, _, let at),
            .contentRead(_, _, _, _, let at), .contentUnreadable(_, _, _, _, let at),
            .unreadable(_, _, _, _, let at), .refused(_, _, _, _, let at), .note(_, let at):
            at
        }
    }
}
