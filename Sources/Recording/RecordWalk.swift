/// A message's fields; its bytes are valid while the event is taken.
struct MessageRecord {
    let whole: UnsafeRawBufferPointer
    let channel: UInt16
    let sequence: UInt32
    let logged: UInt64
    let published: UInt64
    let data: UnsafeRawBufferPointer

    init?(_ whole: UnsafeRawBufferPointer) {
        self.whole = whole
        let body = UnsafeRawBufferPointer(rebasing: whole[MCAP.recordHeaderLength...])
        guard body.count >= MCAP.messageFieldsLength else { return nil }
        channel = UInt16(littleEndian: body.loadUnaligned(as: UInt16.self))
        sequence = UInt32(littleEndian: body.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
        logged = UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 6, as: UInt64.self))
        published = UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 14, as: UInt64.self))
        data = UnsafeRawBufferPointer(rebasing: body[MCAP.messageFieldsLength...])
    }
}

/// Everything that stands in a file's data section, chunked or not, and what is wrong with it.
///
/// A walk can be run again over a file that has grown: it goes on where the data ended.
struct RecordWalk: Sendable {
    /// What the walk meets; bytes are the record whole, valid while the event is taken.
    enum Event {
        case header(UnsafeRawBufferPointer)
        case metadata(name: String, members: [String: String])
        case schema(UnsafeRawBufferPointer)
        case channel(ChannelRecord, UnsafeRawBufferPointer)
        case message(MessageRecord)
    }

    /// What was wrong.
    private(set) var notes: [String] = []
    /// Messages met.
    private(set) var messageCount: UInt64 = 0

    private var isInSummary = false
    private var declaredCount: UInt64?
    private var summary = Checksum()
    private var isKnown = [Bool](repeating: false, count: MCAP.channelsMax + 1)
    private var lastChannel: UInt16?
    private var orphanCount = 0
    private var unknownCount = 0
    /// Behind the last record of the data, and in which file.
    private var dataOffset = 0
    private var file: FileNumber?

    /// Begins at the file's beginning.
    init() {}

    /// Begins behind what is known.
    ///
    /// - Parameters:
    ///   - offset: Where a record begins.
    ///   - channels: Those that are defined before.
    init(from offset: Int, knowing channels: some Sequence<UInt16>) {
        dataOffset = offset
        for channel in channels { isKnown[Int(channel)] = true }
    }

    /// Walks over the file, or over what is new in it.
    ///
    /// - Returns: False where it is not the file of the last time, or shorter: nothing was read.
    mutating func run(
        path: String, _ take: (borrowing Event) throws(HistoryError) -> Void
    ) throws(HistoryError) -> Bool {
        var scanner = try RecordScanner(path: path, from: dataOffset)
        let found = try scanner.file()
        guard file == nil || file == found, try scanner.reachesStart() else { return false }
        file = found
        isInSummary = false
        declaredCount = nil
        summary = Checksum()
        notes = []
        walk: while true {
            switch try scanner.next() {
            case .end: break walk
            case .damage(let reason):
                notes.append(reason)
                break walk
            case .record(let opcode, let whole, let offset):
                let body = UnsafeRawBufferPointer(rebasing: whole[MCAP.recordHeaderLength...])
                if opcode == .footer {
                    checkFooter(whole, body)
                    if try !scanner.takeFinalMagic() {
                        notes.append("the file does not end with the MCAP magic")
                    }
                    break walk
                }
                if isInSummary {
                    takeSummary(opcode, whole, body)
                } else if try !takeData(opcode, whole, body, offset: offset, take) {
                    notes.append("the record at byte \(offset) is malformed")
                    break walk
                } else if !isInSummary {
                    dataOffset = scanner.offset
                }
            }
        }
        conclude()
        return true
    }

    /// One record of the data section; false when it makes no sense.
    private mutating func takeData(
        _ opcode: MCAP.Opcode, _ whole: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer,
        offset: Int, _ take: (borrowing Event) throws(HistoryError) -> Void
    ) throws(HistoryError) -> Bool {
        switch opcode {
        case .header: try take(.header(whole))
        case .metadata:
            var reader = FieldReader(body)
            guard let name = reader.text(), let members = reader.map() else { return false }
            try take(.metadata(name: name, members: members))
        case .chunk:
            return try takeChunk(body, offset: offset, take)
        case .dataEnd:
            guard body.count == 4 else { return false }
            isInSummary = true
        case .schema, .channel, .message:
            return try takeInner(opcode, whole, body, take)
        case .messageIndex, .attachment: break
        default: unknownCount += 1
        }
        return true
    }

    /// A record that may stand in a chunk.
    private mutating func takeInner(
        _ opcode: MCAP.Opcode, _ whole: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer,
        _ take: (borrowing Event) throws(HistoryError) -> Void
    ) throws(HistoryError) -> Bool {
        switch opcode {
        case .message:
            guard let message = MessageRecord(whole) else { return false }
            if message.channel != lastChannel {
                guard isKnown[Int(message.channel)] else {
                    orphanCount += 1
                    return true
                }
                lastChannel = message.channel
            }
            messageCount += 1
            try take(.message(message))
        case .channel:
            guard let record = ChannelRecord(body) else { return false }
            isKnown[Int(record.id)] = true
            try take(.channel(record, whole))
        case .schema: try take(.schema(whole))
        default: unknownCount += 1
        }
        return true
    }

    /// A chunk; one that is damaged inside is noted and passed over, for the next may be whole.
    private mutating func takeChunk(
        _ body: UnsafeRawBufferPointer, offset: Int,
        _ take: (borrowing Event) throws(HistoryError) -> Void
    ) throws(HistoryError) -> Bool {
        var reader = FieldReader(body)
        guard reader.integer(UInt64.self) != nil, reader.integer(UInt64.self) != nil,
            let size = reader.integer(UInt64.self), let checksum = reader.integer(UInt32.self),
            let compression = reader.text(), let length = reader.integer(UInt64.self),
            var rest = reader.bytes(length), reader.rest.isEmpty
        else { return false }
        guard compression.isEmpty else {
            notes.append("the chunk at byte \(offset) is compressed (\(compression))")
            return true
        }
        guard size == length, checksum == 0 || checksum == Checksum.of(rest) else {
            notes.append("the chunk at byte \(offset) is damaged; its messages are left out")
            return true
        }
        while !rest.isEmpty {
            var reader = FieldReader(rest)
            guard let opcode = reader.integer(UInt8.self),
                let length = reader.integer(UInt64.self), let body = reader.bytes(length)
            else {
                notes.append("the chunk at byte \(offset) ends inside a record")
                return true
            }
            let whole = UnsafeRawBufferPointer(
                rebasing: rest[..<(MCAP.recordHeaderLength + body.count)])
            guard try takeInner(MCAP.Opcode(rawValue: opcode), whole, body, take) else {
                notes.append("a record of the chunk at byte \(offset) is malformed")
                return true
            }
            rest = reader.rest
        }
        return true
    }

    private mutating func takeSummary(
        _ opcode: MCAP.Opcode, _ whole: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        summary.add(whole)
        if opcode == .statistics {
            var reader = FieldReader(body)
            declaredCount = reader.integer(UInt64.self)
        }
    }

    private mutating func checkFooter(
        _ whole: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        if !isInSummary { notes.append("the data section has no end") }
        guard body.count == 20 else {
            notes.append("the footer is malformed")
            return
        }
        let expected = UInt32(
            littleEndian: body.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
        summary.add(UnsafeRawBufferPointer(rebasing: whole[..<(whole.count - 4)]))
        if expected != 0, expected != summary.value { notes.append("the summary is damaged") }
    }

    private mutating func conclude() {
        if orphanCount > 0 {
            notes.append("messages of channels that are not defined: \(orphanCount)")
        }
        if unknownCount > 0 {
            notes.append("records that MCAP does not know, skipped: \(unknownCount)")
        }
        if let declaredCount, declaredCount != messageCount {
            notes.append("\(declaredCount) messages were sealed, \(messageCount) are left")
        }
    }
}
