internal import Glibc
internal import JSON
internal import Wire

/// The file beside an agent's histories that says what stands in those of its former incarnations of
/// the class `at_least_once`, so that they need not all be read at each start.
///
/// It is written when an incarnation has begun, and now and then while it lives; then it also says up to
/// where it knows the living history. It takes the place of the one before in one step: it is whole or
/// it is the former one, whenever its writer dies. What it says stands in the histories as well. Where
/// it is damaged, not there, or knows a place that is none, they are read.
///
///     the text "synmesh kept 1\n"
///     4 bytes: length of what follows; JSON: {"agent", "incarnation", "envelopes": count,
///              "marks": [{"source", "destination", "incarnation", "next", "abandoned": [[from, through]]}],
///              "place": {"offset", "channels": [base64]}, which may be absent}
///     each envelope: 4 bytes, its header; 8 bytes, its content
///     8 bytes: XXH3 of all before
public enum KeptFile {
    private static let magic = Array("synmesh kept 1\n".utf8)
    /// More than an outbox can hold.
    private static let bytesMax = 1 << 30

    /// Where it is.
    ///
    /// - Parameters:
    ///   - history: The present incarnation's history, `NAME.INCARNATION.mcap`.
    ///   - incarnation: The present one.
    /// - Returns: Nil where the history is named otherwise.
    static func path(beside history: String, incarnation: UInt32) -> String? {
        let suffix = ".\(incarnation).mcap"
        return history.hasSuffix(suffix) ? history.dropLast(suffix.count) + ".kept" : nil
    }

    /// Says what the histories before an incarnation hold.
    ///
    /// - Parameters:
    ///   - past: What they hold.
    ///   - history: The incarnation's own history.
    ///   - incarnation: The incarnation.
    ///   - place: Up to where its own history is part of what they hold; nil: nothing of it is.
    /// - Throws: `HistoryError` where it cannot be written.
    public static func write(
        _ past: OwnHistory, beside history: String, before incarnation: UInt32,
        and place: HistoryPlace? = nil
    ) throws(HistoryError) {
        guard let path = path(beside: history, incarnation: incarnation) else { return }
        let draft = "\(path).\(getpid())"
        do {
            let file = try OpenFile(draft, O_WRONLY | O_CREAT | O_TRUNC, attempt: .write)
            try file.write(bytes(of: past, incarnation, place), at: 0, attempt: .write)
        }
        guard rename(draft, path) == 0 else { throw .last(.write, path) }
    }

    private static func bytes(
        of past: OwnHistory, _ incarnation: UInt32, _ place: HistoryPlace?
    ) -> [UInt8] {
        let envelopes = past.unacknowledged
        var about: [String: Value] = [
            "agent": .string(past.agent), "incarnation": .integer(Int64(incarnation)),
            "envelopes": .integer(Int64(envelopes.count)),
            "marks": .array(
                past.marks.map { mark in
                    [
                        "source": .string(mark.flow.source),
                        "destination": .string(mark.flow.destination.description),
                        "incarnation": .integer(Int64(mark.incarnation)),
                        "next": .integer(Int64(clamping: mark.next)),
                        "abandoned": .array(
                            mark.abandoned.map {
                                [
                                    .integer(Int64(clamping: $0.lowerBound)),
                                    .integer(Int64(clamping: $0.upperBound)),
                                ]
                            }),
                    ]
                }),
        ]
        about["place"] = place?.json
        var bytes = magic
        bytes.append(prefixed: Value.object(about).canonical)
        for envelope in envelopes {
            let header = envelope.header
            bytes.append(integer: UInt32(header.count))
            bytes += header
            bytes.append(integer: UInt64(envelope.contentSize))
            envelope.withContent { bytes.append(contentsOf: $0) }
        }
        bytes.append(integer: ContentDigest.xxh3(bytes))
        return bytes
    }

    /// What one says.
    struct Contents {
        let past: OwnHistory
        let before: UInt32
        let place: HistoryPlace?
    }

    /// Reads what `write` wrote.
    ///
    /// - Returns: What it says and of which incarnations, or why nothing can be taken from it; nil
    ///   where there is none.
    /// - Throws: `HistoryError` where it is there and cannot be read.
    static func read(
        _ path: String, of agent: String
    ) throws(HistoryError) -> Result<Contents, Damage>? {
        guard access(path, F_OK) == 0 else { return nil }
        let file = try OpenFile(path, O_RDONLY, attempt: .read)
        let size = Int(try file.status(.read).st_size)
        guard size >= magic.count + 8, size <= bytesMax else { return .failure(.length) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { buffer.deallocate() }
        guard try file.read(into: buffer, at: 0) == size else { return .failure(.length) }
        let (content, sum) = (
            UnsafeRawBufferPointer(rebasing: buffer[..<(size - 8)]),
            UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: size - 8, as: UInt64.self))
        )
        guard ContentDigest.xxh3(content) == sum else { return .failure(.digest) }
        guard content.starts(with: magic),
            let found = parse(
                UnsafeRawBufferPointer(rebasing: content[magic.count...]), of: agent)
        else { return .failure(.sense) }
        return .success(found)
    }

    /// What is wrong with a file.
    enum Damage: String, Error {
        case length = "its length is not possible"
        case digest = "it is damaged"
        case sense = "it says nothing that makes sense"
    }

    private static func parse(
        _ bytes: UnsafeRawBufferPointer, of agent: String
    ) -> Contents? {
        var reader = FieldReader(bytes)
        guard let text = reader.text(), let about = try? Value(parsing: text),
            about["agent"]?.string == agent,
            let before = about["incarnation"]?.integer.flatMap(UInt32.init(exactly:)),
            let count = about["envelopes"]?.integer, let values = about["marks"]?.array
        else { return nil }
        var marks: [OwnHistory.Mark] = []
        for value in values {
            guard let mark = OwnHistory.Mark(value) else { return nil }
            marks.append(mark)
        }
        var envelopes: [Envelope] = []
        while !reader.rest.isEmpty {
            guard let length = reader.integer(UInt32.self), let header = reader.bytes(length),
                let size = reader.integer(UInt64.self), let content = reader.bytes(size),
                var envelope = try? Envelope(header: header)
            else { return nil }
            envelope.content = [UInt8](content)
            envelopes.append(envelope)
        }
        guard envelopes.count == count else { return nil }
        let place = about["place"].flatMap { HistoryPlace($0) }
        guard place != nil || about["place"] == nil else { return nil }
        return Contents(
            past: OwnHistory(agent: agent, marks: marks, unacknowledged: envelopes),
            before: before, place: place)
    }
}

extension OwnHistory.Mark {
    fileprivate init?(_ value: Value) {
        guard let source = value["source"]?.string, let destination = value["destination"]?.string,
            let incarnation = value["incarnation"]?.integer.flatMap(UInt32.init(exactly:)),
            let next = value["next"]?.integer.flatMap(UInt64.init(exactly:)), next >= 1,
            let pairs = value["abandoned"]?.array
        else { return nil }
        var abandoned: [ClosedRange<UInt64>] = []
        for pair in pairs {
            guard let bounds = pair.array?.compactMap(\.integer), bounds.count == 2,
                let from = UInt64(exactly: bounds[0]), let through = UInt64(exactly: bounds[1]),
                from <= through
            else { return nil }
            abandoned.append(from...through)
        }
        self.init(
            flow: Flow(source: source, destination: Address(destination)),
            incarnation: incarnation, next: next, abandoned: abandoned)
    }
}

extension OwnHistory {
    /// What the former incarnations recorded: what the file beside their histories says, and the
    /// histories that it does not speak of.
    ///
    /// - Parameters:
    ///   - agent: Whose histories they are.
    ///   - history: The present incarnation's, `NAME.INCARNATION.mcap`.
    ///   - incarnation: The present one.
    /// - Returns: Nil where there are no former incarnations, or the history is named otherwise.
    /// - Throws: `HistoryError` where something is there and cannot be read.
    public static func recalled(
        of agent: String, before history: String, incarnation: UInt32
    ) throws(HistoryError) -> OwnHistory? {
        guard incarnation > 1,
            let path = KeptFile.path(beside: history, incarnation: incarnation)
        else { return nil }
        let stem = path.dropLast(".kept".count)
        func read(_ past: inout OwnHistory, from first: UInt32) throws(HistoryError) {
            for former in first..<incarnation {
                // One that died before it had a history sent nothing.
                let path = "\(stem).\(former).mcap"
                if access(path, F_OK) == 0 { try past.read(path: path) }
            }
        }
        let problem: String
        switch try KeptFile.read(path, of: agent) {
        case nil: problem = ""
        case .failure(let damage): problem = damage.rawValue
        case .success(let found) where found.before > incarnation:
            problem = "it is of a later incarnation"
        case .success(let found):
            var past = found.past
            guard let place = found.place, found.before < incarnation else {
                try read(&past, from: found.before)
                return past
            }
            if try past.read(path: "\(stem).\(found.before).mcap", from: place) {
                try read(&past, from: found.before + 1)
                return past
            }
            problem = "the history has no such place"
        }
        var past = OwnHistory(agent: agent)
        if !problem.isEmpty {
            past.notes.append("\(path): \(problem); the histories were read instead")
        }
        try read(&past, from: 1)
        return past
    }
}
