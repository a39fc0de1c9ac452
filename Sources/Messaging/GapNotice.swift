internal import JSON
internal import Wire

/// The content of an envelope of kind gap: `{"from": s, "through": t, "reason": …}`.
enum GapNotice {
    /// What a receiver is to know of a gap notice.
    static func inbound(_ envelope: Envelope) -> Inbound {
        guard let value = try? Value(parsing: envelope.content),
            let from = value["from"]?.integer.flatMap(UInt64.init(exactly:)),
            let through = value["through"]?.integer.flatMap(UInt64.init(exactly:))
        else { return .malformed("a gap notice without 'from' and 'through'") }
        return .gap(
            flow: envelope.identity.flow, incarnation: envelope.incarnation, from: from,
            through: through, reason: value["reason"]?.string ?? "unknown",
            isKept: envelope.delivery == .atLeastOnce)
    }
}
