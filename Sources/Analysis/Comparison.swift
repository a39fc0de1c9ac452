public import Recording
public import Wire

/// What is compared with what.
public enum ComparisonMode: String, Sendable, Hashable, CaseIterable {
    /// One workload through two meshes.
    case twin
    /// Both copies of each envelope inside one mesh.
    case dual
    /// Several parallel runs of a scenario, of both kinds, added up.
    case mixed
    /// Two runs.
    case diff
}

/// How the identities of two sides are paired.
public enum Alignment: Sendable, Hashable {
    /// As they are: both sides are of one run.
    case exact
    /// A source's incarnations by their order: its first of one run pairs with its first of the other.
    case incarnations
    /// A flow's sequences counted on across incarnations, so that two runs pair although a sender was
    /// restarted at another point of its work.
    case continued
}

/// How two sides are compared.
public struct ComparisonOptions: Sendable, Hashable {
    /// What is compared with what.
    public var mode: ComparisonMode
    /// How places in contents are compared.
    public var rules: [PathRule] = []
    /// How identities are paired.
    public var alignment: Alignment
    /// How far, in nanoseconds, both sides may get ahead of an envelope that one of them has not
    /// delivered yet before it counts as late; `nil` where the sides' clocks do not compare.
    public var lateAfter: UInt64?
    /// Places that differ by themselves: what differs in them alone is tolerated, where both sides are read
    /// as streams.
    public var noisyPlaces: Set<String> = []
    /// Only what these agents sent, where both sides are read as streams; `nil` for all.
    public var sources: Set<String>?
    /// Differences kept of each class; the rest is counted.
    public var differencesMax = 1_000

    /// The usual way to compare in a mode.
    public init(mode: ComparisonMode, rules: [PathRule] = []) {
        self.mode = mode
        self.rules = rules
        self.alignment = mode == .dual ? .exact : .incarnations
        self.lateAfter = mode == .dual ? 2_000_000_000 : nil
    }
}

/// One envelope of one side.
public struct ComparedRecord: Sendable, Hashable {
    /// What names it.
    public var identity: Identity
    /// Who received it; empty for what was only sent.
    public var receiver: String
    /// Message type.
    public var type: String
    /// When, by the side's clock.
    public var observed: UInt64
    /// How the content is to be read.
    public var contentEncoding: Envelope.ContentEncoding
    /// The content or its digest.
    public var content: Content

    /// A record that was met in a stream.
    init(_ kind: RecordKind, sequence: UInt64, observed: UInt64, content: Content) {
        identity = Identity(flow: kind.flow, incarnation: kind.incarnation, sequence: sequence)
        receiver = ""
        type = kind.type
        self.observed = observed
        contentEncoding = kind.contentEncoding
        self.content = content
    }

    /// Takes what is compared from a record.
    public init(_ record: HistoryRecord, receiver: String) {
        self.identity = record.identity
        self.receiver = receiver
        self.type = record.type
        self.observed = record.observed
        self.contentEncoding = record.contentEncoding
        self.content = record.content
    }
}

/// One of the two streams that are compared.
public struct ComparisonSide: Sendable, Hashable {
    /// Its envelopes.
    public var records: [ComparedRecord]
    /// Who received which envelope too late to deliver it.
    public var late: [Identity: Set<String>] = [:]
    /// Every incarnation of a source and the highest sequence that it sent in each flow.
    public var sequences: [Flow: [UInt32: UInt64]] = [:]
    /// Whether everything in flight had the time to arrive.
    public var isDrained = true

    /// A side of records.
    public init(_ records: [ComparedRecord], isDrained: Bool = true) {
        self.records = records
        self.isDrained = isDrained
        for record in records { note(record.identity) }
    }

    /// What was delivered on the primary lane, and where `includingSent` says so what was sent.
    public static func delivered(
        in histories: [History], includingSent: Bool = false, isDrained: Bool = true
    ) -> ComparisonSide {
        var side = ComparisonSide([], isDrained: isDrained)
        for record in histories.lazy.flatMap(\.records) where record.lane == .primary {
            side.note(record.identity)
            if record.direction == .delivered {
                side.records.append(ComparedRecord(record, receiver: receiver(of: record)))
            } else if includingSent {
                side.records.append(ComparedRecord(record, receiver: ""))
            }
        }
        side.noteLate(histories)
        return side
    }

    /// Both lanes of a dual run: what was acted on, and the shadow copies.
    ///
    /// Only envelopes of which a shadow copy was sent are there, and only at receivers that record
    /// for themselves: foreign agents never see a shadow copy.
    public static func dual(
        _ histories: [History], isDrained: Bool = true
    ) -> (primary: ComparisonSide, shadow: ComparisonSide) {
        var shadowed: Set<Identity> = []
        for record in histories.lazy.flatMap(\.records)
        where record.lane == .shadow && record.direction == .sent {
            shadowed.insert(record.identity)
        }
        var primary = ComparisonSide([], isDrained: isDrained)
        var shadow = ComparisonSide([], isDrained: isDrained)
        for record in histories.lazy.flatMap(\.records)
        where record.direction == .delivered && shadowed.contains(record.identity) {
            if case .agent(let name) = record.identity.flow.destination, name != record.agent {
                continue
            }
            let compared = ComparedRecord(record, receiver: record.agent)
            switch record.lane {
            case .primary: primary.records.append(compared)
            case .shadow: shadow.records.append(compared)
            }
        }
        primary.noteLate(histories)
        shadow.noteLate(histories)
        return (primary, shadow)
    }

    private static func receiver(of record: HistoryRecord) -> String {
        switch record.identity.flow.destination {
        // Who records for an agent may differ between two runs; for whom it was does not.
        case .agent(let name): name
        case .topic: record.agent
        }
    }

    private mutating func note(_ identity: Identity) {
        let highest = sequences[identity.flow]?[identity.incarnation] ?? 0
        guard identity.sequence > highest else { return }
        sequences[identity.flow, default: [:]][identity.incarnation] = identity.sequence
    }

    private mutating func noteLate(_ histories: [History]) {
        for annotation in histories.lazy.flatMap(\.annotations) {
            if case .late(let identity, let by, _) = annotation {
                late[identity, default: []].insert(by)
            }
        }
    }
}

/// A comparison in numbers, as `verdict.json` has them; each identity is in exactly one class.
public struct ComparisonCounts: Sendable, Hashable {
    /// What was compared with what.
    public var mode: ComparisonMode
    /// The same on both sides.
    public var match = 0
    /// The number of each class other than `match`.
    private var deviations: [Deviation: Int] = [:]

    /// Nothing compared.
    public init(mode: ComparisonMode) { self.mode = mode }

    /// The classes other than `match`, in the order in which they are told.
    public static let classes: [Deviation] = [
        .tolerated, .ignored, .duplicate, .reordered, .late, .payload, .missing, .extra,
        .undecidable,
    ]

    /// The count of a class; 0 for deviations that a comparison knows nothing of.
    public subscript(deviation: Deviation) -> Int {
        get { deviations[deviation] ?? 0 }
        set { deviations[deviation] = newValue == 0 ? nil : newValue }
    }

    /// How many identities were compared.
    public var total: Int { deviations.values.reduce(match, +) }

    /// Adds what another comparison counted.
    public mutating func add(_ other: ComparisonCounts) {
        if mode != other.mode { mode = .mixed }
        match += other.match
        for deviation in Self.classes { self[deviation] += other[deviation] }
    }

    /// Whether every single one is the same on both sides, and there was one.
    public var isAllMatch: Bool { match > 0 && match == total }
}

/// Two envelopes that differ, or one whose partner is not there.
public struct ComparisonDifference: Sendable, Hashable {
    /// The class.
    public internal(set) var deviation: Deviation
    /// The envelope, as the left side names it if it has it.
    public let identity: Identity
    /// Who received it.
    public let receiver: String
    /// Where in the content.
    public let path: String?
    /// What stands there on the left, cut to a line.
    public let left: String?
    /// What stands there on the right, cut to a line.
    public let right: String?
    /// In one sentence.
    public internal(set) var reason: String
    /// The first envelope that differs of those from which this one follows, if it follows from one.
    public internal(set) var ancestor: Identity?
}

/// Where two sides first say something else, with what came before and after it in its flow.
public struct FirstDivergence: Sendable, Hashable {
    /// The envelope, as the left side names it if it has it.
    public let identity: Identity
    /// Who received it.
    public let receiver: String
    /// What came on the left side, in the order of arrival.
    public let left: [ContextLine]
    /// What came on the right side.
    public let right: [ContextLine]
}

/// An envelope beside the first that differs.
public struct ContextLine: Sendable, Hashable {
    /// The envelope, as its side names it.
    public let identity: Identity
    /// Message type.
    public let type: String
    /// Its content, cut to a line.
    public let content: String
    /// Whether it is the one that differs.
    public let isDivergent: Bool
}

/// What a comparison found.
public struct ComparisonReport: Sendable, Hashable {
    /// The numbers.
    public var counts: ComparisonCounts
    /// The first differences of each class, by flow and sequence.
    public var differences: [ComparisonDifference] = []
    /// Differences beyond those.
    public var differencesOmitted = 0
    /// The first one, where both sides were read as streams.
    public internal(set) var first: FirstDivergence?
    /// Places that differ as often between runs that should be the same.
    public var noisePlaces: [Noise] = []
    /// Whether there were more causes than are looked at, so that not every cascade is folded.
    public internal(set) var causesOmitted = false
    /// How often both sides were read to pair them; 1 where they are held.
    public internal(set) var passes = 1
    /// In how many envelopes a place differed, lists counted as one place: what an A/A run calls noise.
    public var paths: [String: Int] = [:]

    /// Nothing found yet.
    public init(counts: ComparisonCounts) { self.counts = counts }

    /// Adds what was found in another mesh of the same runs.
    public mutating func add(_ other: ComparisonReport) {
        counts.add(other.counts)
        differences += other.differences
        differencesOmitted += other.differencesOmitted
        paths.merge(other.paths, uniquingKeysWith: +)
        first = first ?? other.first
        noisePlaces = noisePlaces.isEmpty ? other.noisePlaces : noisePlaces
        causesOmitted = causesOmitted || other.causesOmitted
        passes = max(passes, other.passes)
    }

    /// The differences as findings of a verdict.
    public var findings: [Finding] {
        differences.map { difference in
            let severity: Finding.Severity =
                switch difference.deviation {
                case .tolerated, .ignored, .undecidable: .note
                default: .error
                }
            return Finding(
                severity, difference.deviation, identity: difference.identity,
                path: difference.path, receiver: difference.receiver, reason: difference.reason)
        }
    }

    /// The share of the compared envelopes in which each place differed.
    public var noise: [Noise] {
        paths.sorted { $0.key < $1.key }.map { path, count in
            Noise(path: path, rate: Double(count) / Double(max(1, counts.total)))
        }
    }
}

/// A place that differs by itself: it did so when ZeroMQ was compared with ZeroMQ.
public struct Noise: Sendable, Hashable {
    /// The place.
    public let path: String
    /// In which share of the envelopes.
    public let rate: Double

    /// Names a place and its rate.
    public init(path: String, rate: Double) {
        self.path = path
        self.rate = rate
    }
}

/// Whether two streams of envelopes say the same.
public enum Comparison {
    /// Compares two sides by identity and receiver: bytes, then digest, then canonical JSON, then
    /// place by place under the rules.
    ///
    /// A pair is in the worst class that fits: payload before duplicate, reordered, late, tolerated,
    /// ignored and match. An envelope without partner is late where its receiver said that it came
    /// too late, undecidable where it stands behind the last one of a side that was not drained,
    /// else missing or extra.
    ///
    /// - Complexity: O(n log n) in the number of records.
    public static func compare(
        left: ComparisonSide, right: ComparisonSide, options: ComparisonOptions
    ) -> ComparisonReport {
        var check = ComparisonCheck(left: left, right: right, options: options)
        return check.run()
    }

    /// Compares the two lanes of a dual run.
    public static func dual(
        _ histories: [History], rules: [PathRule] = [], isDrained: Bool = true
    ) -> ComparisonReport {
        let sides = ComparisonSide.dual(histories, isDrained: isDrained)
        return compare(
            left: sides.primary, right: sides.shadow,
            options: ComparisonOptions(mode: .dual, rules: rules))
    }

    /// Compares what two meshes delivered for one workload.
    public static func twin(
        left: [History], right: [History], rules: [PathRule] = [], includingSent: Bool = false
    ) -> ComparisonReport {
        compare(
            left: .delivered(in: left, includingSent: includingSent),
            right: .delivered(in: right, includingSent: includingSent),
            options: ComparisonOptions(mode: .twin, rules: rules))
    }

    /// Compares what two runs delivered.
    public static func diff(
        left: [History], right: [History], rules: [PathRule] = []
    ) -> ComparisonReport {
        var options = ComparisonOptions(mode: .diff, rules: rules)
        options.alignment = .continued
        return compare(
            left: .delivered(in: left), right: .delivered(in: right), options: options)
    }
}
