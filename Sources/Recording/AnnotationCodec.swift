internal import JSON
internal import Wire

/// Annotations as the JSON objects of the annotations' channel.
///
/// Written by hand, because a cause stands beside every answer that an agent sends. Numbers above
/// `Int64.max` are strings: no JSON reader would keep them otherwise.
extension Annotation {
    var json: [UInt8] {
        var text = JSONObjectText()
        switch self {
        case .cause(let identity, let by, let at):
            text.begin("cause", at: at)
            text.append("of", identity.causationID)
            text.append("by", by.causationID)
        case .subscribed(let agent, let topic, let at):
            text.begin("subscribed", at: at)
            text.append("agent", agent)
            text.append("topic", topic)
        case .unsubscribed(let agent, let topic, let at):
            text.begin("unsubscribed", at: at)
            text.append("agent", agent)
            text.append("topic", topic)
        case .dropped(let identity, let reason, let by, let at):
            text.begin("dropped", at: at)
            text.append("envelope", identity.causationID)
            text.append("reason", reason)
            text.append("by", by)
        case .repeatDropped(let identity, let transport, let by, let at):
            text.begin("repeat_dropped", at: at)
            text.append("envelope", identity.causationID)
            text.append("transport", transport)
            text.append("by", by)
        case .gap(let flow, let incarnation, let from, let through, let reason, let by, let at):
            text.begin("gap", at: at)
            text.append("source", flow.source)
            text.append("destination", flow.destination.description)
            text.append("incarnation", UInt64(incarnation))
            text.append("from", from)
            text.append("through", through)
            text.append("reason", reason)
            text.append("by", by)
        case .late(let identity, let by, let at):
            text.begin("late", at: at)
            text.append("envelope", identity.causationID)
            text.append("by", by)
        case .contentRead(let identity, let pool, let isVerified, let by, let at):
            text.begin("content_read", at: at)
            text.append("envelope", identity.causationID)
            text.append("pool", pool)
            text.append("verified", isVerified)
            text.append("by", by)
        case .contentUnreadable(let identity, let pool, let reason, let by, let at):
            text.begin("content_unreadable", at: at)
            text.append("envelope", identity.causationID)
            text.append("pool", pool)
            text.append("reason", reason)
            text.append("by", by)
        case .unreadable(let count, let from, let reason, let by, let at):
            text.begin("unreadable", at: at)
            text.append("count", UInt64(max(0, count)))
            text.append("from", from)
            text.append("reason", reason)
            text.append("by", by)
        case .acknowledged(let flow, let incarnation, let through, let by, let at):
            text.begin("acknowledged", at: at)
            text.append("source", flow.source)
            text.append("destination", flow.destination.description)
            text.append("incarnation", UInt64(incarnation))
            text.append("through", through)
            text.append("by", by)
        case .refused(let destination, let type, let reason, let by, let at):
            text.begin("refused", at: at)
            text.append("destination", destination.description)
            text.append("type", type)
            text.append("reason", reason)
            text.append("by", by)
        case .blind(let reason, let by, let at):
            text.begin("blind", at: at)
            text.append("reason", reason)
            text.append("by", by)
        case .note(let note, let at):
            text.begin("note", at: at)
            text.append("text", note)
        }
        return text.end()
    }

    /// Reads what `json` wrote; `nil` where it is nothing that we know.
    init?(json: UnsafeRawBufferPointer) {
        guard let value = try? Value(parsing: json), let name = value["annotation"]?.string,
            let at = value.number("at")
        else { return nil }
        switch name {
        case "cause":
            guard let identity = value.identity("of"), let by = value.identity("by") else {
                return nil
            }
            self = .cause(of: identity, by: by, at: at)
        case "subscribed", "unsubscribed":
            guard let agent = value["agent"]?.string, let topic = value["topic"]?.string else {
                return nil
            }
            self =
                name == "subscribed"
                ? .subscribed(agent: agent, topic: topic, at: at)
                : .unsubscribed(agent: agent, topic: topic, at: at)
        case "dropped":
            guard let identity = value.identity("envelope"),
                let reason = value["reason"]?.string, let by = value["by"]?.string
            else { return nil }
            self = .dropped(identity, reason: reason, by: by, at: at)
        case "repeat_dropped":
            guard let identity = value.identity("envelope"),
                let transport = value["transport"]?.string, let by = value["by"]?.string
            else { return nil }
            self = .repeatDropped(identity, transport: transport, by: by, at: at)
        case "acknowledged":
            guard let source = value["source"]?.string,
                let destination = value["destination"]?.string,
                let incarnation = value.number("incarnation").flatMap({ UInt32(exactly: $0) }),
                let through = value.number("through"), let by = value["by"]?.string
            else { return nil }
            self = .acknowledged(
                flow: Flow(source: source, destination: Address(destination)),
                incarnation: incarnation, through: through, by: by, at: at)
        case "gap":
            guard let gap = Annotation(gap: value, at: at) else { return nil }
            self = gap
        case "late":
            guard let identity = value.identity("envelope"), let by = value["by"]?.string else {
                return nil
            }
            self = .late(identity, by: by, at: at)
        case "content_read", "content_unreadable":
            guard let content = Annotation(content: value, named: name, at: at) else {
                return nil
            }
            self = content
        case "unreadable":
            guard let count = value.number("count").flatMap({ Int(exactly: $0) }),
                let from = value["from"]?.string, let reason = value["reason"]?.string,
                let by = value["by"]?.string
            else { return nil }
            self = .unreadable(count: count, from: from, reason: reason, by: by, at: at)
        case "refused":
            guard let destination = value["destination"]?.string, let type = value["type"]?.string,
                let reason = value["reason"]?.string, let by = value["by"]?.string
            else { return nil }
            self = .refused(
                to: Address(destination), type: type, reason: reason, by: by, at: at)
        case "blind":
            guard let reason = value["reason"]?.string, let by = value["by"]?.string else {
                return nil
            }
            self = .blind(reason: reason, by: by, at: at)
        case "note":
            guard let text = value["text"]?.string else { return nil }
            self = .note(text, at: at)
        default: return nil
        }
    }

    private init?(content value: Value, named name: String, at: UInt64) {
        guard let identity = value.identity("envelope"), let pool = value["pool"]?.string,
            let by = value["by"]?.string
        else { return nil }
        if name == "content_read" {
            guard let isVerified = value["verified"]?.bool else { return nil }
            self = .contentRead(identity, pool: pool, isVerified: isVerified, by: by, at: at)
        } else {
            guard let reason = value["reason"]?.string else { return nil }
            self = .contentUnreadable(identity, pool: pool, reason: reason, by: by, at: at)
        }
    }

    private init?(gap value: Value, at: UInt64) {
        guard let source = value["source"]?.string,
            let destination = value["destination"]?.string,
            let incarnation = value.number("incarnation").flatMap({ UInt32(exactly: $0) }),
            let from = value.number("from"), let through = value.number("through"),
            let reason = value["reason"]?.string, let by = value["by"]?.string
        else { return nil }
        self = .gap(
            flow: Flow(source: source, destination: Address(destination)),
            incarnation: incarnation, from: from, through: through, reason: reason, by: by, at: at)
    }
}

extension Value {
    fileprivate func number(_ name: String) -> UInt64? {
        switch self[name] {
        case .integer(let number): UInt64(exactly: number)
        case .string(let text): UInt64(text)
        default: nil
        }
    }

    fileprivate func identity(_ name: String) -> Identity? {
        self[name]?.string.flatMap { Identity(causationID: $0) }
    }
}

/// The text of one flat JSON object, member by member.
struct JSONObjectText {
    private var bytes: [UInt8] = []

    mutating func begin(_ annotation: String, at: UInt64) {
        append("annotation", annotation)
        append("at", at)
    }

    mutating func append(_ name: StaticString, _ number: UInt64) {
        append(name: name)
        let isLarge = number > UInt64(Int64.max)
        if isLarge { bytes.append(UInt8(ascii: "\"")) }
        bytes.append(contentsOf: String(number).utf8)
        if isLarge { bytes.append(UInt8(ascii: "\"")) }
    }

    mutating func append(_ name: StaticString, _ truth: Bool) {
        append(name: name)
        bytes.append(contentsOf: (truth ? "true" : "false").utf8)
    }

    mutating func append(_ name: StaticString, _ text: String) {
        append(name: name)
        let isPlain = text.utf8.allSatisfy { byte in
            byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
        }
        if isPlain {
            bytes.append(UInt8(ascii: "\""))
            bytes.append(contentsOf: text.utf8)
            bytes.append(UInt8(ascii: "\""))
        } else {
            bytes.append(contentsOf: Value.string(text).canonical.utf8)
        }
    }

    mutating func end() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    private mutating func append(name: StaticString) {
        bytes.append(bytes.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: [UInt8(ascii: "\""), UInt8(ascii: ":")])
    }
}
