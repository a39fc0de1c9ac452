public import Recording

/// What a delivery check looks at, and what it is told beside the histories.
public struct DeliveryScope: Sendable, Hashable {
    /// Only envelopes sent within these times count; `nil` for all.
    public var window: ClosedRange<UInt64>?
    /// The faults that were injected.
    public var faults: [FaultWindow] = []
    /// Branch and topic proxies: they record on behalf of agents that keep no history.
    public var proxies: Set<String> = []
    /// Agents known to record, beside those whose history is there: an agent whose file is missing
    /// altogether is still expected to have received what was sent to it.
    public var observed: Set<String> = []
    /// What agents that keep no history are to answer, by their names.
    public var promises: [String: [Promise]] = [:]
    /// Agents that are to keep what they send to agents until it is acknowledged.
    public var keeping: Set<String> = []
    /// Agents that are to acknowledge.
    public var acknowledging: Set<String> = []
    /// Whether an agent that keeps no history was on NATS: then a part of the mesh that records for
    /// it must have seen everything.
    public var isWatching = false
    /// Whether everything in flight had the time to arrive.
    ///
    /// If not, what is missing behind the last delivered envelope of a flow is pending, not lost.
    public var isDrained = true
    /// How long an envelope may be under way, in nanoseconds: it bounds the life of one that never
    /// arrived, and how long a subscription may still deliver after it was given up.
    public var flight: UInt64 = 2_000_000_000
    /// Findings kept of each kind; the rest is counted.
    public var findingsMax = 1_000

    /// The whole run, drained, without faults.
    public init(window: ClosedRange<UInt64>? = nil, faults: [FaultWindow] = []) {
        self.window = window
        self.faults = faults
    }
}

/// That each message of one type is answered by one of another, to its sender.
///
/// What an agent that keeps no history did with what it was handed, nobody sees: that it answered is
/// the proof that it read it.
public struct Promise: Sendable, Hashable {
    /// The type of what is asked.
    public let request: String
    /// The type of what is answered.
    public let answer: String
    /// The member of both contents that is the same in a request and its answer; `nil`: the whole
    /// content is.
    public let key: String?

    /// Names what is promised.
    public init(request: String, answer: String, key: String? = nil) {
        self.request = request
        self.answer = answer
        self.key = key
    }
}

/// How many deviations of each delivery class there are.
public struct DeviationCounts: Sendable, Hashable {
    /// Expected and not delivered.
    public var lost = 0
    /// Delivered beyond the first time.
    public var duplicated = 0
    /// Out of order within a flow.
    public var reordered = 0
    /// Arrived after their receiver gave them up.
    public var late = 0
    /// Delivered with other content than was sent.
    public var corrupted = 0
    /// Delivered though nobody sent them, or to someone whom they were not for.
    public var unexpected = 0

    /// No deviations.
    public init() {}

    /// Deviations counted elsewhere.
    public init(
        lost: Int = 0, duplicated: Int = 0, reordered: Int = 0, late: Int = 0, corrupted: Int = 0,
        unexpected: Int = 0
    ) {
        self.lost = lost
        self.duplicated = duplicated
        self.reordered = reordered
        self.late = late
        self.corrupted = corrupted
        self.unexpected = unexpected
    }

    /// The classes, in the order in which they are told.
    public static let classes: [Deviation] = [
        .lost, .duplicated, .reordered, .late, .corrupted, .unexpected,
    ]

    /// The count of one class; 0 for deviations that delivery knows nothing of.
    public subscript(deviation: Deviation) -> Int {
        get {
            switch deviation {
            case .lost: lost
            case .duplicated: duplicated
            case .reordered: reordered
            case .late: late
            case .corrupted: corrupted
            case .unexpected: unexpected
            default: 0
            }
        }
        set {
            switch deviation {
            case .lost: lost = newValue
            case .duplicated: duplicated = newValue
            case .reordered: reordered = newValue
            case .late: late = newValue
            case .corrupted: corrupted = newValue
            case .unexpected: unexpected = newValue
            default: break
            }
        }
    }

    /// All of them together.
    public var total: Int { Self.classes.reduce(0) { $0 + self[$1] } }
}

/// Delivery in numbers, as `verdict.json` has them.
///
/// `expected = delivered + lost + late` plus what the report calls pending.
public struct DeliveryCounts: Sendable, Hashable {
    /// Envelopes sent.
    public var sent = 0
    /// Deliveries that fan-out makes of them.
    public var expected = 0
    /// Of these, delivered in time, once or more.
    public var delivered = 0
    /// Acknowledged by their receiver; `nil` where nothing acknowledges.
    public var acknowledged: Int?
    /// Of what was sent at least once; `nil` where nothing was.
    public var atLeastOnce: KeptCounts?
    /// Every deviation found.
    public var deviations = DeviationCounts()
    /// Of the lost, those that a part of the mesh dropped and named.
    public var dropped = 0
    /// Of the lost, those that nobody named.
    public var inferred = 0
    /// The deviations that an injected fault explains.
    public var explained = DeviationCounts()

    /// Nothing sent, nothing delivered.
    public init() {}

    /// The deviations that no fault explains.
    public var unexplained: DeviationCounts {
        var counts = deviations
        for deviation in DeviationCounts.classes { counts[deviation] -= explained[deviation] }
        return counts
    }
}

/// What a delivery check found.
public struct DeliveryReport: Sendable, Hashable {
    /// The numbers.
    public var counts = DeliveryCounts()
    /// Deliveries to a subscriber just outside its subscription: allowed, never expected.
    public var allowed = 0
    /// Expected, not delivered, and the flow was not drained.
    public var pending = 0
    /// Envelopes to agents that no history knows: nobody can say whether they arrived.
    public var unobserved = 0
    /// Deliveries of messages that carried no identity and were given one by their receiver: nobody
    /// can say how many were sent.
    public var unidentified = 0
    /// Delivered envelopes whose content in shared memory was read without comparing its digest:
    /// nobody can say whether it was altered.
    public var unverified = 0
    /// Delivered envelopes whose content in shared memory their receiver did not read.
    public var unread = 0
    /// Of these, those that no fault kept from it.
    public var unreadUnexplained = 0
    /// Envelopes with contents in shared memory to receivers that keep no history: whether they
    /// could read them is not known.
    public var unobservedContents = 0
    /// Messages that agents could not send, and that are in no other count.
    public var refused = 0
    /// Repeats that receivers recognised and dropped.
    public var repeatsDropped = 0
    /// How many expected deliveries each fault touched, by the fault's id.
    public var touched: [String: Int] = [:]
    /// The first findings of each kind, by flow and sequence.
    public var findings: [Finding] = []
    /// Findings beyond those.
    public var findingsOmitted = 0
    /// What was wrong with the histories themselves.
    public var notes: [String] = []

    /// Nothing found.
    public init() {}
}

/// Whether every envelope came to everyone whom it was for, once, in order and unaltered.
public enum Delivery {
    /// Checks the primary lane of a run.
    ///
    /// - An agent's flow expects one delivery at the agent, whichever incarnation of it.
    /// - A topic's flow expects one at each subscriber whose subscription held when the envelope was
    ///   sent: at or after its confirmation, before it was given up. Deliveries sent before a
    ///   confirmation, or within the scope's `flight` after the end, are allowed and not expected.
    /// - Every expected delivery is delivered, late, pending or lost: exactly one of them.
    ///
    /// - Complexity: O(n log n) in the number of records of one flow, linear where they are in order.
    public static func check(
        _ histories: [History], in scope: DeliveryScope = DeliveryScope()
    ) -> DeliveryReport {
        var check = DeliveryCheck(
            index: DeliveryIndex(histories, scope: scope), histories: histories, scope: scope)
        return check.run()
    }
}

extension DeliveryCounts {
    /// Adds the counts of another mesh of the same run.
    public mutating func add(_ other: DeliveryCounts) {
        sent += other.sent
        expected += other.expected
        delivered += other.delivered
        dropped += other.dropped
        inferred += other.inferred
        if let more = other.acknowledged { acknowledged = (acknowledged ?? 0) + more }
        if let more = other.atLeastOnce { atLeastOnce = (atLeastOnce ?? KeptCounts()) + more }
        for deviation in DeviationCounts.classes {
            deviations[deviation] += other.deviations[deviation]
            explained[deviation] += other.explained[deviation]
        }
    }
}
