/// How an agent is attached to the mesh.
public enum Transport: String, Sendable, CaseIterable, Hashable {
    case zmq
    case nats
}

/// Which names are legal on every wire that we speak.
public enum Names {
    /// The longest name of an agent, branch, proxy or message type, in bytes.
    public static let lengthMax = 64
    /// The longest topic, in bytes.
    public static let topicLengthMax = 200

    /// Whether `name` may name an agent, a branch, a proxy, a server, a pool or a message type.
    ///
    /// A letter or digit, then letters, digits, `_` and `-`: legal as a ZeroMQ routing id, as a
    /// NATS subject token, as a file name and in a shell.
    public static func isLegal(_ name: some StringProtocol) -> Bool {
        let bytes = name.utf8
        guard let first = bytes.first, bytes.count <= lengthMax else { return false }
        return isAlphanumeric(first)
            && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x5F || $0 == 0x2D }
    }

    /// Whether `topic` may be published to: legal names joined by dots, not under a reserved root.
    public static func isLegalTopic(_ topic: some StringProtocol) -> Bool {
        guard !topic.isEmpty, topic.utf8.count <= topicLengthMax else { return false }
        let tokens = topic.split(separator: ".", omittingEmptySubsequences: false)
        return tokens.allSatisfy { isLegal($0) } && tokens[0] != "agent" && tokens[0] != "shadow"
    }

    /// Whether a subscription to `subscription` receives what is published to `topic`.
    ///
    /// By whole tokens, on every transport: `tot.a` receives `tot.a` and `tot.a.b`, never `tot.ab`.
    public static func topic(_ topic: String, isUnder subscription: String) -> Bool {
        guard topic.utf8.starts(with: subscription.utf8) else { return false }
        let rest = topic.utf8.dropFirst(subscription.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: ".")
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
}
