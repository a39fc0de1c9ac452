internal import JSON

/// One message of the seed's wire that keeps its identity through a proxy that knows none.
///
/// Such a proxy routes on `to` and passes the frame on, or parses it and writes it again. Whatever
/// else an envelope has therefore travels in a further member, which the seed's agents ignore:
///
///     {"from": "a", "to": "b", "type": "ping", "content": {"n": 1},
///      "synmesh": {"id": "a/1/b/1", "kind": 1, "sent": "1", "hops": 0, "encoding": "json"}}
///
/// The content stands where every receiver looks for it and nowhere else: what a proxy does to it
/// is seen. Content that this JSON would not give back byte for byte goes as
/// `{"encoding": "base64", "data": …}`, and the member says `"form": "base64"`.
public enum SeedFrame: Hashable, Sendable {
    /// An envelope, with the identity that its sender gave it.
    case envelope(Envelope)
    /// A message of a program that knows no identities.
    case message(SeedMessage)

    /// The member that the seed's wire does not have.
    public static let member = "synmesh"

    /// Reads a frame.
    ///
    /// - Throws: `WireError`, also where the identity says something else than the message: then
    ///   nobody can say which of them is right.
    public init(parsing bytes: [UInt8]) throws(WireError) {
        let value: Value
        do throws(ParseError) {
            value = try Value(parsing: bytes)
        } catch {
            throw .notSeedWire(error.description)
        }
        let message = try SeedMessage(value)
        guard let extra = value[Self.member] else {
            self = .message(message)
            return
        }
        self = .envelope(try Self.envelope(message, extra))
    }

    private static func envelope(
        _ message: SeedMessage, _ extra: Value
    ) throws(WireError) -> Envelope {
        guard let identity = extra["id"]?.string.flatMap(Identity.init(causationID:)) else {
            throw .malformed(field: "synmesh.id")
        }
        guard identity.flow.source == message.from else { throw .malformed(field: "from") }
        if case .agent(let name) = identity.flow.destination, name != message.to {
            throw .malformed(field: "to")
        }
        guard let number = extra["kind"]?.integer.flatMap(UInt8.init(exactly:)) else {
            throw .malformed(field: "synmesh.kind")
        }
        guard let kind = Envelope.Kind(rawValue: number) else { throw .unknownKind(number) }
        guard let sent = extra["sent"]?.string.flatMap({ UInt64($0) }) else {
            throw .malformed(field: "synmesh.sent")
        }
        guard let hops = (extra["hops"]?.integer ?? 0).asByte else {
            throw .malformed(field: "synmesh.hops")
        }
        guard let encoding = encoding(extra["encoding"]?.string) else {
            throw .malformed(field: "synmesh.encoding")
        }
        var cause: Identity?
        if let text = extra["cause"]?.string {
            guard let named = Identity(causationID: text) else {
                throw .malformed(field: "synmesh.cause")
            }
            cause = named
        }
        let content: [UInt8]
        if extra["form"] == "base64" {
            guard let bytes = message.content["data"]?.string.flatMap(Base64.decode) else {
                throw .malformed(field: "content.data")
            }
            content = bytes
        } else {
            content = Array(message.content.canonical.utf8)
        }
        return Envelope(
            identity: identity, kind: kind, type: message.type, sent: sent, cause: cause,
            hops: hops, contentEncoding: encoding, content: content)
    }

    /// The frame of an envelope.
    ///
    /// - Parameters:
    ///   - envelope: What is sent.
    ///   - receiver: Who is to get it; nil is the agent that the envelope is addressed to.
    /// - Returns: The bytes of one JSON object.
    public static func bytes(of envelope: Envelope, to receiver: String? = nil) -> [UInt8] {
        let isDirect = isReproduced(envelope)
        var extra: [String: Value] = [
            "id": .string(envelope.identity.causationID),
            "kind": .integer(Int64(envelope.kind.rawValue)),
            // As text: a proxy may keep numbers as floating point.
            "sent": .string(String(envelope.sent)), "hops": .integer(Int64(envelope.hops)),
            "encoding": .string(name(of: envelope.contentEncoding)),
        ]
        if let cause = envelope.cause { extra["cause"] = .string(cause.causationID) }
        if !isDirect { extra["form"] = "base64" }
        func text(_ value: String) -> String { Value.string(value).canonical }
        // Written by hand: the content, which may be large, is copied and not looked at again.
        let head =
            "{\"from\":\(text(envelope.source)),"
            + "\"to\":\(text(receiver ?? envelope.destination.name)),"
            + "\"type\":\(text(envelope.type)),\"content\":"
        var bytes = Array(head.utf8)
        bytes.reserveCapacity(bytes.count + envelope.contentSize * 4 / 3 + 512)
        if isDirect {
            bytes += envelope.content
        } else {
            bytes += "{\"encoding\":\"base64\",\"data\":\"".utf8
            bytes += Base64.encode(envelope.content).utf8
            bytes += "\"}".utf8
        }
        bytes += ",\"\(member)\":\(Value.object(extra).canonical)}".utf8
        return bytes
    }

    /// Whether the content comes out of any JSON library as it went in.
    private static func isReproduced(_ envelope: Envelope) -> Bool {
        guard envelope.contentEncoding.isJSON, let value = try? Value(parsing: envelope.content)
        else { return false }
        return value.canonical.utf8.elementsEqual(envelope.content)
    }

    private static func name(of encoding: Envelope.ContentEncoding) -> String {
        switch encoding {
        case .binary: "binary"
        case .json: "json"
        case .descriptor: "descriptor"
        }
    }

    private static func encoding(_ name: String?) -> Envelope.ContentEncoding? {
        Envelope.ContentEncoding.allCases.first { Self.name(of: $0) == name }
    }
}

extension SeedFrame {
    /// What a peer says to itself through a proxy, to know what the proxy has done.
    ///
    /// - Parameters:
    ///   - kind: `hello` to find out whether the name is its own, `marker` to find out how far the
    ///     proxy has come.
    ///   - name: The peer's name.
    ///   - incarnation: The peer's incarnation.
    ///   - number: Which of several it is; the content.
    ///   - now: The time.
    /// - Returns: The frame.
    public static func note(
        _ kind: Envelope.Kind, toOneself name: String, _ incarnation: UInt32, number: UInt64,
        at now: UInt64
    ) -> [UInt8] {
        bytes(
            of: Envelope(
                identity: Identity(
                    flow: Flow(source: name, destination: .agent(name)), incarnation: incarnation,
                    sequence: 0),
                kind: kind, type: "synmesh", sent: now, contentEncoding: .json,
                content: Array(String(number).utf8)))
    }
}

extension Int64 {
    fileprivate var asByte: UInt8? { UInt8(exactly: self) }
}

extension SeedMessage {
    /// Reads a message that is parsed already.
    init(_ value: Value) throws(WireError) {
        guard let to = value["to"]?.string else { throw .notSeedWire("'to' is missing") }
        self.init(
            from: value["from"]?.string ?? "", to: to, type: value["type"]?.string ?? "message",
            content: value["content"] ?? .null)
    }
}
