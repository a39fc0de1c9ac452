internal import DequeModule
internal import Wire

/// What a receiver keeps of each flow and incarnation.
extension Receiver {
    struct Key: Hashable, Sendable {
        let flow: Flow
        let incarnation: UInt32
    }

    /// An envelope ahead of a gap, or (without an arrival) a stretch that will never come.
    struct Held: Sendable {
        let sequence: UInt64
        let through: UInt64
        let arrival: Arrival?
        let reason: String
    }

    struct FlowState: Sendable {
        /// The sequence that comes next.
        var next: UInt64
        /// Below this nothing was ever delivered or given up: the flow began before this receiver.
        var base: UInt64
        /// Whether earlier envelopes than the first held one may exist: then nothing is a gap yet.
        var isBaseUnknown = false
        /// The next envelope begins the flow anew, wherever it is.
        var isRebased = false
        /// Whether its sender sends again what is not acknowledged.
        var isKept = false
        /// By sequence, all at or above `next`, without overlap.
        var held: Deque<Held> = []
        /// When what is held came, earliest first; entries below `next` are stale.
        var arrivals: Deque<(at: UInt64, sequence: UInt64)> = []
        /// What was given up, by sequence.
        var abandoned: [ClosedRange<UInt64>] = []

        var waitingSince: UInt64? { held.isEmpty ? nil : arrivals.first?.at }
    }
}
