internal import CLinux
internal import Glibc

/// A file with chunks, message indexes and a summary, written in one go.
struct SealedFile: ~Copyable {
    /// A chunk is closed when it has grown to this.
    private static let chunkLength = 1 << 20

    private struct Group {
        let opcode: MCAP.Opcode
        let start: Int
        let length: Int
    }

    private let file: OpenFile
    private var offset = 0
    /// Up to where the disk was told to write: what it writes meanwhile need not be waited for at the end.
    private var submitted = 0
    private static let submitLength = 8 << 20
    /// Bytes that are not written yet; they stand at `offset`.
    private var pending: [UInt8] = []

    // What the summary repeats, in the order of appearance.
    private var schemas: [UInt16: [UInt8]] = [:]
    private var schemaOrder: [UInt16] = []
    private var channels: [UInt16: [UInt8]] = [:]
    private var channelOrder: [UInt16] = []
    private var chunkIndexes: [UInt8] = []
    private var metadataIndexes: [UInt8] = []

    private var chunk = ChunkInMaking()
    private var statistics = Statistics()

    /// Messages by channel id.
    var counts: [UInt64] { statistics.counts }

    init(_ file: consuming OpenFile) {
        self.file = file
        pending = MCAP.magic
    }

    /// Takes what a walk over the original meets.
    mutating func take(_ event: borrowing RecordWalk.Event) throws(HistoryError) {
        switch event {
        case .header(let whole): pending.append(contentsOf: whole)
        case .metadata(let name, let members):
            // What speaks of the messages is made anew.
            guard !name.hasPrefix(HistoryMetadata.derivedPrefix) else { return }
            try write(HistoryMetadata(name: name, members: members))
        case .schema(let whole):
            let body = UnsafeRawBufferPointer(rebasing: whole[MCAP.recordHeaderLength...])
            var reader = FieldReader(body)
            guard let id = reader.integer(UInt16.self) else { return }
            if schemas.updateValue([UInt8](whole), forKey: id) == nil { schemaOrder.append(id) }
        case .channel(let record, let whole):
            if channels.updateValue([UInt8](whole), forKey: record.id) == nil {
                channelOrder.append(record.id)
            }
        case .message(let message):
            if !chunk.has(message.channel) { define(message.channel) }
            chunk.append(message)
            statistics.add(message)
            if chunk.bytes.count >= Self.chunkLength { try endChunk() }
        }
    }

    /// Writes metadata, which stand outside of chunks.
    private mutating func write(_ metadata: HistoryMetadata) throws(HistoryError) {
        try endChunk()
        let start = offset + pending.count
        pending.appendRecord(.metadata) { body in
            body.append(prefixed: metadata.name)
            body.append(map: metadata.members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        }
        let end = offset + pending.count
        metadataIndexes.appendRecord(.metadataIndex) { body in
            body.append(integer: UInt64(start))
            body.append(integer: UInt64(end - start))
            body.append(prefixed: metadata.name)
        }
        statistics.metadataCount += 1
    }

    /// Writes the summary and the footer, and has the disk take everything.
    consuming func finish(with metadata: [HistoryMetadata] = []) throws(HistoryError) {
        try endChunk()
        for metadata in metadata { try write(metadata) }
        pending.appendRecord(.dataEnd) { $0.append(integer: UInt32(0)) }
        try flush()
        let start = offset
        var summary: [UInt8] = []
        var groups: [Group] = []
        func group(_ opcode: MCAP.Opcode, _ bytes: some Sequence<UInt8>) {
            let before = summary.count
            summary.append(contentsOf: bytes)
            guard summary.count > before else { return }
            groups.append(
                Group(opcode: opcode, start: start + before, length: summary.count - before))
        }
        group(.schema, schemaOrder.flatMap { schemas[$0, default: []] })
        group(.channel, channelOrder.flatMap { channels[$0, default: []] })
        statistics.schemaCount = UInt16(clamping: schemas.count)
        statistics.channelCount = UInt32(channels.count)
        group(.statistics, statistics.record)
        group(.chunkIndex, chunkIndexes)
        group(.metadataIndex, metadataIndexes)
        let offsetsStart = start + summary.count
        for group in groups {
            summary.appendRecord(.summaryOffset) { body in
                body.append(group.opcode.rawValue)
                body.append(integer: UInt64(group.start))
                body.append(integer: UInt64(group.length))
            }
        }
        summary.appendRecord(.footer) { body in
            body.append(integer: UInt64(start))
            body.append(integer: UInt64(offsetsStart))
            body.append(integer: UInt32(0))
        }
        summary.removeLast(4)
        summary.append(integer: Checksum.of(summary))
        pending = summary + MCAP.magic
        try flush()
        // The original is about to be replaced: what replaces it must outlive the machine.
        guard fdatasync(file.number) == 0 else { throw .last(.seal, file.path) }
    }

    /// Repeats the channel's definition in the chunk: each can be read without the others.
    private mutating func define(_ id: UInt16) {
        let channel = channels[id, default: []]
        // The schema's id stands behind the channel's.
        if channel.count >= MCAP.recordHeaderLength + 4 {
            let schema =
                UInt16(channel[MCAP.recordHeaderLength + 2])
                | UInt16(channel[MCAP.recordHeaderLength + 3]) << 8
            if let definition = schemas[schema] { chunk.append(definition: definition) }
        }
        chunk.append(definition: channel)
    }

    private mutating func endChunk() throws(HistoryError) {
        guard chunk.messageCount > 0 else { return }
        let start = offset + pending.count
        let size = chunk.bytes.count
        pending.appendRecord(.chunk) { body in
            body.reserveCapacity(body.count + size + 64)
            body.append(integer: chunk.first)
            body.append(integer: chunk.last)
            body.append(integer: UInt64(size))
            body.append(integer: Checksum.of(chunk.bytes))
            body.append(prefixed: "")
            body.append(integer: UInt64(size))
            body.append(contentsOf: chunk.bytes)
        }
        let end = offset + pending.count
        var places: [(channel: UInt16, offset: Int)] = []
        chunk.forEachIndex { channel, entries in
            places.append((channel, offset + pending.count))
            pending.appendRecord(.messageIndex) { body in
                body.append(integer: channel)
                body.append(integer: UInt32(entries.count))
                body.append(contentsOf: entries)
            }
        }
        let indexLength = offset + pending.count - end
        chunkIndexes.appendRecord(.chunkIndex) { body in
            body.append(integer: chunk.first)
            body.append(integer: chunk.last)
            body.append(integer: UInt64(start))
            body.append(integer: UInt64(end - start))
            body.append(integer: UInt32(places.count * 10))
            for place in places {
                body.append(integer: place.channel)
                body.append(integer: UInt64(place.offset))
            }
            body.append(integer: UInt64(indexLength))
            body.append(prefixed: "")
            body.append(integer: UInt64(size))
            body.append(integer: UInt64(size))
        }
        statistics.chunkCount += 1
        chunk.clear()
        try flush()
    }

    private mutating func flush() throws(HistoryError) {
        try file.write(pending, at: offset, attempt: .seal)
        offset += pending.count
        pending.removeAll(keepingCapacity: true)
        guard offset - submitted >= Self.submitLength else { return }
        synmesh_file_begin_writing(file.number, Int64(submitted), Int64(offset - submitted))
        submitted = offset
    }
}

/// A chunk's records and where each channel's messages stand in it.
private struct ChunkInMaking {
    private(set) var bytes: [UInt8] = []
    private(set) var messageCount = 0
    private(set) var first: UInt64 = .max
    private(set) var last: UInt64 = 0
    /// The entry lists' numbers, by channel; -1 for a channel that is not in the chunk.
    private var numbers = [Int32](repeating: -1, count: MCAP.channelsMax + 1)
    private var present: [UInt16] = []
    /// Log time and offset of each message, as a message index has them.
    private var entries: [[UInt8]] = []

    func has(_ channel: UInt16) -> Bool { numbers[Int(channel)] >= 0 }

    mutating func append(definition: [UInt8]) { bytes.append(contentsOf: definition) }

    mutating func append(_ message: MessageRecord) {
        var number = Int(numbers[Int(message.channel)])
        if number < 0 {
            number = present.count
            numbers[Int(message.channel)] = Int32(number)
            present.append(message.channel)
            if entries.count == number { entries.append([]) }
        }
        entries[number].append(integer: message.logged)
        entries[number].append(integer: UInt64(bytes.count))
        first = min(first, message.logged)
        last = max(last, message.logged)
        messageCount += 1
        let start = bytes.count + MCAP.recordHeaderLength
        bytes.append(contentsOf: message.whole)
        bytes[start] = UInt8(truncatingIfNeeded: message.channel)
        bytes[start + 1] = UInt8(truncatingIfNeeded: message.channel >> 8)
    }

    func forEachIndex(_ take: (UInt16, [UInt8]) -> Void) {
        for (number, channel) in present.enumerated() { take(channel, entries[number]) }
    }

    mutating func clear() {
        for (number, channel) in present.enumerated() {
            numbers[Int(channel)] = -1
            entries[number].removeAll(keepingCapacity: true)
        }
        present.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
        messageCount = 0
        first = .max
        last = 0
    }
}

/// What the file holds, counted.
private struct Statistics {
    var schemaCount: UInt16 = 0
    var channelCount: UInt32 = 0
    var metadataCount: UInt32 = 0
    var chunkCount: UInt32 = 0
    private(set) var counts = [UInt64](repeating: 0, count: MCAP.channelsMax + 1)
    private var messageCount: UInt64 = 0
    private var first: UInt64 = .max
    private var last: UInt64 = 0

    mutating func add(_ message: MessageRecord) {
        counts[Int(message.channel)] += 1
        messageCount += 1
        first = min(first, message.logged)
        last = max(last, message.logged)
    }

    var record: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendRecord(.statistics) { body in
            body.append(integer: messageCount)
            body.append(integer: schemaCount)
            body.append(integer: channelCount)
            body.append(integer: UInt32(0))
            body.append(integer: metadataCount)
            body.append(integer: chunkCount)
            body.append(integer: messageCount == 0 ? 0 : first)
            body.append(integer: last)
            let used = counts.indices.filter { counts[$0] > 0 }
            body.append(integer: UInt32(used.count * 10))
            for channel in used {
                body.append(integer: UInt16(channel))
                body.append(integer: counts[channel])
            }
        }
        return bytes
    }
}
