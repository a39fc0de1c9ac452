internal import JSON
internal import Wire

/// Makes of a file's records what they say.
struct RecordInterpreter: Sendable {
    /// What a record says.
    enum Item {
        case record(RecordView)
        case annotation(AnnotationView)
    }

    private enum Use: Sendable {
        case envelopes(kind: Int, high: UInt64, isDigest: Bool)
        case annotations
        case foreign
    }

    /// The process that recorded.
    private(set) var process = ""
    /// What records have in common, by number.
    private(set) var kinds: [RecordKind] = []

    private var numbers: [RecordKind: Int] = [:]
    /// What channels are for, by their ids.
    private var uses: [Use?] = []
    private var foreignCount = 0
    private var malformedCount = 0

    /// What could not be made sense of.
    var notes: [String] {
        var notes: [String] = []
        if malformedCount > 0 {
            notes.append("messages that could not be understood: \(malformedCount)")
        }
        if foreignCount > 0 {
            notes.append("messages of channels that are none of ours: \(foreignCount)")
        }
        return notes
    }

    /// Notes that an annotation could not be understood.
    mutating func noteMalformed() { malformedCount += 1 }

    /// What a walk met; nil where it is nothing to hand out.
    mutating func take(_ event: borrowing RecordWalk.Event) -> Item? {
        switch event {
        case .message(let message): return item(message)
        case .channel(let record, _): define(record)
        case .metadata(let name, let members):
            if name == HistoryFormat.metadataName, let process = members["process"] {
                self.process = process
            }
        case .header, .schema: break
        }
        return nil
    }

    private mutating func define(_ record: ChannelRecord) {
        let missing = Int(record.id) + 1 - uses.count
        if missing > 0 { uses.append(contentsOf: repeatElement(nil, count: missing)) }
        if let channel = record.channel {
            uses[Int(record.id)] = .envelopes(
                kind: number(of: RecordKind(channel, agent: record.agent)),
                high: UInt64(channel.sequenceHigh) << 32, isDigest: channel.isDigest)
        } else {
            uses[Int(record.id)] =
                record.topic == Channel.annotationsTopic ? .annotations : .foreign
        }
    }

    private mutating func number(of kind: RecordKind) -> Int {
        if let number = numbers[kind] { return number }
        numbers[kind] = kinds.count
        kinds.append(kind)
        return kinds.count - 1
    }

    private mutating func item(_ message: MessageRecord) -> Item? {
        guard Int(message.channel) < uses.count else { return nil }
        switch uses[Int(message.channel)] {
        case .envelopes(let kind, let high, let isDigest):
            var recorded: ContentFingerprint?
            if isDigest {
                guard case .digest(let digest, let length)? = Content(digest: message.data) else {
                    malformedCount += 1
                    return nil
                }
                recorded = ContentFingerprint(digest: digest, length: length)
            }
            return .record(
                RecordView(
                    kind: kind, sequence: high | UInt64(message.sequence), message: message,
                    recorded: recorded))
        case .annotations: return .annotation(AnnotationView(data: message.data))
        case .foreign: foreignCount += 1
        case nil: break
        }
        return nil
    }
}

extension RecordKind {
    fileprivate init(_ channel: Channel, agent: String) {
        self.init(
            agent: agent, flow: channel.flow, incarnation: channel.incarnation,
            type: channel.type, transport: channel.transport, direction: channel.direction,
            lane: channel.lane, hops: channel.hops, contentEncoding: channel.contentEncoding,
            delivery: channel.delivery)
    }
}

extension Content {
    /// Reads what stands in place of a content above the writer's limit.
    init?(digest json: UnsafeRawBufferPointer) {
        guard let value = try? Value(parsing: json),
            let digest = value["digest"]?.string.flatMap({ ContentDigest.value(of: $0) }),
            let length = value["length"]?.integer.flatMap({ Int(exactly: $0) }), length >= 0
        else { return nil }
        self = .digest(digest, length: length)
    }
}
