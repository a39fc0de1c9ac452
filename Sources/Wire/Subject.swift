/// NATS subjects of the mesh.
public enum Subject {
    /// Where an envelope is published: `agent.<name>.<type>` or the topic itself.
    public static func of(_ envelope: Envelope) -> String {
        switch envelope.destination {
        case .agent(let name): "agent.\(name).\(envelope.type)"
        case .topic(let topic): topic
        }
    }

    /// Where an envelope goes whose receiver speaks only the seed's wire: its branch listens there,
    /// and gives the message on in that wire.
    public static func translated(to agent: String, type: String) -> String {
        "_seed.\(agent).\(type)"
    }

    /// What a branch subscribes to for an agent that speaks only the seed's wire.
    public static func translations(for agent: String) -> String { "_seed.\(agent).>" }

    /// What an agent subscribes to for what is addressed to it.
    public static func inbox(of agent: String) -> String { "agent.\(agent).>" }

    /// Where a topic's envelope goes that a proxy kept for one agent alone.
    public static func kept(for agent: String) -> String { "agent.\(agent)._kept" }

    /// What a subscription to `topic` needs on NATS: the topic itself and all below it.
    public static func subscriptions(to topic: String) -> [String] { [topic, topic + ".>"] }

    /// The same subject for the shadow copies of a dual run: never bridged, never acted on.
    public static func shadow(_ subject: String, run: String) -> String {
        "shadow.\(run).\(subject)"
    }
}
