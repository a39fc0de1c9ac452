/// A message's fields; its bytes are valid while the event is taken.
struct MessageRecord {
    let whole: UnsafeRawBufferPointer
    /// What it is in the file, or is to be in another one.
    var channel: UInt16
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
        // Apart, so that a message, of which there are millions, is handed on in little space.
        indirect case metadata(name: String, members: [String: String])
        case schema(UnsafeRawBufferPointer)
        indirect case channel(ChannelRecord, UnsafeRawBufferPointer)
        case message(MessageRecord)
    }

    /// What was wrong.
    private(set) var notes: [String] = []
    /// Messages met.
    private(set) var messageCount: UInt64 = 0
    /// Whether the file ends with a summary that counts its messages.
    var isSealed: Bool { declaredCount != nil }

    private var isInSummary = false
    private var isOver = false
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
        guard try begin(scanner) else { return false }
        var chunk = OpenChunk()
        while let event = try next(&scanner, &chunk) { try take(event) }
        return true
    }

    /// Prepares for walking over a file.
    ///
    /// - Returns: False where it is not the file of the last time, or shorter.
    mutating func begin(_ scanner: borrowing RecordScanner) throws(HistoryError) -> Bool {
        let found = try scanner.file()
        guard file == nil || file == found, try scanner.reachesStart() else { return false }
        file = found
        isInSummary = false
        isOver = false
        declaredCount = nil
        summary = Checksum()
        notes = []
        return true
    }

    /// What the walk meets next, or nil at the end, when `notes` are complete.
    ///
    /// - Parameters:
    ///   - scanner: Always the same one; what an event points to is valid until the next step.
    ///   - chunk: What is left of the chunk that is being read.
    /// - Returns: Nil at the end.
    /// - Throws: `HistoryError` when the file cannot be read, or is not an MCAP file.
    mutating func next(
        _ scanner: inout RecordScanner, _ chunk: inout OpenChunk
    ) throws(HistoryError) -> Event? {
        while !isOver || !chunk.rest.isEmpty {
            if !chunk.rest.isEmpty {
                if let event = nextInner(&chunk) { return event }
                if chunk.rest.isEmpty, chunk.isCut { conclude() }
                continue
            }
            switch try scanner.next() {
            case .end: conclude()
            case .damage(let reason):
                notes.append(reason)
                conclude()
            case .cutChunk(let whole, let offset, let reason):
                notes.append(reason)
                let body = UnsafeRawBufferPointer(rebasing: whole[MCAP.recordHeaderLength...])
                if !openCut(body, offset: offset, &chunk) { conclude() }
            case .record(let opcode, let whole, let offset):
                let body = UnsafeRawBufferPointer(rebasing: whole[MCAP.recordHeaderLength...])
                if opcode == .footer {
                    checkFooter(whole, body)
                    if try !scanner.takeFinalMagic() {
                        notes.append("the file does not end with the MCAP magic")
                    }
                    conclude()
                } else if isInSummary {
                    takeSummary(opcode, whole, body)
                } else {
                    let found = data(opcode, whole, body, offset: offset, &chunk)
                    if case .malformed = found {
                        notes.append("the record at byte \(offset) is malformed")
                        conclude()
                    } else if !isInSummary {
                        dataOffset = scanner.offset
                    }
                    if case .event(let event) = found { return event }
                }
            }
        }
        return nil
    }

    /// What a record turned out to be.
    private enum Found {
        case event(Event)
        /// Nothing that anybody asks for.
        case nothing
        /// It makes no sense.
        case malformed
    }

    /// A chunk's records that were not read yet.
    struct OpenChunk {
        fileprivate(set) var rest = UnsafeRawBufferPointer(start: nil, count: 0)
        fileprivate var offset = 0
        /// Whether the file ends inside it.
        fileprivate var isCut = false

        init() {}
    }

    /// One record of the data section.
    private mutating func data(
        _ opcode: MCAP.Opcode, _ whole: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer,
        offset: Int, _ chunk: inout OpenChunk
    ) -> Found {
        switch opcode {
        case .message, .channel, .schema: return inner(opcode, whole, body)
        case .header: return .event(.header(whole))
        case .metadata:
            var reader = FieldReader(body)
            guard let name = reader.text(), let members = reader.map() else { return .malformed }
            return .event(.metadata(name: name, members: members))
        case .chunk:
            guard open(body, offset: offset, &chunk) else { return .malformed }
        case .dataEnd:
            guard body.count == 4 else { return .malformed }
            isInSummary = true
        case .messageIndex, .attachment: break
        default: unknownCount += 1
        }
        return .nothing
    }

    /// A record that may stand in a chunk.
    private mutating func inner(
        _ opcode: MCAP.Opcode, _ whole: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) -> Found {
        switch opcode {
        case .message:
            guard let message = MessageRecord(whole) else { return .malformed }
            if message.channel != lastChannel {
                guard isKnown[Int(message.channel)] else {
                    orphanCount += 1
                    return .nothing
                }
                lastChannel = message.channel
            }
            messageCount += 1
            return .event(.message(message))
        case .channel:
            guard let record = ChannelRecord(body) else { return .malformed }
            isKnown[Int(record.id)] = true
            return .event(.channel(record, whole))
        case .schema: return .event(.schema(whole))
        default:
            unknownCount += 1
            return .nothing
        }
    }

    /// Opens a chunk; one that is damaged inside is noted and passed over, for the next may be whole.
    private mutating func open(
        _ body: UnsafeRawBufferPointer, offset: Int, _ chunk: inout OpenChunk
    ) -> Bool {
        var reader = FieldReader(body)
        guard reader.integer(UInt64.self) != nil, reader.integer(UInt64.self) != nil,
            let size = reader.integer(UInt64.self), let checksum = reader.integer(UInt32.self),
            let compression = reader.text(), let length = reader.integer(UInt64.self),
            let records = reader.bytes(length), reader.rest.isEmpty
        else { return false }
        guard compression.isEmpty else {
            notes.append("the chunk at byte \(offset) is compressed (\(compression))")
            return true
        }
        guard size == length, checksum == 0 || checksum == Checksum.of(records) else {
            notes.append("the chunk at byte \(offset) is damaged; its messages are left out")
            return true
        }
        chunk = OpenChunk()
        chunk.rest = records
        chunk.offset = offset
        return true
    }

    /// Opens a chunk that the file ends in: no checksum can be compared, and what stands before the end
    /// is as it was written all the same.
    ///
    /// - Returns: False where nothing of it can be read.
    private mutating func openCut(
        _ body: UnsafeRawBufferPointer, offset: Int, _ chunk: inout OpenChunk
    ) -> Bool {
        var reader = FieldReader(body)
        guard reader.integer(UInt64.self) != nil, reader.integer(UInt64.self) != nil,
            reader.integer(UInt64.self) != nil, reader.integer(UInt32.self) != nil,
            reader.text() == "", reader.integer(UInt64.self) != nil, !reader.rest.isEmpty
        else { return false }
        chunk.rest = reader.rest
        chunk.offset = offset
        chunk.isCut = true
        return true
    }

    /// The next record of a chunk; nil where it is nothing to hand out, or damaged.
    private mutating func nextInner(_ chunk: inout OpenChunk) -> Event? {
        var reader = FieldReader(chunk.rest)
        guard let opcode = reader.integer(UInt8.self),
            let length = reader.integer(UInt64.self), let body = reader.bytes(length)
        else {
            // Of one that is cut it has been said already.
            if !chunk.isCut {
                notes.append("the chunk at byte \(chunk.offset) ends inside a record")
            }
            chunk.rest = UnsafeRawBufferPointer(start: nil, count: 0)
            return nil
        }
        let whole = UnsafeRawBufferPointer(
            rebasing: chunk.rest[..<(MCAP.recordHeaderLength + body.count)])
        switch inner(MCAP.Opcode(rawValue: opcode), whole, body) {
        case .event(let event):
            chunk.rest = reader.rest
            return event
        case .nothing: chunk.rest = reader.rest
        case .malformed:
            notes.append("a record of the chunk at byte \(chunk.offset) is malformed")
            chunk.rest = UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return nil
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
        isOver = true
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
