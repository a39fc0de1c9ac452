internal import CLinux
internal import Glibc
internal import Synchronization
internal import Wire

/// The place where a content is put together.
final class ChunkBuffer: ContentOwner {
    // Written by the one thread that puts it together, before anybody else hears of it; from then
    // on nobody writes. Its place is given back with the last reference, when nobody can read it.
    nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer

    private let room: Room

    /// Nil where the system has no room for it.
    init?(size: Int) {
        ChunkMemory.keep()
        guard let room = ChunkMemory.room(for: size) else { return nil }
        guard let start = UnsafeMutableRawPointer(bitPattern: room.address) else { return nil }
        self.room = room
        memory = UnsafeMutableRawBufferPointer(start: start, count: size)
    }

    deinit { ChunkMemory.giveBack(room) }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

    func write(_ piece: UnsafeRawBufferPointer, at offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: piece)
    }
}

/// Memory that was allocated, and is freed by who has this.
private struct Room: Sendable {
    let address: UInt
    let size: Int
}

/// The memory of chunks, and of what they are put together to.
enum ChunkMemory {
    /// The most that the allocator can be told to keep, and what four chunks take.
    private static let kept: CInt = 32 << 20
    /// A place as large as this is kept for the next content, not a larger one.
    private static let spareMax = 128 << 20
    /// What the kernel can map at once.
    private static let pageSize = 2 << 20

    private static let keeping: Void = synmesh_keep_memory(kept)
    private static let spare = Mutex<Room?>(nil)

    /// Has the allocator keep what one chunk took for the next one.
    ///
    /// The library allocates each chunk anew, twice where it is received. Given back to the system in
    /// between, its pages are made and cleared each time, which takes longer than all copies. What is
    /// kept so is kept for good, so that only a process with a large content asks for it.
    static func keep() { keeping }

    /// A place for a content: the one of a content before it where that is free and about as large.
    ///
    /// Clearing the pages of a new one takes as long as copying the content into it.
    ///
    /// - Parameter size: In bytes.
    /// - Returns: Nil where the system has no room.
    fileprivate static func room(for size: Int) -> Room? {
        let kept = spare.withLock { spare -> Room? in
            guard let room = spare, room.size >= size, room.size / 2 <= size else { return nil }
            spare = nil
            return room
        }
        if let kept { return kept }
        // Not filled: what is not there yet takes no memory. In large pages it comes with one fault
        // for each two megabytes instead of five hundred, which cost more than the copy does.
        let isLarge = size >= pageSize
        var start: UnsafeMutableRawPointer?
        guard posix_memalign(&start, isLarge ? pageSize : 64, size) == 0, let start else {
            return nil
        }
        if isLarge { madvise(start, size & -4_096, MADV_HUGEPAGE) }
        return Room(address: UInt(bitPattern: start), size: size)
    }

    /// Keeps a place for the next content, or frees it.
    fileprivate static func giveBack(_ room: Room) {
        var freed = room
        if room.size >= pageSize, room.size <= spareMax {
            // The system may have its pages whenever it needs them.
            madvise(
                UnsafeMutableRawPointer(bitPattern: room.address), room.size & -4_096, MADV_FREE)
            let former = spare.withLock { spare in
                defer { spare = room }
                return spare
            }
            guard let former else { return }
            freed = former
        }
        free(UnsafeMutableRawPointer(bitPattern: freed.address))
    }
}
