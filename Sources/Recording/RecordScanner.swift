internal import Glibc

/// What tells a file from another of the same name.
struct FileNumber: Hashable, Sendable {
    let device: UInt
    let inode: UInt
}

/// Walks over a file's records, in bounded memory, whatever state the file is in.
///
/// A file that is being written is read as it stands at some instant: the walk ends at its unused
/// space. Bytes that make no sense are read a second time before they are called damage, because
/// the writer may have published between two reads.
struct RecordScanner: ~Copyable {
    /// One step of the walk.
    enum Step {
        /// A record, whole, with its opcode and length; the bytes are valid until the next step.
        case record(MCAP.Opcode, UnsafeRawBufferPointer, offset: Int)
        /// The file ends inside a chunk, of which this is there, header and all.
        case cutChunk(UnsafeRawBufferPointer, offset: Int, String)
        /// The file goes on, or should, but not as MCAP.
        case damage(String)
        /// The file is over as it should be.
        case end
    }

    /// Where the next record starts.
    private(set) var offset = 0

    /// Whether the file has space that is reserved and not used: it is written, or was when its writer
    /// was killed.
    private(set) var hasReserve = false

    /// Of a chunk that is cut no more than this is read.
    private static let cutChunkMax = 64 << 20

    private let open: OpenFile
    private var buffer: UnsafeMutableRawBufferPointer
    private var bufferOffset = 0
    private var filled = 0
    private var knownSize = 0
    private var isOver = false

    /// Opens a file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - offset: Where a record starts, or 0 for the file's start.
    /// - Throws: `HistoryError` when the file cannot be opened.
    init(path: String, from offset: Int = 0) throws(HistoryError) {
        open = try OpenFile(path, O_RDONLY, attempt: .read)
        self.offset = offset
        buffer = .allocate(byteCount: 1 << 20, alignment: 16)
    }

    deinit { buffer.deallocate() }

    /// The next record, or why there is none; after `.damage` and `.end` there is nothing.
    mutating func next() throws(HistoryError) -> Step {
        if isOver { return .end }
        if offset == 0, let step = try takeMagic() { return step }
        var retries = 3
        while true {
            let step = try read()
            switch step {
            case .record: return step
            case .end:
                isOver = true
                return step
            case .damage, .cutChunk: break
            }
            guard retries > 0, try changedSinceRead() else {
                isOver = true
                return step
            }
            retries -= 1
            filled = 0
        }
    }

    private mutating func read() throws(HistoryError) -> Step {
        while true {
            guard let head = try bytes(MCAP.recordHeaderLength) else {
                return .damage("the file ends at byte \(offset), before its trailer")
            }
            let opcode = MCAP.Opcode(rawValue: head[0])
            let length = UInt64(
                littleEndian: head.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
            guard opcode.rawValue != 0 else { return .damage("no record at byte \(offset)") }
            guard let length = Int(exactly: length), try isThere(length) else {
                let left = knownSize - offset - MCAP.recordHeaderLength
                let reason =
                    "the record at byte \(offset) needs \(length) bytes, \(max(left, 0)) are left"
                if opcode == .chunk, (0...Self.cutChunkMax).contains(left),
                    let rest = try bytes(MCAP.recordHeaderLength + left)
                {
                    return .cutChunk(rest, offset: offset, reason)
                }
                return .damage(reason)
            }
            let whole = MCAP.recordHeaderLength + length
            switch opcode {
            case .unused:
                return try skipUnused(whole)
            case .filler:
                guard length < 8 else { return .damage("no filler at byte \(offset)") }
                offset += whole
            default:
                guard let record = try bytes(whole) else {
                    return .damage("the file ends inside the record at byte \(offset)")
                }
                let start = offset
                offset += whole
                return .record(opcode, record, offset: start)
            }
        }
    }

    /// Steps over the unused space; the trailer must follow.
    private mutating func skipUnused(_ length: Int) throws(HistoryError) -> Step {
        let start = offset
        hasReserve = true
        let head = try bytes(8).map { $0.loadUnaligned(as: UInt64.self) }
        offset += length
        if let record = try bytes(MCAP.recordHeaderLength + 4),
            record[0] == MCAP.Opcode.dataEnd.rawValue
        {
            let whole = MCAP.recordHeaderLength + 4
            let position = offset
            offset += whole
            return .record(.dataEnd, record, offset: position)
        }
        // A writer that filled the space, or that closed the file, since we looked has not
        // damaged anything: what was read is what the file held at that instant.
        offset = start
        filled = 0
        let now = try bytes(8).map { $0.loadUnaligned(as: UInt64.self) }
        if now != head { return .end }
        return .damage("the unused space at byte \(start) is not followed by the file's end")
    }

    /// The footer's successor: the file must end with the magic.
    mutating func takeFinalMagic() throws(HistoryError) -> Bool {
        isOver = true
        guard let bytes = try bytes(MCAP.magic.count) else { return false }
        return bytes.elementsEqual(MCAP.magic)
    }

    private mutating func takeMagic() throws(HistoryError) -> Step? {
        if let bytes = try bytes(MCAP.magic.count) {
            guard bytes.elementsEqual(MCAP.magic) else {
                throw HistoryError(.read, open.path, .notMCAP)
            }
            offset = MCAP.magic.count
            return nil
        }
        let size = try size()
        guard let bytes = try bytes(size), bytes.elementsEqual(MCAP.magic.prefix(size)) else {
            throw HistoryError(.read, open.path, .notMCAP)
        }
        isOver = true
        return .damage("the file ends after \(size) bytes, before its first record")
    }

    /// Whether the file has a body of `length` bytes here; asks the system only when it must.
    private mutating func isThere(_ length: Int) throws(HistoryError) -> Bool {
        if length <= knownSize - offset - MCAP.recordHeaderLength { return true }
        knownSize = try size()
        return length <= knownSize - offset - MCAP.recordHeaderLength
    }

    /// Where in the file bytes stand that belong to the last step's record.
    func offset(of bytes: UnsafeRawBufferPointer) -> Int {
        guard let address = bytes.baseAddress, let start = buffer.baseAddress else { return 0 }
        return bufferOffset + (address - UnsafeRawPointer(start))
    }

    /// Which file it is.
    func file() throws(HistoryError) -> FileNumber {
        let status = try open.status(.read)
        return FileNumber(device: status.st_dev, inode: status.st_ino)
    }

    /// Whether the file is as long as where this one starts.
    func reachesStart() throws(HistoryError) -> Bool { try size() >= offset }

    private func size() throws(HistoryError) -> Int { Int(try open.status(.read).st_size) }

    /// Whether the bytes at `offset` are others now than those that were judged.
    private mutating func changedSinceRead() throws(HistoryError) -> Bool {
        let count = min(MCAP.recordHeaderLength, max(bufferOffset + filled - offset, 0))
        guard count > 0, offset >= bufferOffset else { return false }
        let judged = buffer[offset - bufferOffset..<offset - bufferOffset + count]
        return try withUnsafeTemporaryAllocation(byteCount: count, alignment: 8) {
            (fresh) throws(HistoryError) in
            let read = try open.read(into: fresh, at: offset)
            return read != count || !fresh.elementsEqual(judged)
        }
    }

    /// The `count` bytes at `offset`, or `nil` where the file ends before.
    private mutating func bytes(_ count: Int) throws(HistoryError) -> UnsafeRawBufferPointer? {
        let isInside = offset >= bufferOffset && offset + count <= bufferOffset + filled
        if !isInside { try load(count) }
        guard offset + count <= bufferOffset + filled else { return nil }
        let start = offset - bufferOffset
        return UnsafeRawBufferPointer(rebasing: buffer[start..<start + count])
    }

    private mutating func load(_ count: Int) throws(HistoryError) {
        let start = offset - bufferOffset
        let kept = start >= 0 && start < filled ? filled - start : 0
        if count > buffer.count {
            // Never more than the file has: who calls has compared the length with what is left.
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
            larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<start + kept]))
            buffer.deallocate()
            buffer = larger
        } else if kept > 0, start > 0 {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<start + kept]))
        }
        bufferOffset = offset
        filled = kept
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[kept...])
        filled += try open.read(into: rest, at: bufferOffset + kept)
    }
}
