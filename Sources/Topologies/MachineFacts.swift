internal import Glibc

/// What a topology is checked against that no file can say.
public struct MachineFacts: Sendable {
    /// How many bytes of shared memory are free; `nil` where nobody knows.
    public var freeSharedMemory: Int?
    /// How long the path of the run's runtime folder is, in bytes: relative `ipc` endpoints are
    /// in it.
    public var runtimeDirectoryByteCount: Int
    /// Whether a file that a setting names is there.
    public var isFile: @Sendable (String) -> Bool

    /// States the facts; those that are left out make no check fail.
    public init(
        freeSharedMemory: Int? = nil, runtimeDirectoryByteCount: Int = 0,
        isFile: @escaping @Sendable (String) -> Bool = { _ in true }
    ) {
        self.freeSharedMemory = freeSharedMemory
        self.runtimeDirectoryByteCount = runtimeDirectoryByteCount
        self.isFile = isFile
    }

    /// The facts of the machine that this runs on.
    public static func measured(runtimeDirectory: String) -> MachineFacts {
        var memory = statvfs()
        let isMeasured = statvfs("/dev/shm", &memory) == 0
        return MachineFacts(
            freeSharedMemory: isMeasured
                ? Int(clamping: UInt64(memory.f_bavail) * UInt64(memory.f_frsize)) : nil,
            runtimeDirectoryByteCount: runtimeDirectory.utf8.count,
            isFile: { path in
                var status = stat()
                return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
            })
    }
}
