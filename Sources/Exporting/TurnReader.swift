public import Analysis
internal import CXXHash
public import Histories
internal import JSON
internal import Recording
internal import Wire

/// What is exported, and how.
public struct ExportOptions: Sendable {
    /// What stands in the place of something private.
    public enum Redaction: Sendable {
        /// The text `[redacted]`.
        case replace
        /// A text that is the same for the same value and seed, and tells nothing else.
        case pseudonym
        /// Nothing at all.
        case remove
    }

    /// Which records.
    public var selection = RecordSelection()
    /// Each record as it was recorded, sent and delivered, instead of each envelope once.
    public var everyRecord = false
    /// What is done to contents, in this order.
    public var redactions: [(pattern: PathPattern, redaction: Redaction)] = []
    /// Which share of the conversations is the validation part.
    public var validationShare = 0.0
    /// What the parts and pseudonyms follow from.
    public var seed: UInt64 = 0

    /// Everything, as it is.
    public init() {}
}

/// Reads recordings turn by turn, in the order of recording.
///
/// Memory grows with the number of answers: about 150 bytes for each.
final class TurnReader {
    private let options: ExportOptions
    private let records: SelectedRecords
    private let senders: Set<String>
    private var causes: [Identity: Identity] = [:]
    private var seen: [StreamName: SequenceSet] = [:]

    private struct StreamName: Hashable {
        let flow: Flow
        let incarnation: UInt32
    }

    init(paths: [String], options: ExportOptions) throws(HistoryError) {
        self.options = options
        var senders: Set<String> = []
        // The causes of what is read stand behind it where another process recorded them.
        var survey = try MergedCursor(paths: paths)
        var known = 0
        while let item = try survey.next() {
            switch item {
            case .record:
                for kind in survey.kinds[known...]
                where kind.direction == .sent && kind.lane == .primary {
                    senders.insert(kind.flow.source)
                }
                known = survey.kinds.count
            case .annotation(let annotation):
                if annotation.isNamed("cause"),
                    case .cause(let of, let by, _)? = annotation.annotation
                {
                    causes[of] = by
                }
            }
        }
        self.senders = senders
        records = try SelectedRecords(paths: paths, selection: options.selection)
    }

    var notes: [String] { records.notes }

    func next() throws(HistoryError) -> Turn? {
        while let item = try records.next() {
            guard case .record(let record, let kind) = item else { continue }
            let view = record.view
            if !options.everyRecord {
                // Once, as its sender has it; else as it was first delivered.
                guard kind.lane == .primary,
                    kind.direction == .sent || !senders.contains(kind.flow.source),
                    seen[
                        StreamName(flow: kind.flow, incarnation: kind.incarnation),
                        default: SequenceSet()
                    ].insert(view.sequence)
                else { continue }
            }
            return turn(view, kind)
        }
        return nil
    }

    private func turn(_ view: RecordView, _ kind: RecordKind) -> Turn {
        let identity = Identity(
            flow: kind.flow, incarnation: kind.incarnation, sequence: view.sequence)
        let cause = causes[identity]
        var (root, depth) = (identity, 0)
        while let next = causes[root], depth < 100_000 {
            root = next
            depth += 1
        }
        return Turn(
            identity: identity, type: kind.type, agent: kind.agent, direction: kind.direction,
            transport: kind.transport, sent: view.sent, recorded: view.observed, cause: cause,
            conversation: root, depth: depth, contentEncoding: kind.contentEncoding,
            content: redacted(view.content, kind.contentEncoding),
            isValidation: isValidation(root))
    }

    private func redacted(
        _ content: Content, _ encoding: Envelope.ContentEncoding
    ) -> Content {
        guard !options.redactions.isEmpty, encoding.isJSON, case .bytes(let bytes) = content,
            let value = try? Value(parsing: bytes)
        else { return content }
        var now: Value? = value
        for (pattern, redaction) in options.redactions {
            now = now.flatMap { value in
                pattern.replacing(in: value) { secret in
                    switch redaction {
                    case .remove: nil
                    case .replace: .string("[redacted]")
                    case .pseudonym: .string(pseudonym(secret))
                    }
                }
            }
        }
        guard now != value else { return content }
        return .bytes(Array((now ?? .null).canonical.utf8))
    }

    private func pseudonym(_ value: Value) -> String {
        ContentDigest.text(hash(value.canonical))
    }

    private func isValidation(_ conversation: Identity) -> Bool {
        guard options.validationShare > 0 else { return false }
        // By the conversation, so that no part of one is in both.
        return Double(hash(conversation.causationID) >> 11) * 0x1p-53 < options.validationShare
    }

    private func hash(_ text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { XXH3_64bits_withSeed($0.baseAddress, $0.count, options.seed) }
    }
}
