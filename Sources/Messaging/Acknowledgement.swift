internal import JSON
public import Wire

/// What a receiver says it has recorded of a flow of the class `at_least_once`.
///
/// The content of an envelope of kind acknowledgement:
/// `{"incarnation": i, "through": s, "except": [[from, through]], "missing": [[from, through]]}`.
public struct Acknowledgement: Hashable, Sendable {
    /// The flow that is acknowledged: from who gets this to who says it.
    public var flow: Flow
    /// The incarnation of the flow's sender.
    public var incarnation: UInt32
    /// Everything up to here is recorded; 0 is nothing.
    public var through: UInt64
    /// But for these, which its receiver no longer waits for.
    public var except: [ClosedRange<UInt64>] = []
    /// These are missing: there is something behind them, or a proxy said that it dropped them.
    public var missing: [ClosedRange<UInt64>] = []

    /// The type of the envelopes that carry it, and so the end of their subject on NATS.
    static let type = "acknowledgement"
    /// The most ranges of one kind; the rest is said later.
    static let rangesMax = 64

    /// Makes an acknowledgement.
    public init(flow: Flow, incarnation: UInt32, through: UInt64) {
        self.flow = flow
        self.incarnation = incarnation
        self.through = through
    }

    /// Reads what `envelope` wrote; nil where it is none.
    public init?(_ envelope: Envelope) {
        guard case .agent(let sender) = envelope.destination,
            let value = try? Value(parsing: envelope.content),
            let incarnation = value["incarnation"]?.integer.flatMap({ UInt32(exactly: $0) }),
            let through = value["through"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let except = Self.ranges(value["except"]), let missing = Self.ranges(value["missing"])
        else { return nil }
        self.init(
            flow: Flow(source: sender, destination: .agent(envelope.source)),
            incarnation: incarnation, through: through)
        self.except = except
        self.missing = missing
    }

    private static func ranges(_ value: Value?) -> [ClosedRange<UInt64>]? {
        guard let value else { return [] }
        guard let pairs = value.array, pairs.count <= rangesMax else { return nil }
        var ranges: [ClosedRange<UInt64>] = []
        for pair in pairs {
            guard let bounds = pair.array?.compactMap(\.integer), bounds.count == 2,
                let from = UInt64(exactly: bounds[0]), let through = UInt64(exactly: bounds[1]),
                from >= 1, from <= through
            else { return nil }
            ranges.append(from...through)
        }
        return ranges
    }

    /// The envelope that says it.
    ///
    /// It is part of no flow, so its sequence is 0, and it takes no credit.
    ///
    /// - Parameters:
    ///   - incarnation: Of who says it.
    ///   - now: The time, by the run's clock.
    /// - Returns: It, for the flow's sender.
    public func envelope(by incarnation: UInt32, at now: UInt64) -> Envelope {
        func pairs(_ ranges: [ClosedRange<UInt64>]) -> Value {
            .array(
                ranges.prefix(Self.rangesMax).map {
                    [
                        .integer(Int64(clamping: $0.lowerBound)),
                        .integer(Int64(clamping: $0.upperBound)),
                    ]
                })
        }
        var members: [String: Value] = [
            "incarnation": .integer(Int64(self.incarnation)),
            "through": .integer(Int64(clamping: through)),
        ]
        if !except.isEmpty { members["except"] = pairs(except) }
        if !missing.isEmpty { members["missing"] = pairs(missing) }
        return Envelope(
            identity: Identity(
                flow: Flow(source: flow.destination.name, destination: .agent(flow.source)),
                incarnation: incarnation, sequence: 0),
            kind: .acknowledgement, type: Self.type, sent: now, contentEncoding: .json,
            content: Array(Value.object(members).canonical.utf8))
    }

    /// What came, for a transport to hand on.
    static func inbound(_ envelope: Envelope) -> Inbound {
        Acknowledgement(envelope).map { .acknowledged($0) }
            ?? .malformed("an acknowledgement of '\(envelope.source)' that is none")
    }
}
