internal import Glibc

/// Reads what all processes write and puts it where it belongs.
///
/// One thread for all of them: a process's pipe is emptied as soon as there is something in it,
/// whatever its supervisor, the terminal or the other processes do.
final class OutputPump: Sendable {
    /// One process's output.
    struct Source: Sendable {
        let name: String
        /// The reading end, which the pump owns from now on.
        let pipe: CInt
        /// The log, which the pump owns from now on.
        let log: CInt
        /// Where that is.
        let logPath: String
        /// Whether it is noted down what was written when.
        let notesTimes: Bool
        /// How large the log may become.
        let logLimit: LogLimit?
        let console: Console?
        /// Lines that somebody waits for.
        let patterns: [LinePattern]
        /// Told of each that was written, on the pump's thread.
        let heard: @Sendable (Int) -> Void
    }

    private enum Command: Sendable {
        case add(UInt64, Source)
        case finish(UInt64, grace: Duration, drained: @Sendable () -> Void)
        case end
    }

    private let mailbox: Mailbox<Command>

    init() throws(SupervisionError) {
        mailbox = try Mailbox()
        try startThread(named: "output") { [mailbox] in
            Loop(mailbox: mailbox).run()
        }
    }

    deinit {
        mailbox.post(.end)
    }

    /// Reads `source` from now on.
    func add(_ identifier: UInt64, _ source: Source) {
        mailbox.post(.add(identifier, source))
    }

    /// Reads what is still in the pipe of a process that has ended.
    ///
    /// - Parameters:
    ///   - identifier: What it was added under.
    ///   - grace: How long somebody else who holds the pipe may go on writing.
    ///   - drained: Called on the pump's thread once all that the process wrote is in its log.
    func finish(_ identifier: UInt64, grace: Duration, drained: @escaping @Sendable () -> Void) {
        if !mailbox.post(.finish(identifier, grace: grace, drained: drained)) { drained() }
    }

    /// A stream while it is read; confined to the pump's thread.
    private final class Stream {
        let source: Source
        var assembler: LineAssembler
        var deadline: UInt64?
        var logFailure: CInt = 0
        var lines: LineWatch?
        private let log: LogFile

        init(_ source: Source) {
            self.source = source
            log = LogFile(
                source.log, path: source.logPath, notesTimes: source.notesTimes,
                limit: source.logLimit)
            assembler = LineAssembler(prefix: source.console?.prefix(for: source.name) ?? [])
            if !source.patterns.isEmpty {
                lines = LineWatch(source.patterns, found: source.heard)
            }
        }

        func take(_ bytes: UnsafeRawBufferPointer) {
            if logFailure == 0 {
                logFailure = log.write(bytes)
                // A full disk must not stop the process: keep reading, say it once.
                if logFailure != 0 {
                    source.console?.show(
                        Array(
                            "synmesh | the log of \(source.name) ends here: \(String(cString: strerror(logFailure)))\n"
                                .utf8))
                }
            }
            lines?.take(bytes)
            guard let console = source.console else { return }
            console.show(assembler.take(bytes))
        }

        func end() {
            lines?.finish()
            source.console?.show(assembler.finish())
            close(source.pipe)
        }
    }

    /// The pump's thread.
    private final class Loop {
        let mailbox: Mailbox<Command>
        var streams: [UInt64: Stream] = [:]
        var hasEnded = false
        /// As large as a pipe: what a burst has left there is taken at once and written at once, so
        /// that the process finds room again before a file has been waited for.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)

        init(mailbox: Mailbox<Command>) {
            self.mailbox = mailbox
        }

        deinit {
            buffer.deallocate()
        }

        func run() {
            while !hasEnded { step() }
            for command in mailbox.closeAndTake() { perform(command) }
            for stream in streams.values { stream.end() }
        }

        private func step() {
            let order = Array(streams.keys)
            var items = [pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)]
            for identifier in order {
                let pipe = streams[identifier]?.source.pipe ?? -1
                items.append(pollfd(fd: pipe, events: Int16(POLLIN), revents: 0))
            }
            let deadline = streams.values.compactMap(\.deadline).min()
            let count = poll(
                &items, nfds_t(items.count), pollTimeout(until: deadline, now: monotonicNow()))
            guard count >= 0 else { return }
            for (item, identifier) in zip(items.dropFirst(), order) where item.revents != 0 {
                // A share each, so that one flood does not starve the others.
                if read(identifier, limit: 1 << 20) == .ended { remove(identifier) }
            }
            if items[0].revents != 0 { for command in mailbox.take() { perform(command) } }
            let now = monotonicNow()
            for (identifier, stream) in streams {
                if let deadline = stream.deadline, deadline <= now { remove(identifier) }
            }
        }

        private func perform(_ command: Command) {
            switch command {
            case .add(let identifier, let source): streams[identifier] = Stream(source)
            case .finish(let identifier, let grace, let drained):
                // The writer is dead, so what it wrote is at most what a pipe holds; a stranger
                // that keeps writing must not hold this up.
                if read(identifier, limit: 4 << 20) == .ended {
                    remove(identifier)
                } else {
                    streams[identifier]?.deadline = monotonicNow() + grace.nanoseconds
                }
                drained()
            case .end: hasEnded = true
            }
        }

        private enum Outcome { case ended, empty, more }

        private func read(_ identifier: UInt64, limit: Int) -> Outcome {
            guard let stream = streams[identifier] else { return .ended }
            var total = 0
            while total < limit {
                let (count, outcome) = fill(from: stream.source.pipe)
                if count > 0 { stream.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
                if outcome != .more { return outcome }
                total += count
            }
            return .more
        }

        /// Reads until the buffer is full or the pipe is empty.
        private func fill(from pipe: CInt) -> (count: Int, Outcome) {
            var filled = 0
            while filled < buffer.count {
                let count = Glibc.read(
                    pipe, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
                if count > 0 {
                    filled += count
                } else if count == 0 {
                    return (filled, .ended)
                } else if errno == EAGAIN {
                    return (filled, .empty)
                } else if errno != EINTR {
                    return (filled, .ended)
                }
            }
            return (filled, .more)
        }

        private func remove(_ identifier: UInt64) {
            streams.removeValue(forKey: identifier)?.end()
        }
    }
}
