internal import JSON
internal import Wire

/// Gives an identity to messages whose sender, who speaks only the seed's wire, gave none.
struct SeedStamper {
    private var sequences: [Flow: UInt64] = [:]
    /// Flows beyond this many are refused: made-up names must not fill memory.
    static let flowsMax = 100_000

    let incarnation: UInt32

    init(incarnation: UInt32) {
        self.incarnation = incarnation
    }

    /// The envelope that a seed message becomes, or nil when its names are not legal.
    ///
    /// - Parameters:
    ///   - message: What was received.
    ///   - bytes: The same as its sender wrote it.
    ///   - sender: The name of the connection that it came on; what it says of itself counts only
    ///     where that is no name.
    ///   - now: The time.
    /// - Returns: The envelope, as if its sender had made it.
    mutating func stamp(
        _ message: SeedMessage, _ bytes: [UInt8], sender: String, now: UInt64
    ) -> Envelope? {
        let source = Names.isLegal(sender) ? sender : message.from
        let flow = Flow(source: source, destination: .agent(message.to))
        guard Names.isLegal(source), Names.isLegal(message.to),
            sequences[flow] != nil || sequences.count < Self.flowsMax
        else { return nil }
        sequences[flow, default: 0] += 1
        return Self.envelope(
            message, bytes, flow, incarnation: incarnation, sequence: sequences[flow] ?? 1,
            now: now)
    }

    static func envelope(
        _ message: SeedMessage, _ bytes: [UInt8], _ flow: Flow, incarnation: UInt32,
        sequence: UInt64, now: UInt64
    ) -> Envelope {
        Envelope(
            identity: Identity(flow: flow, incarnation: incarnation, sequence: sequence),
            type: legalType(message.type), sent: now, contentEncoding: .json,
            content: SeedMessage.content(of: bytes) ?? Array(message.content.canonical.utf8))
    }

    /// The seed's agents name types as they like; what is no NATS token becomes one.
    private static func legalType(_ type: String) -> String {
        guard !Names.isLegal(type) else { return type }
        let bytes = type.utf8.prefix(Names.lengthMax - 1).map { byte in
            let isLegal =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x61...0x7A).contains(byte) || byte == 0x2D || byte == 0x5F
            return isLegal ? byte : UInt8(ascii: "_")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return Names.isLegal(text) ? text : "x" + text
    }
}
