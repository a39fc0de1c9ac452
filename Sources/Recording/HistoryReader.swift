internal import JSON
internal import Wire

/// Reads histories: live, closed, sealed, cut or damaged.
public enum HistoryReader {
    /// Reads the history at `path`.
    ///
    /// A file that is still being written is read as it stands. What is intact before a damage is
    /// read, and so are the intact chunks of a sealed file; what was wrong with the file stands in
    /// the history's `notes`.
    ///
    /// - Throws: `HistoryError` when the file cannot be opened or read, or is not an MCAP file.
    public static func read(path: String) throws(HistoryError) -> History {
        var builder = HistoryBuilder()
        var walk = RecordWalk()
        try walk.run(path: path) { event in builder.take(event) }
        return builder.history(notes: walk.notes)
    }
}

/// Makes values of the records of a file.
private struct HistoryBuilder {
    private enum Kind {
        case envelopes(Channel)
        case annotations
        case foreign
    }

    private var history = History(process: "")
    private var kinds: [UInt16: (kind: Kind, agent: String)] = [:]
    // The channel of the message before: messages of one channel come in runs.
    private var lastID: UInt16 = 0
    private var last: (kind: Kind, agent: String)?
    private var foreignCount = 0
    private var malformedCount = 0

    mutating func take(_ event: RecordWalk.Event) {
        switch event {
        case .metadata(let name, let members):
            if name == HistoryFormat.metadataName, let process = members["process"] {
                history.process = process
            }
        case .channel(let record, _):
            let kind: Kind =
                if let channel = record.channel {
                    .envelopes(channel)
                } else if record.topic == Channel.annotationsTopic {
                    .annotations
                } else {
                    .foreign
                }
            kinds[record.id] = (kind, record.agent)
            last = nil
        case .message(let message):
            take(message)
        case .header, .schema: break
        }
    }

    private mutating func take(_ message: MessageRecord) {
        if message.channel != lastID || last == nil {
            lastID = message.channel
            last = kinds[message.channel]
        }
        guard let (kind, agent) = last else { return }
        switch kind {
        case .envelopes(let channel):
            let content: Content
            if channel.isDigest {
                guard let digest = Content(digest: message.data) else {
                    malformedCount += 1
                    return
                }
                content = digest
            } else {
                content = .bytes([UInt8](message.data))
            }
            let sequence = UInt64(channel.sequenceHigh) << 32 | UInt64(message.sequence)
            history.records.append(
                HistoryRecord(
                    agent: agent,
                    identity: Identity(
                        flow: channel.flow, incarnation: channel.incarnation, sequence: sequence),
                    type: channel.type, transport: channel.transport,
                    direction: channel.direction, lane: channel.lane, sent: message.published,
                    observed: message.logged, hops: channel.hops,
                    contentEncoding: channel.contentEncoding, content: content))
        case .annotations:
            if let annotation = Annotation(json: message.data) {
                history.annotations.append(annotation)
            } else {
                malformedCount += 1
            }
        case .foreign:
            foreignCount += 1
        }
    }

    consuming func history(notes: [String]) -> History {
        history.notes = notes
        if malformedCount > 0 {
            history.notes.append("messages that could not be understood: \(malformedCount)")
        }
        if foreignCount > 0 {
            history.notes.append("messages of channels that are none of ours: \(foreignCount)")
        }
        return history
    }
}

extension Content {
    fileprivate init?(digest json: UnsafeRawBufferPointer) {
        guard let value = try? Value(parsing: json),
            let digest = value["digest"]?.string.flatMap({ ContentDigest.value(of: $0) }),
            let length = value["length"]?.integer.flatMap({ Int(exactly: $0) }), length >= 0
        else { return nil }
        self = .digest(digest, length: length)
    }
}
