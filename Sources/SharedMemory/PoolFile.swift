internal import CLinux
internal import Glibc

/// Which file this is, whatever it is called.
struct FileIdentity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

extension Mapping {
    /// Which file is mapped.
    var identity: FileIdentity {
        var status = stat()
        fstat(file, &status)
        return FileIdentity(status)
    }

    /// Makes a file with all of its room reserved, and maps it: all of its bytes are 0.
    static func create(
        _ path: String, size: UInt64, attempt: String
    ) throws(SharedMemoryError) -> Mapping {
        // Beyond its limit the kernel does not only refuse: it sends a signal that ends the process.
        let limit = synmesh_file_size_limit()
        guard size <= UInt64(limit) else {
            throw SharedMemoryError(
                attempt: attempt, reason: .noSpace,
                detail: "it takes \(size) bytes, and files of this process may have \(limit)",
                remedy: "Make the pool smaller, or raise the limit with `ulimit -f`.")
        }
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw refusal(attempt) }
        do throws(SharedMemoryError) {
            // Exactly this, whatever the umask takes away.
            guard fchmod(file, 0o600) == 0 else { throw .system(attempt) }
            try reserve(file, size: size, path: path, attempt: attempt)
        } catch {
            unlink(path)
            close(file)
            throw error
        }
        do throws(SharedMemoryError) {
            return try Mapping(file: file, length: Int(size), attempt: attempt)
        } catch {
            unlink(path)
            throw error
        }
    }

    /// Writes the header and the records of a pool in which nothing is published.
    func format(_ geometry: PoolGeometry, firstGeneration: UInt64) {
        for slot in 0..<Int(geometry.slotCount) {
            SlotRecord(mapping: self, offset: geometry.record(slot))[.generation] =
                firstGeneration
        }
        store(.version, PoolGeometry.version)
        store(.fileSize, geometry.fileSize)
        store(.recordOffset, PoolGeometry.recordOffset)
        store(.recordSize, PoolGeometry.recordSize)
        store(.contentOffset, geometry.contentOffset)
        store(.stride, geometry.stride)
        store(.slotSize, geometry.slotSize)
        store(.slotCount, geometry.slotCount)
        store(.checksum, geometry.checksum.word)
        store(.lease, geometry.lease)
        store(.inode, identity.inode)
        store(.firstGeneration, firstGeneration)
        store(.creator, UInt64(getpid()))
        // Until this word is there, nobody can open it.
        store(.magic, PoolGeometry.magic)
    }

    /// Maps the file of a pool that is ready.
    static func open(
        _ path: String, attempt: String
    ) throws(SharedMemoryError) -> (Mapping, PoolGeometry) {
        let file = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { throw refusal(attempt) }
        var status = stat()
        guard fstat(file, &status) == 0 else {
            let error = SharedMemoryError.system(attempt)
            close(file)
            throw error
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size >= PoolGeometry.recordOffset
        else {
            close(file)
            throw SharedMemoryError(
                attempt: attempt, reason: .notAPool,
                detail: "the file is no pool, or is still being made")
        }
        let mapping = try Mapping(file: file, length: Int(status.st_size), attempt: attempt)
        let geometry = try PoolGeometry(
            header: { mapping.load($0) }, fileSize: UInt64(status.st_size),
            inode: FileIdentity(status).inode, attempt: attempt)
        return (mapping, geometry)
    }

    /// Reserves the pages.
    ///
    /// A file that is only as long as it says would end the process that first
    /// touches a page for which there is no room.
    private static func reserve(
        _ file: CInt, size: UInt64, path: String, attempt: String
    ) throws(SharedMemoryError) {
        // A signal makes the kernel give up and undo it all: with one every few milliseconds it
        // would never be done.
        var mask = synmesh_signal_mask()
        let isMasked = synmesh_signals_block(&mask) == 0
        defer { if isMasked { synmesh_signals_restore(&mask) } }
        var result: CInt
        repeat {
            result = posix_fallocate(file, 0, off_t(size))
        } while result == EINTR
        switch result {
        case 0: return
        case ENOSPC, EFBIG, ENOMEM, EDQUOT:
            throw SharedMemoryError(
                attempt: attempt, reason: .noSpace,
                detail: "it takes \(size) bytes, and \(room(file)) are free there",
                remedy:
                    "Give the pool fewer or smaller slots, remove what is left in the directory "
                    + "of \(path), or enlarge it (mount -o remount,size=…).")
        default: throw .system(attempt, result)
        }
    }

    private static func room(_ file: CInt) -> UInt64 {
        var status = statvfs()
        guard fstatvfs(file, &status) == 0 else { return 0 }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    /// Why a file could not be opened.
    private static func refusal(_ attempt: String) -> SharedMemoryError {
        let number = errno
        let (reason, remedy): (SharedMemoryError.Reason, String?) =
            switch number {
            case ENOENT: (.notFound, "Pools are made by the run, and go with it.")
            case EEXIST: (.exists, "Is a run of the same name alive? Otherwise remove the file.")
            case ENOSPC: (.noSpace, "Remove what is left in its directory.")
            case EACCES:
                (.system(number), "A pool is for the user who made it, and nobody else.")
            default: (.system(number), nil)
            }
        return SharedMemoryError(
            attempt: attempt, reason: reason, detail: String(cString: strerror(number)),
            remedy: remedy)
    }
}

/// When a process started, in ticks since the system did; nil when there is none of that number.
///
/// Numbers of processes are used again, these pairs are not.
func startTime(of process: pid_t) -> UInt64? {
    let file = open("/proc/\(process)/stat", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1_024)
    let count = read(file, &bytes, bytes.count)
    // The name in parentheses may hold anything; what follows are fields 3 and on.
    guard count > 0, let end = bytes[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
    let fields = bytes[(end + 1)..<count].split(separator: UInt8(ascii: " "))
    guard fields.count > 19 else { return nil }
    return UInt64(String(decoding: fields[19], as: UTF8.self))
}
