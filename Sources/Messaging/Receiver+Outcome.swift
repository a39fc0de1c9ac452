public import Wire

extension Receiver {
    /// What was decided.
    public enum Outcome: Hashable, Sendable {
        /// Hand it out; order among the outcomes is the order of delivery.
        case deliver(Arrival)
        /// It came before.
        case repeated(Arrival)
        /// It was given up before.
        case late(Arrival)
        /// There are more flows than the limit allows, so it was dropped.
        case refused(Arrival)
        /// More is held than the limit allows; its sender has it yet and sends it again.
        case deferred(Arrival)
        /// These were dropped on the way; their sender has them yet and is to send them again.
        case missing(flow: Flow, incarnation: UInt32, from: UInt64, through: UInt64)
        /// A notice was not heeded: it would take more memory than the limits allow.
        case noticeRefused(flow: Flow, incarnation: UInt32, from: UInt64, through: UInt64)
        /// These are no longer waited for.
        case gap(flow: Flow, incarnation: UInt32, from: UInt64, through: UInt64, reason: String)
    }
}
