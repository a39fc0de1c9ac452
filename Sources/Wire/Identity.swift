/// Where an envelope goes: one agent, or every subscriber of a topic.
public enum Address: Hashable, Sendable, Comparable {
    case agent(String)
    case topic(String)

    /// The name of the agent or the topic.
    public var name: String {
        switch self {
        case .agent(let name), .topic(let name): name
        }
    }

    /// Agents before topics, then by name.
    public static func < (left: Address, right: Address) -> Bool {
        switch (left, right) {
        case (.agent(let one), .agent(let two)), (.topic(let one), .topic(let two)): one < two
        case (.agent, .topic): true
        case (.topic, .agent): false
        }
    }
}

extension Address: CustomStringConvertible {
    /// `name` for an agent, `topic:name` for a topic; names hold no colon, so this is reversible.
    public var description: String {
        switch self {
        case .agent(let name): name
        case .topic(let name): "topic:" + name
        }
    }

    /// Reads what `description` writes.
    public init(_ text: some StringProtocol) {
        if text.hasPrefix("topic:") {
            self = .topic(String(text.dropFirst(6)))
        } else {
            self = .agent(String(text))
        }
    }
}

/// All envelopes from one sender to one destination, in order.
public struct Flow: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The sending agent.
    public let source: String
    /// The agent or topic that is addressed.
    public let destination: Address

    /// Names a flow.
    public init(source: String, destination: Address) {
        self.source = source
        self.destination = destination
    }

    /// By source, then by destination.
    public static func < (left: Flow, right: Flow) -> Bool {
        (left.source, left.destination) < (right.source, right.destination)
    }

    /// `source -> destination`.
    public var description: String { "\(source) -> \(destination)" }
}

/// What names an envelope for ever: stamped once by the sender, before any fan-out.
///
/// It is the deduplication key on every path and the key of every comparison. The route that an
/// envelope took is no part of it.
public struct Identity: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The flow that the envelope belongs to.
    public let flow: Flow
    /// Raised each time the sender starts; the first start is 1.
    public let incarnation: UInt32
    /// Position in the flow within the incarnation: 1, 2, 3 and so on.
    public let sequence: UInt64

    /// Names an envelope.
    public init(flow: Flow, incarnation: UInt32, sequence: UInt64) {
        self.flow = flow
        self.incarnation = incarnation
        self.sequence = sequence
    }

    /// By flow, incarnation, sequence.
    public static func < (left: Identity, right: Identity) -> Bool {
        (left.flow, left.incarnation, left.sequence)
            < (right.flow, right.incarnation, right.sequence)
    }

    /// `source -> destination #incarnation.sequence`.
    public var description: String { "\(flow) #\(incarnation).\(sequence)" }
}
