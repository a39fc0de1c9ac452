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
        var follower = HistoryFollower(path: path)
        return try follower.read()
    }
}

/// Reads a history again and again while it is written, each time only what is new.
public struct HistoryFollower: Sendable {
    /// The file.
    public let path: String
    private var builder = HistoryBuilder()
    private var walk = RecordWalk()

    /// Names a file; nothing is read.
    public init(path: String) { self.path = path }

    /// The history as it stands now.
    ///
    /// A file in which anything was wrong, or that another one has replaced, is read from its start.
    ///
    /// - Throws: `HistoryError` when the file cannot be opened or read, or is not an MCAP file.
    public mutating func read() throws(HistoryError) -> History {
        if !walk.notes.isEmpty { forget() }
        do throws(HistoryError) {
            if try !walk.run(path: path, { event in builder.take(event) }) {
                forget()
                _ = try walk.run(path: path) { event in builder.take(event) }
            }
        } catch {
            forget()
            throw error
        }
        return builder.history(notes: walk.notes)
    }

    private mutating func forget() {
        builder = HistoryBuilder()
        walk = RecordWalk()
    }
}

/// Makes values of the records of a file.
private struct HistoryBuilder: Sendable {
    private enum Kind: Sendable {
        /// With the number of the records' kind.
        case envelopes(Channel, Int)
        case annotations
        case foreign
    }

    private var history = History(process: "")
    private var kinds: [UInt16: Kind] = [:]
    // The channel of the message before: messages of one channel come in runs.
    private var lastID: UInt16 = 0
    private var last: Kind?
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
                    .envelopes(
                        channel,
                        history.records.number(of: RecordKind(channel, agent: record.agent)))
                } else if record.topic == Channel.annotationsTopic {
                    .annotations
                } else {
                    .foreign
                }
            kinds[record.id] = kind
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
        switch last {
        case nil: return
        case .envelopes(let channel, let kind):
            let sequence = UInt64(channel.sequenceHigh) << 32 | UInt64(message.sequence)
            guard channel.isDigest else {
                history.records.append(
                    kind: kind, sequence: sequence, sent: message.published,
                    observed: message.logged, bytes: message.data)
                return
            }
            guard case .digest(let digest, let length)? = Content(digest: message.data) else {
                malformedCount += 1
                return
            }
            history.records.append(
                kind: kind, sequence: sequence, sent: message.published,
                observed: message.logged, digest: digest, length: length)
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

    func history(notes: [String]) -> History {
        var history = history
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
    fileprivate init?(digest json: UnsafeRawBufferPointer) {
        guard let value = try? Value(parsing: json),
            let digest = value["digest"]?.string.flatMap({ ContentDigest.value(of: $0) }),
            let length = value["length"]?.integer.flatMap({ Int(exactly: $0) }), length >= 0
        else { return nil }
        self = .digest(digest, length: length)
    }
}
