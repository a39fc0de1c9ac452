internal import Analysis
internal import Foundation
internal import JSON
internal import Recording
internal import Wire

/// Takes turns, one after the other.
protocol ExportWriter: AnyObject {
    func write(_ turn: Turn) throws(ExportError)
    /// Completes what was written, and says which files there are.
    func finish() throws(ExportError) -> [ExportedFile]
}

/// Formats of a line for each turn, in one file for each part.
final class TextExport: ExportWriter {
    private let line: (Turn) -> String
    private let train: ExportFile
    private let validation: ExportFile?

    /// Creates the files: one, or one for each part.
    ///
    /// - Parameters:
    ///   - directory: Where.
    ///   - suffix: How the files' names end.
    ///   - isDivided: Whether there is a validation part.
    ///   - head: A first line.
    ///   - line: What a turn becomes.
    /// - Throws: `ExportError` where one cannot be created.
    init(
        directory: String, suffix: String, isDivided: Bool, head: String? = nil,
        line: @escaping (Turn) -> String
    ) throws(ExportError) {
        self.line = line
        let name = isDivided ? "train" : "turns"
        train = try ExportFile(directory: directory, name: "\(name).\(suffix)")
        validation =
            isDivided ? try ExportFile(directory: directory, name: "validation.\(suffix)") : nil
        if let head {
            try train.write(head)
            try validation?.write(head)
        }
    }

    func write(_ turn: Turn) throws(ExportError) {
        try (turn.isValidation ? validation ?? train : train).write(record: line(turn))
    }

    func finish() throws(ExportError) -> [ExportedFile] {
        [try train.finish()]
            + (try validation.map { file throws(ExportError) in [try file.finish()] } ?? [])
    }
}

/// What each format makes of a turn.
enum TurnText {
    /// A JSON object: who said what to whom, in which conversation, and in answer to what.
    static func jsonLine(_ turn: Turn) -> String {
        var members: [String: Value] = [
            "id": .string(turn.identity.causationID),
            "conversation": .string(turn.conversation.causationID), "depth": Value(turn.depth),
            "cause": turn.cause.map { .string($0.causationID) } ?? .null,
            "source": .string(turn.identity.flow.source),
            "destination": .string(turn.identity.flow.destination.description),
            "type": .string(turn.type), "agent": .string(turn.agent),
            "direction": .string(turn.direction.rawValue), "transport": .string(turn.transport),
            "time": .string(Timestamp.text(turn.sent)), "sent_ns": .string(String(turn.sent)),
            "recorded_ns": .string(String(turn.recorded)),
        ]
        members.merge(content(turn)) { one, _ in one }
        return Value.object(members).canonical
    }

    private static func content(_ turn: Turn) -> [String: Value] {
        if let json = turn.json { return ["content": json] }
        switch turn.content {
        case .bytes(let bytes):
            return ["content_base64": .string(Data(bytes).base64EncodedString())]
        case .digest(let digest, let length):
            return ["digest": .string(ContentDigest.text(digest)), "length": Value(length)]
        }
    }

    /// A CloudEvents 1.0 event in the JSON format, with the attributes that it has on NATS.
    ///
    /// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
    static func cloudEvent(_ turn: Turn) -> String {
        let identity = turn.identity
        let digits = String(identity.sequence)
        var members: [String: Value] = [
            "specversion": "1.0", "source": .string(reference(identity.flow.source)),
            "id": .string(
                "\(identity.incarnation)/\(identity.flow.destination)/\(identity.sequence)"),
            "type": .string(turn.type), "time": .string(Timestamp.text(turn.sent)),
            "subject": .string(identity.flow.destination.description),
            "sequence": .string(String(repeating: "0", count: 20 - digits.count) + digits),
            "incarnation": .string(String(identity.incarnation)),
            "destination": .string(identity.flow.destination.description),
            "sent": .string(String(turn.sent)),
        ]
        if let cause = turn.cause { members["causationid"] = .string(cause.causationID) }
        members["correlationid"] = .string(turn.conversation.causationID)
        if let json = turn.json {
            members["datacontenttype"] = "application/json"
            members["data"] = json
            if turn.contentEncoding == .descriptor, case .bytes(let bytes) = turn.content,
                let descriptor = PointCloudDescriptor(parsing: bytes)
            {
                members["dataref"] = .string(descriptor.reference)
            }
        } else {
            switch turn.content {
            case .bytes(let bytes):
                members["datacontenttype"] = "application/octet-stream"
                members["data_base64"] = .string(Data(bytes).base64EncodedString())
            case .digest(let digest, let length):
                members["datadigest"] = .string(ContentDigest.text(digest))
                members["datalength"] = .string(String(length))
            }
        }
        return Value.object(members).canonical
    }

    /// A name as a URI reference (RFC 3986): what may not stand in one is escaped.
    private static func reference(_ name: String) -> String {
        var text = ""
        for byte in name.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                text += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return text
    }

    static let columns = [
        "id", "conversation", "depth", "cause", "source", "destination", "incarnation", "sequence",
        "type", "agent", "direction", "transport", "sent_ns", "recorded_ns", "encoding", "content",
        "digest", "length",
    ]

    /// The fields of a turn, as a table has them; contents that are no JSON are base64.
    static func fields(_ turn: Turn) -> [String?] {
        var (encoding, content, digest, length): (String, String?, String?, Int)
        switch turn.content {
        case .bytes(let bytes):
            length = bytes.count
            digest = nil
            if turn.contentEncoding.isJSON {
                (encoding, content) = ("json", String(decoding: bytes, as: UTF8.self))
            } else {
                (encoding, content) = ("base64", Data(bytes).base64EncodedString())
            }
        case .digest(let value, let count):
            (encoding, content) = ("digest", nil)
            (digest, length) = (ContentDigest.text(value), count)
        }
        let identity = turn.identity
        return [
            identity.causationID, turn.conversation.causationID, String(turn.depth),
            turn.cause?.causationID, identity.flow.source, identity.flow.destination.description,
            String(identity.incarnation), String(identity.sequence), turn.type, turn.agent,
            turn.direction.rawValue, turn.transport, String(turn.sent), String(turn.recorded),
            encoding, content, digest, String(length),
        ]
    }

    /// A line of comma-separated values (RFC 4180, with a line feed).
    static func csvLine(_ fields: [String?]) -> String {
        fields.map { field in
            guard let field else { return "" }
            let isPlain = !field.utf8.contains { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }
            return isPlain ? field : "\"" + field.replacing("\"", with: "\"\"") + "\""
        }.joined(separator: ",")
    }
}
