internal import CLinux
internal import Glibc

/// Nanoseconds of the machine's monotonic clock, which is what every deadline here is measured by.
func monotonicNow() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

extension Duration {
    /// Whole nanoseconds, never negative, and small enough to be added to a clock.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let century: Int64 = 100 * 365 * 86_400
        return UInt64(min(seconds, century)) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}

/// Milliseconds to wait until a deadline, for `poll`: rounded up, so that it never spins.
func pollTimeout(until deadline: UInt64?, now: UInt64) -> CInt {
    guard let deadline else { return -1 }
    guard deadline > now else { return 0 }
    return CInt(clamping: (deadline - now + 999_999) / 1_000_000)
}

/// Sleeps, for loops that ask the process table again.
func sleepFor(milliseconds: UInt64) {
    var time = timespec(
        tv_sec: Int(milliseconds / 1_000), tv_nsec: Int(milliseconds % 1_000) * 1_000_000)
    nanosleep(&time, nil)
}

/// Writes all bytes, however many calls it takes.
///
/// - Returns: 0, or the `errno` value that ended it.
@discardableResult
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> CInt {
    var rest = bytes
    while !rest.isEmpty {
        let count = write(descriptor, rest.baseAddress, rest.count)
        if count > 0 {
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        } else if count == -1, errno == EAGAIN {
            // Somebody made the terminal non-blocking; wait for room.
            var item = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&item, 1, 1_000)
        } else if count == -1, errno != EINTR {
            return errno
        }
    }
    return 0
}

/// Writes a text to a descriptor.
@discardableResult
package func writeAll(_ text: String, to descriptor: CInt) -> CInt {
    var text = text
    return text.withUTF8 { writeAll(UnsafeRawBufferPointer($0), to: descriptor) }
}

/// The bytes of a small file, such as those in /proc; nil when it cannot be read.
func readSmallFile(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    while bytes.count < limit {
        let size = bytes.isEmpty ? 1_024 : min(limit - bytes.count, 16_384)
        var failed = false
        let chunk = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            let result = read(descriptor, buffer.baseAddress, size)
            failed = result < 0 && errno != EINTR
            count = max(0, result)
        }
        if failed { return nil }
        if chunk.isEmpty { break }
        bytes += chunk
    }
    return bytes
}

/// Calls `body` with a null-terminated array of C strings, as `exec` and `posix_spawn` take it.
func withCStrings<Result>(
    _ strings: [String],
    _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("one entry at least") }
        return body(base)
    }
}

/// A signal as people write it, such as "signal 9 (SIGKILL)".
func signalWords(_ number: CInt) -> String {
    guard let name = synmesh_signal_name(number) else { return "signal \(number)" }
    return "signal \(number) (SIG\(String(cString: name)))"
}
