internal import CLinux
internal import Glibc

/// An MCAP file that is valid at every instant while records are appended to it.
///
/// The file always ends with a trailer (DataEnd, footer, magic). What is reserved and not used yet
/// is covered by one record of a private opcode right before it, which readers skip:
///
///     magic  record  record  …  [unused ░░░░░░░░░░░░░░]  DataEnd  Footer  magic
///                               ^ position                                    ^ end
///
/// Appending writes into the unused space first: the new records from their ninth byte on, and
/// behind them the header of the unused space that is left. Then one aligned 8-byte store over the
/// old header (opcode and the low seven bytes of the length) makes all of it visible at once. A
/// reader, or a SIGKILL, finds either the old file or the new one, complete. Starts of records that
/// are published that way are multiples of eight; filler records see to it.
///
/// Growing reserves blocks beyond the end of the file, so that a full disk is an error here and not
/// a SIGBUS at a store. Writing the new trailer there moves the end; only then is the unused record
/// lengthened, by one 8-byte store. Between the two, a reader from the front still finds the old
/// trailer and a reader from the back the new one.
final class LiveFile {
    /// Sizes are multiples of this, which is one of every page size in use.
    private static let granularity = 65_536
    /// The most that is reserved ahead.
    private static let windowMax = 8 << 20
    /// Mapped pages are made writable this much ahead: far enough to save faults, near enough not
    /// to stall one record.
    private static let populateStep = 262_144
    /// Always left unused: the longest filler, the header of the unused record, and room for a
    /// trailer that ends the file at `position`, so that closing needs no space.
    private static let spare = 128

    let path: String
    private let file: OpenFile
    private var end: Int
    private(set) var position: Int
    private var step = LiveFile.granularity

    // The mapped part of the file; it always covers position ..< end.
    private var window: UnsafeMutableRawPointer
    private var windowStart: Int
    private var populated: Int

    /// Creates the file with its first records; a file that exists at `path` is never touched.
    init(path: String, prologue: [UInt8]) throws(HistoryError) {
        // Made complete under another name: a reader never meets half a beginning.
        let draft = "\(path).new-\(getpid())"
        unlink(draft)
        let file = try OpenFile(draft, O_RDWR | O_CREAT | O_EXCL, attempt: .create)
        do throws(HistoryError) {
            var head = prologue
            head.appendFiller()
            let position = head.count
            let end = Self.rounded(position + Self.spare + MCAP.trailer.count)
            head.appendRecord(.unused) { _ in }
            let unused = end - MCAP.trailer.count - head.count
            head.replaceSubrange(
                position..<position + 8, with: MCAP.head(.unused, length: unused).bytes)
            try Self.reserve(file, from: 0, to: end, path: path, .create)
            try file.write(head, at: 0, attempt: .create)
            try file.write(MCAP.trailer, at: end - MCAP.trailer.count, attempt: .create)
            window = try Self.map(file, from: 0, to: end, path: path)
            self.end = end
            self.position = position
            windowStart = 0
            populated = 0
        } catch {
            unlink(draft)
            throw error
        }
        self.file = file
        self.path = path
        // Held for life, so that nobody seals a file that is still written.
        _ = self.file.lock()
        let code = synmesh_rename_new(draft, path)
        guard code == 0 else {
            unlink(draft)
            throw HistoryError(.create, path, .system(code))
        }
    }

    deinit { munmap(window, end - windowStart) }

    /// The memory where the next records go; the file does not change.
    ///
    /// - Returns: Room for `count` bytes; what was written there counts from `publish` on.
    func reserve(_ count: Int) throws(HistoryError) -> UnsafeMutableRawPointer {
        let needed = position + count + Self.spare + MCAP.trailer.count
        if needed > end { try grow(toHold: needed) }
        let offset = position - windowStart
        while offset + count + Self.spare > populated, populated < end - windowStart {
            let length = min(Self.populateStep, end - windowStart - populated)
            fill(populated..<populated + length)
            synmesh_memory_populate(window + populated, UInt64(length))
            populated += length
        }
        return window + offset
    }

    /// Writes zeros where nothing is yet: a page that was written is there, and many at once; one that
    /// a store finds missing is first read, which takes more than twice as long.
    ///
    /// - Parameter range: Where, in the window; what is in use is spared.
    private func fill(_ range: Range<Int>) {
        let page = Int(getpagesize())
        // At `position` there is a header of the unused space, and nothing behind it.
        let used = (position - windowStart + 16 + page - 1) / page * page
        let free = (end - MCAP.trailer.count - windowStart) / page * page
        guard max(used, range.lowerBound) < min(free, range.upperBound) else { return }
        let part = max(used, range.lowerBound)..<min(free, range.upperBound)
        // Where it cannot be written the page is read, as said.
        let zeros =
            part.count == Self.zeros.count ? Self.zeros : Array(Self.zeros[..<part.count])
        try? file.write(zeros, at: windowStart + part.lowerBound, attempt: .extend)
    }

    private static let zeros = [UInt8](repeating: 0, count: populateStep)

    /// Makes the `count` bytes that were written at `reserve`'s pointer part of the file.
    ///
    /// - Parameters:
    ///   - count: How many bytes the records have together.
    ///   - head: The first eight bytes of the first record. The writer leaves them to this store.
    func publish(_ count: Int, head: UInt64) {
        let start = window + (position - windowStart)
        var next = position + count
        let filler = Self.fillerLength(at: next)
        if filler > 0 {
            writeHeader(.filler, length: filler - MCAP.recordHeaderLength, at: next)
            next += filler
        }
        writeHeader(.unused, length: unusedLength(from: next), at: next)
        synmesh_memory_publish(start, head.littleEndian)
        position = next
    }

    /// Ends the file at `position`: it stays valid at every instant, and needs no space for it.
    func finish() throws(HistoryError) {
        let start = window + (position - windowStart)
        MCAP.trailer.withUnsafeBytes { trailer in
            UnsafeMutableRawBufferPointer(start: start + 8, count: trailer.count - 8)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: trailer[8...]))
        }
        synmesh_memory_publish(start, MCAP.head(.dataEnd, length: 4).littleEndian)
        guard ftruncate(file.number, off_t(position + MCAP.trailer.count)) == 0 else {
            throw .last(.close, path)
        }
    }

    private func unusedLength(from offset: Int) -> Int {
        end - MCAP.trailer.count - offset - MCAP.recordHeaderLength
    }

    private func writeHeader(_ opcode: MCAP.Opcode, length: Int, at offset: Int) {
        let address = window + (offset - windowStart)
        address.storeBytes(of: MCAP.head(opcode, length: length).littleEndian, as: UInt64.self)
        address.storeBytes(of: 0, toByteOffset: 8, as: UInt8.self)
    }

    private func grow(toHold needed: Int) throws(HistoryError) {
        let least = Self.rounded(needed)
        var target = max(least, Self.rounded(end + step))
        do throws(HistoryError) {
            try Self.reserve(file, from: end, to: target, path: path, .extend)
        } catch  where error.isFull && target > least {
            target = least
            try Self.reserve(file, from: end, to: target, path: path, .extend)
        }
        let start = position - position % Int(getpagesize())
        let mapped = try Self.map(file, from: start, to: target, path: path)
        do throws(HistoryError) {
            try file.write(
                MCAP.trailer, at: target - MCAP.trailer.count, attempt: .extend)
        } catch {
            munmap(mapped, target - start)
            ftruncate(file.number, off_t(end))
            throw error
        }
        munmap(window, end - windowStart)
        window = mapped
        windowStart = start
        populated = 0
        end = target
        step = min(step * 2, Self.windowMax)
        let head = MCAP.head(.unused, length: unusedLength(from: position))
        synmesh_memory_publish(window + (position - windowStart), head.littleEndian)
    }

    private static func reserve(
        _ file: borrowing OpenFile, from start: Int, to end: Int, path: String,
        _ attempt: HistoryError.Attempt
    ) throws(HistoryError) {
        // Asked beforehand: crossing the limit would raise SIGXFSZ, which ends the process.
        guard end <= Int(synmesh_file_size_limit()) else {
            throw HistoryError(attempt, path, .system(EFBIG))
        }
        let code = synmesh_file_reserve(file.number, Int64(start), Int64(end - start))
        guard code == 0 else { throw HistoryError(attempt, path, .system(code)) }
    }

    private static func map(
        _ file: borrowing OpenFile, from start: Int, to end: Int, path: String
    ) throws(HistoryError) -> UnsafeMutableRawPointer {
        let address = mmap(
            nil, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, off_t(start))
        guard let address, address != MAP_FAILED else { throw .last(.extend, path) }
        return address
    }

    private static func rounded(_ size: Int) -> Int {
        (size + granularity - 1) / granularity * granularity
    }

    /// How long a filler must be that stands at `offset`, so that the next record is aligned.
    fileprivate static func fillerLength(at offset: Int) -> Int {
        guard offset % 8 != 0 else { return 0 }
        return MCAP.recordHeaderLength + (8 - (offset + MCAP.recordHeaderLength) % 8) % 8
    }
}

extension [UInt8] {
    /// A filler record where the next record would not be aligned; `self` starts with the file.
    fileprivate mutating func appendFiller() {
        let length = LiveFile.fillerLength(at: count)
        guard length > 0 else { return }
        appendRecord(.filler) { body in
            body.append(
                contentsOf: repeatElement(0, count: length - MCAP.recordHeaderLength))
        }
    }
}

extension UInt64 {
    fileprivate var bytes: [UInt8] { Swift.withUnsafeBytes(of: littleEndian) { Array($0) } }
}
