internal import Glibc

/// How large a log may become, and how many older ones are kept.
public struct LogLimit: Hashable, Sendable {
    /// From this many bytes on, a new one is begun at the end of a line.
    public var bytes: Int
    /// How many older ones are kept, the newest as `NAME.log.1`.
    public var kept: Int

    /// A limit from its parts.
    public init(bytes: Int, kept: Int) {
        self.bytes = max(bytes, 1)
        self.kept = max(kept, 0)
    }
}

/// The file that a process's output goes to, byte by byte, with notes beside it of what was written
/// when; confined to the pump's thread.
final class LogFile {
    /// A line so many times as long as the log may be is cut.
    private static let patience = 4
    /// By no more than this is a log longer than its limit and the line in which that is reached.
    private static let piece = 1 << 16

    private let path: String
    private let limit: LogLimit?
    private var log: CInt
    private var times: CInt
    private let notesTimes: Bool
    private var size: Int
    private var notedAt: UInt64 = 0

    /// - Parameters:
    ///   - log: The open log, which this owns from now on.
    ///   - path: Where that is.
    ///   - notesTimes: Whether there are notes of times.
    ///   - limit: How large it may become; nil: as large as it likes.
    init(_ log: CInt, path: String, notesTimes: Bool, limit: LogLimit?) {
        self.log = log
        self.path = path
        self.notesTimes = notesTimes
        self.limit = limit
        size = max(lseek(log, 0, SEEK_END), 0)
        times = -1
        openTimes(O_APPEND)
    }

    deinit {
        close(log)
        if times >= 0 { close(times) }
    }

    /// Writes bytes; returns 0, or the `errno` value that ended it.
    func write(_ bytes: UnsafeRawBufferPointer) -> CInt {
        guard let limit else { return append(bytes) }
        for start in stride(from: 0, to: bytes.count, by: Self.piece) {
            let end = min(start + Self.piece, bytes.count)
            let failure = write(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), limit)
            guard failure == 0 else { return failure }
        }
        return 0
    }

    private func write(_ bytes: UnsafeRawBufferPointer, _ limit: LogLimit) -> CInt {
        guard size + bytes.count >= limit.bytes else { return append(bytes) }
        let isEndless = size + bytes.count >= limit.bytes * Self.patience
        guard
            let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map({ $0 + 1 })
                ?? (isEndless ? bytes.count : nil)
        else { return append(bytes) }
        let failure = append(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        guard failure == 0 else { return failure }
        let rotation = rotate(limit)
        guard rotation == 0 else { return rotation }
        return append(UnsafeRawBufferPointer(rebasing: bytes[end...]))
    }

    private func append(_ bytes: UnsafeRawBufferPointer) -> CInt {
        guard !bytes.isEmpty else { return 0 }
        noteTime()
        size += bytes.count
        return writeAll(bytes, to: log)
    }

    /// Notes down, every 50 ms at most, how long the log was at a time.
    private func noteTime() {
        guard times >= 0 else { return }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        guard now < notedAt || now - notedAt >= 50_000_000 else { return }
        notedAt = now
        writeAll("\(now) \(size)\n", to: times)
    }

    private func rotate(_ limit: LogLimit) -> CInt {
        if limit.kept == 0 { unlink(path) }
        for number in stride(from: limit.kept, to: 0, by: -1) {
            rename(number == 1 ? path : "\(path).\(number - 1)", "\(path).\(number)")
        }
        let next = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard next >= 0 else { return errno }
        close(log)
        log = next
        size = 0
        notedAt = 0
        openTimes(O_TRUNC)
        return 0
    }

    /// A log whose times cannot be noted down is a log all the same.
    private func openTimes(_ mode: CInt) {
        if times >= 0 { close(times) }
        times = -1
        guard notesTimes else { return }
        times = open(
            path + ".times", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND | mode, 0o644)
    }
}
