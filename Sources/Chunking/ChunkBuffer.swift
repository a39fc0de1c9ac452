internal import CLinux
internal import Glibc
internal import Wire

/// The place where a content is put together.
final class ChunkBuffer: ContentOwner {
    // Written by the one thread that puts it together, before anybody else hears of it; from then
    // on nobody writes. Freed with the last reference.
    nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer

    /// What the kernel can map at once.
    private static let pageSize = 2 << 20

    /// Nil where the system has no room for it.
    init?(size: Int) {
        ChunkMemory.keep()
        // Not filled: what is not there yet takes no memory. In large pages it comes with one fault
        // for each two megabytes instead of five hundred, which cost more than the copy does.
        let isLarge = size >= Self.pageSize
        var start: UnsafeMutableRawPointer?
        guard posix_memalign(&start, isLarge ? Self.pageSize : 64, size) == 0, let start else {
            return nil
        }
        memory = UnsafeMutableRawBufferPointer(start: start, count: size)
        if isLarge { madvise(start, size & -4_096, MADV_HUGEPAGE) }
    }

    deinit { free(memory.baseAddress) }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

    func write(_ piece: UnsafeRawBufferPointer, at offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: piece)
    }
}

/// The memory in which the library has a chunk.
enum ChunkMemory {
    /// The most that the allocator can be told to keep, and what four chunks take.
    private static let kept: CInt = 32 << 20

    private static let keeping: Void = synmesh_keep_memory(kept)

    /// Has the allocator keep what one chunk took for the next one.
    ///
    /// The library allocates each chunk anew, twice where it is received. Given back to the system in
    /// between, its pages are made and cleared each time, which takes longer than all copies. What is
    /// kept so is kept for good, so that only a process with a large content asks for it.
    static func keep() { keeping }
}
