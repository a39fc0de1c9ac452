internal import Glibc
public import Wire

/// Writes one process's history.
///
/// Whatever `record` or `annotate` returned from is in the file: neither a crash of the process nor
/// a SIGKILL can take it away. (A crash of the machine can: nothing is forced to the disk.) A full
/// disk is an error of that one call; the file stays valid, and later calls may succeed.
///
/// ```swift
/// let writer = try HistoryWriter(path: "a.1.mcap", process: "a", clock: clock)
/// try writer.record(envelope, .sent, transport: "zmq")
/// try writer.seal()
/// ```
///
/// For one thread: it is not `Sendable`. The files can be read at any time, by anybody.
public final class HistoryWriter {
    /// The file; of a history that goes on in others, the first.
    public let path: String
    /// The process that records.
    public let process: String
    /// Contents longer than this are recorded as digest and length, but for those that their sender
    /// has to send again until they are acknowledged.
    public let contentLimit: Int
    /// Messages written, annotations included.
    public private(set) var messageCount: UInt64 = 0
    /// How many files the history has.
    public private(set) var partCount = 1
    /// How often it could not go on in another file and went on in the one that it had.
    public private(set) var rotationFailures = 0

    private static let annotationsID: UInt16 = 1

    private let clock: RunClock
    private let rotation: HistoryRotation?
    private var file: LiveFile?
    /// When the file was begun.
    private var began: UInt64
    /// Not before this many bytes is another file tried: after a failure further on than at first.
    private var rotateAt: Int
    private var channels = ChannelTable(last: HistoryWriter.annotationsID)
    private var annotationCount: UInt32 = 0

    /// Creates the file; one that exists is never touched.
    ///
    /// - Parameters:
    ///   - path: Where.
    ///   - process: The process that records.
    ///   - clock: The run's.
    ///   - contentLimit: Longer contents are recorded as digest and length.
    ///   - rotation: When to go on in `NAME.2.mcap`, `NAME.3.mcap` and so on; nil never.
    /// - Throws: `HistoryError` with `EEXIST` when there is a file at `path`.
    public init(
        path: String, process: String, clock: RunClock, contentLimit: Int = 65_536,
        rotation: HistoryRotation? = nil
    ) throws(HistoryError) {
        self.path = path
        self.process = process
        self.clock = clock
        self.contentLimit = contentLimit
        self.rotation = rotation
        began = clock.now
        rotateAt = rotation?.bytes ?? .max
        file = try LiveFile(path: path, prologue: Self.prologue(process, clock, part: 1))
    }

    private static func prologue(_ process: String, _ clock: RunClock, part: Int) -> [UInt8] {
        var prologue = MCAP.magic
        prologue.appendRecord(.header) { body in
            body.append(prefixed: HistoryFormat.profile)
            body.append(prefixed: "synmesh")
        }
        prologue.appendRecord(.metadata) { body in
            body.append(prefixed: HistoryFormat.metadataName)
            var members = [
                ("process", process), ("format", HistoryFormat.version),
                ("clock_offset", String(clock.offset)),
            ]
            if part > 1 { members.append(("part", String(part))) }
            body.append(map: members)
        }
        return prologue + Channel.annotationsRecord(id: Self.annotationsID, agent: process)
    }

    /// The file to write to: another one where the one that there is has become too large or too old.
    private func current(at now: @autoclosure () -> UInt64) throws(HistoryError) -> LiveFile {
        guard let file else { throw HistoryError(.record, path, .closed) }
        guard let rotation else { return file }
        let isFull = file.position >= rotateAt
        guard isFull || rotation.nanoseconds.map({ now() - began >= $0 }) ?? false else {
            return file
        }
        do throws(HistoryError) {
            let next = try LiveFile(
                path: HistoryRotation.path(of: partCount + 1, after: path),
                prologue: Self.prologue(process, clock, part: partCount + 1))
            // From here on it is the file, however the old one ends: that one is valid as it is.
            partCount += 1
            self.file = next
            began = clock.now
            rotateAt = rotation.bytes ?? .max
            channels = ChannelTable(last: Self.annotationsID)
            annotationCount = 0
            try? file.finish()
            return next
        } catch {
            // A large file is better than none.
            rotationFailures += 1
            rotateAt = file.position + (rotation.bytes ?? HistoryRotation.bytesMin)
            began = clock.now
            try? annotate(.note("The history goes on in this file: \(error).", at: clock.now))
            return file
        }
    }

    /// Records that an envelope was sent or delivered.
    ///
    /// The cause of what is sent is annotated with it, in one step.
    ///
    /// - Throws: `HistoryError`: the disk is full, no channel is left, or the writer was sealed.
    public func record(
        _ envelope: borrowing Envelope, _ direction: Direction, transport: String,
        lane: Lane = .primary
    ) throws(HistoryError) {
        let observed = clock.now
        let file = try current(at: observed)
        let isOwn = direction == .sent && lane == .primary
        // What may have to be sent again after a crash must be there whole.
        let limit = isOwn && envelope.delivery == .atLeastOnce ? Int.max : contentLimit
        let isAnswer = isOwn && envelope.cause != nil
        try envelope.withContent { content throws(HistoryError) in
            let record = Channel.Record(
                direction: direction, transport: transport, lane: lane,
                isDigest: content.count > limit)
            if !record.isDigest, !isAnswer, let id = channels.id(of: envelope, as: record) {
                try append(
                    content, channel: id, sequence: UInt32(truncatingIfNeeded: envelope.sequence),
                    sent: envelope.sent, observed: observed, to: file)
            } else {
                let kept = record.isDigest ? Self.digest(of: content) : nil
                try append(
                    envelope, as: record, isAnswer: isAnswer, kept, content, observed: observed,
                    to: file)
            }
        }
    }

    /// One message in a channel that the file has.
    private func append(
        _ content: UnsafeRawBufferPointer, channel: UInt16, sequence: UInt32, sent: UInt64,
        observed: UInt64, to file: LiveFile
    ) throws(HistoryError) {
        let count = RecordPen.messageLength(content.count)
        var pen = RecordPen(try file.reserve(count))
        pen.writeMessage(
            channel: channel, sequence: sequence, logged: observed, published: sent, data: content)
        file.publish(count, head: pen.head)
        messageCount += 1
    }

    /// A message with what else comes with it: its channel, where that is new, and its cause.
    private func append(
        _ envelope: borrowing Envelope, as record: Channel.Record, isAnswer: Bool,
        _ digest: [UInt8]?, _ content: UnsafeRawBufferPointer, observed: UInt64, to file: LiveFile
    ) throws(HistoryError) {
        var definition: [UInt8] = []
        let id: UInt16
        var new: Channel?
        if let known = channels.id(of: envelope, as: record) {
            id = known
        } else {
            guard let next = channels.nextID else {
                throw HistoryError(.record, path, .channelsExhausted)
            }
            id = next
            let channel = Channel(envelope, record)
            definition = channel.record(id: id, agent: process)
            new = channel
        }
        var cause: [UInt8] = []
        if isAnswer, let by = envelope.cause {
            cause = Annotation.cause(of: envelope.identity, by: by, at: observed).json
        }
        var count = definition.count + RecordPen.messageLength(digest?.count ?? content.count)
        if !cause.isEmpty { count += RecordPen.messageLength(cause.count) }
        var pen = RecordPen(try file.reserve(count))
        if new != nil { pen.write(record: definition) }
        let (sequence, sent) = (UInt32(truncatingIfNeeded: envelope.sequence), envelope.sent)
        let write = { (data: UnsafeRawBufferPointer) in
            pen.writeMessage(
                channel: id, sequence: sequence, logged: observed, published: sent, data: data)
        }
        if let digest { digest.withUnsafeBytes(write) } else { write(content) }
        if !cause.isEmpty {
            pen.writeMessage(
                channel: Self.annotationsID, sequence: annotationCount, logged: observed,
                published: observed, data: cause)
            annotationCount &+= 1
            messageCount += 1
        }
        file.publish(count, head: pen.head)
        messageCount += 1
        // Only now is the channel in the file, whatever failed before.
        if let new { channels.add(new, id: id) }
    }

    /// What the envelopes that follow this one in its flow have in common with it.
    ///
    /// - Returns: Nil where nothing like it was recorded yet: the first of them is recorded whole.
    public func strand(
        of envelope: Envelope, _ direction: Direction, transport: String, lane: Lane = .primary
    ) -> Strand? {
        let record = Channel.Record(
            direction: direction, transport: transport, lane: lane, isDigest: false)
        return channels.id(of: envelope, as: record).map {
            Strand(
                type: envelope.type, contentEncoding: envelope.contentEncoding, channel: $0,
                sequenceHigh: UInt32(truncatingIfNeeded: envelope.sequence >> 32), part: partCount)
        }
    }

    /// Records an envelope of which all but these is known: as safe as any other, and as soon.
    ///
    /// - Parameters:
    ///   - content: Its content.
    ///   - sequence: Its position in the flow.
    ///   - sent: When its sender sent it.
    ///   - observed: When this process records it, where that was just looked at; nil looks.
    ///   - strand: The rest: flow, incarnation, type and encoding are the strand's. It has no cause
    ///     that would have to be annotated.
    /// - Returns: Whether it was recorded; false where it differs in more than that, and is to be
    ///   recorded whole.
    /// - Throws: `HistoryError`, as `record` does for a whole envelope.
    public func record(
        _ content: UnsafeRawBufferPointer, sequence: UInt64, sent: UInt64, observed: UInt64?,
        on strand: Strand
    ) throws(HistoryError) -> Bool {
        guard content.count <= contentLimit,
            UInt32(truncatingIfNeeded: sequence >> 32) == strand.sequenceHigh
        else { return false }
        let observed = observed ?? clock.now
        let file = try current(at: observed)
        // Another file has other channels.
        guard strand.part == partCount else { return false }
        try append(
            content, channel: strand.channel, sequence: UInt32(truncatingIfNeeded: sequence),
            sent: sent, observed: observed, to: file)
        return true
    }

    /// Notes something beside the envelopes.
    ///
    /// - Throws: `HistoryError`: the disk is full, or the writer was sealed.
    public func annotate(_ annotation: Annotation) throws(HistoryError) {
        let file = try current(at: clock.now)
        let json = annotation.json
        let count = RecordPen.messageLength(json.count)
        var pen = RecordPen(try file.reserve(count))
        pen.writeMessage(
            channel: Self.annotationsID, sequence: annotationCount, logged: clock.now,
            published: annotation.at, data: json)
        file.publish(count, head: pen.head)
        annotationCount &+= 1
        messageCount += 1
    }

    /// Up to where the file is written, for who wants to read on from there; nil once it is sealed.
    public var place: HistoryPlace? {
        guard let file else { return nil }
        let records = channels.all.map { $0.channel.record(id: $0.id, agent: process) }
        return HistoryPlace(
            offset: file.position,
            channels: [Channel.annotationsRecord(id: Self.annotationsID, agent: process)] + records)
    }

    /// Ends the file: the reserved space is given back.
    ///
    /// Nothing can be recorded afterwards. Chunks, checksums and an index are `HistorySealer`'s.
    public func seal() throws(HistoryError) {
        guard let file else { return }
        self.file = nil
        try file.finish()
    }

    private static func digest(of content: UnsafeRawBufferPointer) -> [UInt8] {
        var text = JSONObjectText()
        text.append("digest", ContentDigest.text(ContentDigest.xxh3(content)))
        text.append("length", UInt64(content.count))
        return text.end()
    }
}

/// What envelopes have in common that differ in their number, times and content alone: looked up
/// once, however many they are.
///
/// Of use to the writer that made it, and to nobody else.
public struct Strand: Sendable, Hashable {
    /// Message type.
    public let type: String
    /// How the content bytes are to be read.
    public let contentEncoding: Envelope.ContentEncoding
    fileprivate let channel: UInt16
    fileprivate let sequenceHigh: UInt32
    /// The number of the file that the channel is in.
    fileprivate let part: Int
}

@available(*, unavailable, message: "a history is written by one thread; give it away for good")
extension HistoryWriter: Sendable {}

/// The names by which a history knows itself.
enum HistoryFormat {
    static let profile = "synmesh"
    static let metadataName = "synmesh"
    static let version = "1"
}

/// Writes records into reserved memory, all but the first eight bytes of the first one.
private struct RecordPen {
    /// What those eight bytes are to be.
    private(set) var head: UInt64 = 0
    private var address: UnsafeMutableRawPointer
    private var isFirst = true

    init(_ address: UnsafeMutableRawPointer) { self.address = address }

    static func messageLength(_ dataLength: Int) -> Int {
        MCAP.recordHeaderLength + MCAP.messageFieldsLength + dataLength
    }

    mutating func write(record: [UInt8]) {
        record.withUnsafeBytes { bytes in
            begin(UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
            write(UnsafeRawBufferPointer(rebasing: bytes[9...]))
        }
    }

    mutating func writeMessage(
        channel: UInt16, sequence: UInt32, logged: UInt64, published: UInt64,
        data: UnsafeRawBufferPointer
    ) {
        begin(MCAP.head(.message, length: MCAP.messageFieldsLength + data.count))
        write(channel)
        write(sequence)
        write(logged)
        write(published)
        write(data)
    }

    mutating func writeMessage(
        channel: UInt16, sequence: UInt32, logged: UInt64, published: UInt64, data: [UInt8]
    ) {
        data.withUnsafeBytes {
            writeMessage(
                channel: channel, sequence: sequence, logged: logged, published: published,
                data: $0)
        }
    }

    private mutating func begin(_ head: UInt64) {
        if isFirst {
            self.head = head
            isFirst = false
            address += 8
        } else {
            write(head)
        }
        // The ninth byte, the highest one of the length.
        write(UInt8(0))
    }

    private mutating func write(_ integer: some FixedWidthInteger & BitwiseCopyable) {
        address.storeBytes(of: integer.littleEndian, as: type(of: integer))
        address += MemoryLayout.size(ofValue: integer)
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(start: address, count: bytes.count).copyMemory(from: bytes)
        address += bytes.count
    }
}
