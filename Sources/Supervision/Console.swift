internal import Glibc
internal import Synchronization

/// Where the lines of all processes are shown together.
///
/// A thread of its own writes, so a stalled terminal never holds up a process or its log: what does
/// not fit into the queue is counted and said, and is still in the log files.
public final class Console: Sendable {
    /// How many bytes may wait for the terminal.
    private static let capacity = 4 << 20

    private struct Pending {
        var bytes = 0
        var linesLeftOut = 0
    }

    /// Whether names are coloured.
    let isColoured: Bool
    private let mailbox: Mailbox<[UInt8]>
    private let pending = Mutex(Pending())

    /// A console on a descriptor, which stays the caller's.
    public init(descriptor: Int32, isColoured: Bool) throws(SupervisionError) {
        self.isColoured = isColoured
        mailbox = try Mailbox()
        try startThread(named: "console") { [mailbox, weak self] in
            while true {
                var item = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
                poll(&item, 1, -1)
                for bytes in mailbox.take() {
                    // An empty message is the console's end.
                    if bytes.isEmpty { return }
                    bytes.withUnsafeBytes { _ = writeAll($0, to: descriptor) }
                    self?.wrote(bytes.count)
                }
            }
        }
    }

    deinit {
        mailbox.post([])
    }

    /// The console of this program: stderr, coloured when that is a terminal and NO_COLOR is unset.
    public static func standardError() throws(SupervisionError) -> Console {
        let refuses = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
        return try Console(descriptor: 2, isColoured: isatty(2) == 1 && !refuses)
    }

    /// Shows whole lines.
    func show(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        let notice: String? = pending.withLock { pending in
            guard pending.bytes + bytes.count <= Self.capacity else {
                pending.linesLeftOut += bytes.count { $0 == UInt8(ascii: "\n") }
                return nil
            }
            defer { pending.linesLeftOut = 0 }
            let text =
                pending.linesLeftOut == 0
                ? ""
                : "synmesh | \(pending.linesLeftOut) lines are not shown here; the logs have them\n"
            pending.bytes += bytes.count + text.utf8.count
            return text
        }
        guard let notice else { return }
        mailbox.post(Array(notice.utf8) + bytes)
    }

    /// Waits until everything is written, but no longer than a stalled terminal deserves.
    func flush(limit: Duration) {
        let deadline = monotonicNow() + limit.nanoseconds
        while pending.withLock({ $0.bytes > 0 }), monotonicNow() < deadline {
            sleepFor(milliseconds: 2)
        }
    }

    private func wrote(_ count: Int) {
        pending.withLock { $0.bytes -= count }
    }

    /// What stands before every line of a process.
    func prefix(for name: String) -> [UInt8] {
        guard isColoured else { return Array("\(name) | ".utf8) }
        // FNV-1a: the same name has the same colour in every run.
        let hash = name.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let colours = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94]
        return Array("\u{1B}[\(colours[Int(hash) % colours.count])m\(name) |\u{1B}[0m ".utf8)
    }
}

/// Cuts a stream of bytes into prefixed lines.
struct LineAssembler {
    /// How much of one line is shown.
    static let lineLimit = 16_384

    private let prefix: [UInt8]
    private var partial: [UInt8] = []
    private var isSkipping = false

    init(prefix: [UInt8]) {
        self.prefix = prefix
    }

    /// The complete lines that `bytes` finish, each with its prefix.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var shown: [UInt8] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            append(rest[..<end], to: &shown)
            if !isSkipping { finishLine(in: &shown) }
            isSkipping = false
            rest = rest[(end + 1)...]
        }
        append(rest, to: &shown)
        return shown
    }

    /// The last line, when it has no end.
    mutating func finish() -> [UInt8] {
        var shown: [UInt8] = []
        if !partial.isEmpty { finishLine(in: &shown) }
        return shown
    }

    private mutating func append(_ bytes: Slice<UnsafeRawBufferPointer>, to shown: inout [UInt8]) {
        guard !isSkipping else { return }
        partial += bytes.prefix(Self.lineLimit - partial.count)
        guard partial.count >= Self.lineLimit else { return }
        partial += Array(" ... (the log has the whole line)".utf8)
        finishLine(in: &shown)
        isSkipping = true
    }

    private mutating func finishLine(in shown: inout [UInt8]) {
        shown += prefix
        shown += partial
        shown.append(UInt8(ascii: "\n"))
        partial.removeAll(keepingCapacity: true)
    }
}
