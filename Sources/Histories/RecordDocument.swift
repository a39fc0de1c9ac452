internal import Analysis
internal import Foundation
public import JSON
public import Recording
internal import Wire

/// Records as JSON documents, for programs.
public enum RecordDocument {
    /// Everything that is known of a record.
    ///
    /// JSON content is `content`; other content is `content_base64`; of a content above the writer's
    /// limit there are `digest` and `length`.
    public static func value(_ record: RecordView, _ kind: RecordKind) -> Value {
        var members: [String: Value] = [
            "recorded": .string(Timestamp.text(record.observed)),
            "recorded_ns": .string(String(record.observed)),
            "sent_ns": .string(String(record.sent)),
            "agent": .string(kind.agent), "direction": .string(kind.direction.rawValue),
            "lane": .string(kind.lane.rawValue), "transport": .string(kind.transport),
            "source": .string(kind.flow.source),
            "destination": .string(kind.flow.destination.description),
            "incarnation": Value(kind.incarnation), "sequence": Value(record.sequence),
            "type": .string(kind.type),
        ]
        members.merge(content(record, kind)) { one, _ in one }
        return .object(members)
    }

    /// The members that say the content.
    static func content(_ record: RecordView, _ kind: RecordKind) -> [String: Value] {
        switch record.content {
        case .digest(let digest, let length):
            ["digest": .string(ContentDigest.text(digest)), "length": Value(length)]
        case .bytes(let bytes):
            if kind.contentEncoding.isJSON, let value = try? Value(parsing: bytes) {
                ["content": value]
            } else {
                ["content_base64": .string(Data(bytes).base64EncodedString())]
            }
        }
    }

    /// The content as far as a line bears it.
    public static func excerpt(_ record: RecordView, _ kind: RecordKind) -> String {
        switch record.content {
        case .digest(let digest, let length): "\(length) bytes, \(ContentDigest.text(digest))"
        case .bytes(let bytes):
            if kind.contentEncoding.isJSON, let value = try? Value(parsing: bytes) {
                value.canonical
            } else {
                "\(bytes.count) bytes, \(ContentDigest.text(ContentDigest.xxh3(bytes)))"
            }
        }
    }
}
