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
        try self.init(value)
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
        if envelope.contentEncoding == .json,
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

    /// The bytes of the message that `envelope` becomes, with JSON content as its sender wrote it.
    ///
    /// A number that no double holds is passed on digit by digit.
    public static func bytes(of envelope: Envelope) -> [UInt8] {
        let message = SeedMessage(envelope)
        guard envelope.contentEncoding.isJSON, (try? Value(parsing: envelope.content)) != nil
        else { return message.bytes }
        func member(_ name: String, _ text: String) -> [UInt8] {
            Array("\"\(name)\":\(Value.string(text).canonical)".utf8)
        }
        var bytes = Array("{".utf8) + member("from", message.from) + Array(",".utf8)
        bytes += member("to", message.to) + Array(",".utf8)
        bytes += member("type", message.type) + Array(",\"content\":".utf8)
        return bytes + envelope.content + Array("}".utf8)
    }

    /// The content of a message, which `init(parsing:)` takes, as its sender wrote it; nil where it
    /// has none that can be cut out.
    public static func content(of bytes: [UInt8]) -> [UInt8]? {
        var scan = MemberScan(bytes: bytes)
        return scan.value(of: "content")
    }
}

/// Finds a member of a JSON object that is known to be one, without reading its value.
private struct MemberScan {
    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// The bytes of the last member of that name.
    mutating func value(of name: String) -> [UInt8]? {
        var found: [UInt8]?
        skipBlanks()
        guard take(UInt8(ascii: "{")) else { return nil }
        while true {
            skipBlanks()
            guard let key = string() else { return found }
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { return nil }
            skipBlanks()
            let start = position
            skipValue()
            guard position > start, position < bytes.count else { return nil }
            if key == Array(name.utf8) {
                var end = position
                while Self.isBlank(bytes[end - 1]) { end -= 1 }
                found = Array(bytes[start..<end])
            }
            guard take(UInt8(ascii: ",")) else { return found }
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    private mutating func skipBlanks() {
        while position < bytes.count, Self.isBlank(bytes[position]) { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    /// What stands between two quotation marks, escapes as they are.
    private mutating func string() -> [UInt8]? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return Array(bytes[start..<(position - 1)])
            case UInt8(ascii: "\\"): position += 2
            default: position += 1
            }
        }
        return nil
    }

    /// Up to the comma or the brace that ends the member.
    private mutating func skipValue() {
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                _ = string()
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return }
                depth -= 1
            case UInt8(ascii: ",") where depth == 0: return
            default: break
            }
            position += 1
        }
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

    /// The bytes of base64 text (RFC 4648, section 4, padded), or nil.
    public static func decode(_ text: String) -> [UInt8]? {
        guard text.utf8.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 4 * 3)
        var group: UInt32 = 0
        var digits = 0
        var padding = 0
        for character in text.utf8 {
            let digit: UInt8
            switch character {
            case 0x41...0x5A: digit = character - 0x41
            case 0x61...0x7A: digit = character - 0x61 + 26
            case 0x30...0x39: digit = character - 0x30 + 52
            case 0x2B: digit = 62
            case 0x2F: digit = 63
            case 0x3D:
                padding += 1
                digit = 0
            default: return nil
            }
            guard padding == 0 || character == 0x3D, padding <= 2 else { return nil }
            group = group << 6 | UInt32(digit)
            digits += 1
            if digits == 4 {
                bytes.append(UInt8(group >> 16 & 0xFF))
                if padding < 2 { bytes.append(UInt8(group >> 8 & 0xFF)) }
                if padding < 1 { bytes.append(UInt8(group & 0xFF)) }
                group = 0
                digits = 0
            }
        }
        return bytes
    }
}
