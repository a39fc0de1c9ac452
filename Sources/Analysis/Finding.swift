public import Wire

/// The ways in which an envelope, or a pair of them, can be other than it should be.
public enum Deviation: String, Sendable, Hashable, CaseIterable {
    /// Sent and expected, never delivered.
    case lost
    /// Delivered more than once to one receiver.
    case duplicated
    /// Delivered after a later envelope of its flow.
    case reordered
    /// Arrived after its receiver, or the comparison, had given it up.
    case late
    /// Delivered with other content than was sent.
    case corrupted
    /// Delivered although nobody sent it, or to someone whom it was not for.
    case unexpected

    /// Compared equal under a tolerance, or as an unordered list.
    case tolerated
    /// Compared different only where a rule says to look away.
    case ignored
    /// One side delivered more copies than the other.
    case duplicate
    /// The two sides' contents differ.
    case payload
    /// On the left side only.
    case missing
    /// On the right side only.
    case extra
    /// The other side was still draining.
    case undecidable

    /// Acknowledged and not recorded, or recorded and not acknowledged.
    case acknowledgement
    /// Something about the evidence itself: an unreadable history, an unobserved receiver.
    case evidence
    /// A process, port, socket, segment or file that the run left behind.
    case leak
}

/// One thing that a checker found, with everything that is needed to look it up.
public struct Finding: Sendable, Hashable {
    /// How much a finding weighs.
    public enum Severity: String, Sendable, Hashable, CaseIterable {
        /// Nothing explains it.
        case error
        /// An injected fault explains it.
        case warning
        /// Worth knowing, no defect.
        case note
    }

    /// How much it weighs.
    public var severity: Severity
    /// What kind of deviation it is.
    public var deviation: Deviation
    /// The flow of the envelope.
    public var flow: Flow?
    /// The sender's incarnation.
    public var incarnation: UInt32?
    /// The envelope's position in the flow.
    public var sequence: UInt64?
    /// Where in the content: `$.a.b[2]`, `byte 17`, `length` or `digest`.
    public var path: String?
    /// Who received it, or should have.
    public var receiver: String?
    /// The fault that explains it.
    public var fault: String?
    /// What happened, in one sentence.
    public var reason: String

    /// Makes a finding about one envelope.
    public init(
        _ severity: Severity, _ deviation: Deviation, identity: Identity? = nil,
        path: String? = nil, receiver: String? = nil, fault: String? = nil, reason: String
    ) {
        self.severity = severity
        self.deviation = deviation
        self.flow = identity?.flow
        self.incarnation = identity?.incarnation
        self.sequence = identity?.sequence
        self.path = path
        self.receiver = receiver
        self.fault = fault
        self.reason = reason
    }

    /// The envelope, where the finding is about one.
    public var identity: Identity? {
        guard let flow, let incarnation, let sequence else { return nil }
        return Identity(flow: flow, incarnation: incarnation, sequence: sequence)
    }
}

/// Keeps the first findings of each kind and counts the rest: a run with a million losses must not
/// become a report with a million lines, and a flood of explained ones must not hide the others.
struct FindingCollector {
    private struct Key: Hashable {
        let deviation: Deviation
        let severity: Finding.Severity
    }

    let limit: Int
    private var counts: [Key: Int] = [:]
    private(set) var findings: [Finding] = []
    private(set) var omitted = 0

    init(limit: Int) { self.limit = limit }

    /// Takes the finding that `make` builds, unless its kind is full.
    mutating func add(
        _ severity: Finding.Severity, _ deviation: Deviation, _ make: () -> Finding
    ) {
        let key = Key(deviation: deviation, severity: severity)
        let count = counts[key, default: 0]
        counts[key] = count + 1
        if count < limit {
            findings.append(make())
        } else {
            omitted += 1
        }
    }
}
