internal import CLinux
internal import Glibc

/// The file of a pool, opened and mapped, with the locks that this opening of it holds.
///
/// The locks are the kernel's, and go when the file is closed and unmapped: with the process, however
/// it ends.
final class Mapping {
    let file: CInt
    let base: UnsafeMutableRawPointer
    let length: Int

    /// Called before each change of a word, for tests that end the process there.
    var willStore: (() -> Void)?

    /// Takes over an open file that has `length` bytes.
    init(file: CInt, length: Int, attempt: String) throws(SharedMemoryError) {
        guard let base = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
            base != MAP_FAILED
        else {
            let error = SharedMemoryError.system(attempt)
            close(file)
            throw error
        }
        self.file = file
        self.base = base
        self.length = length
    }

    deinit {
        munmap(base, length)
        close(file)
    }

    /// The word at an offset.
    func load(_ offset: Int) -> UInt64 { UInt64(littleEndian: synmesh_memory_load(base + offset)) }

    /// Changes the word at an offset, after every change that was made before.
    func store(_ offset: Int, _ value: UInt64) {
        willStore?()
        synmesh_memory_publish(base + offset, value.littleEndian)
    }

    func load(_ word: PoolGeometry.Header) -> UInt64 { load(word.offset) }

    func store(_ word: PoolGeometry.Header, _ value: UInt64) { store(word.offset, value) }

    /// Refuses a file that was cut, whose pages would end this process at the first touch, and one
    /// whose name is gone or belongs to another by now.
    func check(_ attempt: @autoclosure () -> String) throws(SharedMemoryError) {
        var (size, links) = (Int64(0), UInt64(0))
        guard synmesh_file_state(file, &size, &links) == 0 else { throw .system(attempt()) }
        guard size >= length else {
            throw SharedMemoryError(
                attempt: attempt(), reason: .corrupted,
                detail: "somebody cut the pool's file to \(size) of \(length) bytes",
                remedy: "Nothing but the run that made a pool may change its file.")
        }
        guard links > 0 else {
            throw SharedMemoryError(
                attempt: attempt(), reason: .notFound,
                detail: "somebody removed or replaced the pool's file",
                remedy: "A pool is removed by the run that made it, after the last agent.")
        }
    }

    /// Whether the lock of a byte could be had at once.
    func lock(
        _ byte: Int64, exclusive: Bool, _ attempt: @autoclosure () -> String
    ) throws(SharedMemoryError) -> Bool {
        switch synmesh_lock_try(file, byte, exclusive) {
        case 1: return true
        case 0: return false
        default: throw .system(attempt())
        }
    }

    func unlock(_ byte: Int64) { _ = synmesh_lock_release(file, byte) }

    /// Takes the lock of a byte, and waits for it at most `patience`.
    ///
    /// - Parameters:
    ///   - byte: Which.
    ///   - exclusive: Alone, or together with others.
    ///   - attempt: What for.
    ///   - isWanted: Asked before each try.
    /// - Returns: False where it is no longer wanted.
    /// - Throws: `.busy` where somebody kept it.
    func lockPatiently(
        _ byte: Int64, exclusive: Bool, _ attempt: @autoclosure () -> String,
        while isWanted: () -> Bool = { true }
    ) throws(SharedMemoryError) -> Bool {
        var end: UInt64?
        for round in 0... {
            guard isWanted() else { return false }
            if try lock(byte, exclusive: exclusive, attempt()) { return true }
            // Those who hold it do so for microseconds.
            if round % 64 < 63 {
                sched_yield()
                continue
            }
            if end == nil { end = monotonicTime() + Self.patience }
            guard let end, monotonicTime() < end else { break }
            usleep(100)
        }
        throw SharedMemoryError(
            attempt: attempt(), reason: .busy,
            detail: "somebody has held the lock of byte \(byte) for a second",
            remedy: "Is a process that uses the pool stopped? It is held for microseconds else.")
    }

    /// In nanoseconds.
    private static let patience: UInt64 = 1_000_000_000
}

/// CLOCK_MONOTONIC in nanoseconds: all processes of a machine agree on it.
func monotonicTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
