public import JSON

/// The seed's wire: one JSON object `{"from", "to", "type", "content"}` a message.
///
/// It carries no identity; who stamps one (a proxy, for an agent that speaks only this) does so
/// when the message passes.
public struct SeedMessage: Hashable, Sendable {
    /// The sender's name.
    public var from: String
    /// The receiver's name.
    public var to: String
    /// The message type.
    public var type: String
    /// The content, any JSON value.
    public var content: Value

    /// Makes a message.
    public init(from: String, to: String, type: String, content: Value) {
        self.from = from
        self.to = to
        self.type = type
        self.content = content
    }

    /// Reads a message; unknown members are ignored, as the seed's agents add their own.
    ///
    /// - Throws: `WireError.notSeedWire` with the reason.
    public init(parsing bytes: [UInt8]) throws(WireError) {
        let value: Value
        do throws(ParseError) {
            value = try Value(parsing: bytes)
        } catch {
            throw .notSeedWire(error.description)
        }
        guard let to = value["to"]?.string else { throw .notSeedWire("'to' is missing") }
        self.init(
            from: value["from"]?.string ?? "", to: to, type: value["type"]?.string ?? "message",
            content: value["content"] ?? .null)
    }

    /// The message's bytes.
    public var bytes: [UInt8] {
        let object: Value = [
            "from": .string(from), "to": .string(to), "type": .string(type), "content": content,
        ]
        return Array(object.canonical.utf8)
    }

    /// What an agent that speaks only the seed's wire receives for `envelope`.
    ///
    /// Binary content becomes `{"encoding": "base64", "data": …}`.
    public init(_ envelope: Envelope) {
        let content: Value
        if envelope.contentEncoding.isJSON,
            let value = try? Value(parsing: envelope.content)
        {
            content = value
        } else {
            content = ["encoding": "base64", "data": .string(Base64.encode(envelope.content))]
        }
        self.init(
            from: envelope.source, to: envelope.destination.name, type: envelope.type,
            content: content)
    }
}

/// Base64 (RFC 4648, section 4), with padding.
public enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The text of `bytes`.
    public static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let one = bytes[start]
            let two = start + 1 < bytes.count ? bytes[start + 1] : 0
            let three = start + 2 < bytes.count ? bytes[start + 2] : 0
            text.append(alphabet[Int(one >> 2)])
            text.append(alphabet[Int((one & 3) << 4 | two >> 4)])
            text.append(
                start + 1 < bytes.count
                    ? alphabet[Int((two & 15) << 2 | three >> 6)] : UInt8(ascii: "="))
            text.append(
                start + 2 < bytes.count ? alphabet[Int(three & 63)] : UInt8(ascii: "="))
        }
        return String(decoding: text, as: UTF8.self)
    }
}
