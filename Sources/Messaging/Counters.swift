public import JSON
public import Wire

/// What a client has done so far.
public struct Counters: Hashable, Sendable {
    /// Envelopes sent, by destination.
    public internal(set) var sent: [Address: UInt64] = [:]
    /// Envelopes handed out, by flow.
    public internal(set) var delivered: [Flow: UInt64] = [:]
    /// Envelopes that could not be sent after they got an identity.
    public internal(set) var dropped: UInt64 = 0
    /// Envelopes that came again and were dropped.
    public internal(set) var repeats: UInt64 = 0
    /// Envelopes that were given up by the receiver's rule.
    public internal(set) var gaps: UInt64 = 0
    /// Envelopes that came after they were given up, and were not handed out.
    public internal(set) var late: UInt64 = 0
    /// Envelopes and notices that were refused, since a bound was reached.
    public internal(set) var refused: UInt64 = 0
    /// Envelopes that came ahead of others and were held until those came.
    public internal(set) var ahead: UInt64 = 0
    /// Envelopes that are held now.
    public internal(set) var held: UInt64 = 0
    /// Envelopes of topics that are not subscribed to (ZeroMQ matches bytes, not tokens).
    public internal(set) var filtered: UInt64 = 0
    /// What came and could not be read.
    public internal(set) var malformed: UInt64 = 0
    /// Contents in shared memory that could not be read.
    public internal(set) var unreadable: UInt64 = 0
    /// Envelopes that were acknowledged.
    public internal(set) var acknowledged: UInt64 = 0
    /// Envelopes that are kept until they are.
    public internal(set) var unacknowledged: UInt64 = 0
    /// Times that an envelope was sent again.
    public internal(set) var resent: UInt64 = 0
    /// Envelopes that were left to be sent again, since more is held than the limit allows.
    public internal(set) var deferred: UInt64 = 0
    /// Shadow copies sent.
    public internal(set) var shadowSent: UInt64 = 0
    /// Shadow copies that could not be sent.
    public internal(set) var shadowFailed: UInt64 = 0
    /// Shadow copies that came.
    public internal(set) var shadowDelivered: UInt64 = 0

    /// As the command `status` answers.
    public var json: Value {
        func number(_ count: UInt64) -> Value { .integer(Int64(clamping: count)) }
        let sentMembers = sent.map { ($0.key.description, number($0.value)) }
        let deliveredMembers = delivered.map { ($0.key.description, number($0.value)) }
        return [
            "sent": .object(Dictionary(sentMembers) { first, _ in first }),
            "delivered": .object(Dictionary(deliveredMembers) { first, _ in first }),
            "dropped": number(dropped), "repeats": number(repeats), "gaps": number(gaps),
            "late": number(late), "ahead": number(ahead), "held": number(held),
            "refused": number(refused),
            "filtered": number(filtered), "malformed": number(malformed),
            "unreadable": number(unreadable),
            "acknowledged": number(acknowledged), "unacknowledged": number(unacknowledged),
            "resent": number(resent), "deferred": number(deferred),
            "shadow_sent": number(shadowSent), "shadow_failed": number(shadowFailed),
            "shadow_delivered": number(shadowDelivered),
        ]
    }
}
