internal import YAML

/// Which contents of one flow go together in one message: until there are so many or so much of
/// them, or the first has waited for so long.
public struct BatchRule: Sendable, Hashable {
    /// The most envelopes of a batch.
    public let messages: Int
    /// The most bytes of a batch.
    public let bytes: Int
    /// The longest that an envelope waits for others.
    public let latency: Duration

    /// A rule.
    public init(messages: Int = 50, bytes: Int = 65_536, latency: Duration = .milliseconds(5)) {
        self.messages = messages
        self.bytes = bytes
        self.latency = latency
    }
}

extension Reading where Value == BatchRule {
    /// `{messages: 50, bytes: 64KiB, latency: 5ms}`, each with that default.
    static var batchRule: Reading<BatchRule> {
        .mapping { batch in
            let standard = BatchRule()
            return BatchRule(
                messages: batch.optional(
                    "messages", .integer(in: 2...10_000), default: standard.messages),
                bytes: batch.optional(
                    "bytes", .byteSize(in: 1_024...(1 << 20)), default: standard.bytes),
                // What waits longer is not explained by the end of a process that had it.
                latency: batch.optional(
                    "latency", .duration(in: .milliseconds(1) ... .seconds(1)),
                    default: standard.latency))
        }
    }
}

extension Resolver {
    /// Checks that who is to batch can.
    func checkBatch(of agent: Declarations.Agent, wire: AgentWire) {
        guard let batch = agent.batch else { return }
        if agent.kindKey == nil {
            diagnostics.error(
                "a command batches by itself, or not at all", at: batch.location,
                help: "remove 'batch': it is for built-in agents")
        } else if wire == .json {
            diagnostics.error(
                "a proxy of the user's own passes on one message at a time", at: batch.location,
                help: "remove 'batch', or give the agent a branch with a proxy of synmesh's")
        }
    }
}
