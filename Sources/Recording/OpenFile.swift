internal import Glibc

/// A file descriptor with one owner, which closes it.
struct OpenFile: ~Copyable {
    let number: Int32
    let path: String

    init(
        _ path: String, _ flags: Int32, mode: mode_t = 0o644, attempt: HistoryError.Attempt
    ) throws(HistoryError) {
        var number: Int32
        repeat {
            number = open(path, flags | O_CLOEXEC, mode)
        } while number < 0 && errno == EINTR
        guard number >= 0 else { throw .last(attempt, path) }
        self.number = number
        self.path = path
    }

    deinit { close(number) }

    func status(_ attempt: HistoryError.Attempt) throws(HistoryError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .last(attempt, path) }
        return status
    }

    /// Reads until the buffer is full or the file ends.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(HistoryError) -> Int {
        var count = 0
        while count < buffer.count {
            let result = pread(
                number, buffer.baseAddress?.advanced(by: count), buffer.count - count,
                off_t(offset + count))
            if result == 0 { break }
            if result > 0 {
                count += result
            } else if errno != EINTR {
                throw .last(.read, path)
            }
        }
        return count
    }

    /// A copy of what stands at a place.
    func bytes(at offset: Int, count: Int) throws(HistoryError) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        defer { buffer.deallocate() }
        guard try read(into: buffer, at: offset) == count else {
            throw HistoryError(.read, path, .shortened)
        }
        return Array(buffer)
    }

    /// Writes all of it, at `offset`.
    func write(
        _ bytes: [UInt8], at offset: Int, attempt: HistoryError.Attempt
    ) throws(HistoryError) {
        try all(bytes, attempt) { address, count, done in
            pwrite(number, address, count, off_t(offset + done))
        }
    }

    /// Writes all of it at the end of a file that was opened with `O_APPEND`.
    func append(_ bytes: [UInt8]) throws(HistoryError) {
        try all(bytes, .write) { address, count, _ in Glibc.write(number, address, count) }
    }

    private func all(
        _ bytes: [UInt8], _ attempt: HistoryError.Attempt,
        write: (UnsafeRawPointer, Int, Int) -> Int
    ) throws(HistoryError) {
        try bytes.withUnsafeBufferPointer { (buffer) throws(HistoryError) in
            guard let start = UnsafeRawPointer(buffer.baseAddress) else { return }
            var done = 0
            while done < buffer.count {
                let result = write(start + done, buffer.count - done, done)
                if result > 0 {
                    done += result
                } else if result == 0 || errno != EINTR {
                    throw HistoryError(attempt, path, .system(result == 0 ? EIO : errno))
                }
            }
        }
    }

    /// Takes the file's lock if nobody has it; the lock ends with the process, however it ends.
    func lock() -> Bool {
        // A file system without locks is no reason not to record.
        flock(number, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK
    }
}
