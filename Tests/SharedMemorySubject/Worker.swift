internal import Glibc
internal import SharedMemory
internal import TestSupport

/// Writes or reads without an end, with references going through a pipe that has a name.
struct Worker {
    private let pool: Pool
    private let fifo: Int32
    private var random: SeededGenerator
    /// References that were read before: their contents may be gone, and must not be others.
    private var past: [SlotReference] = []

    /// With a long lease each reference is read once, and none may be stale.
    private var isStrict: Bool { pool.layout.lease > .seconds(60) }

    init(_ words: [String]) throws {
        pool = try Pool(opening: words[1], name: "clouds")
        fifo = open(words[2], O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard fifo >= 0 else { throw TestFailure("no \(words[2])") }
        random = SeededGenerator(seed: UInt64(number(words[3])))
        dieAfter(number(words[4]), stores: pool)
    }

    /// Publishes contents that show their generation in each byte.
    mutating func write() throws {
        while true {
            let size = Int.random(in: 0...pool.layout.slotSize, using: &random)
            guard let loan = try pool.loan(byteCount: size) else {
                usleep(50)
                continue
            }
            loan.withBytes { bytes in
                // Twice: the first pattern must never be seen.
                _ = bytes.initializeMemory(as: UInt8.self, repeating: 255)
                _ = bytes.initializeMemory(as: UInt8.self, repeating: Self.value(loan.generation))
            }
            if Int.random(in: 0..<10, using: &random) == 0 { continue }
            let readers = Int.random(in: 1...3, using: &random)
            let reference = try loan.publish(size: size, readers: readers)
            for sent in 0..<readers where !send(reference) {
                try pool.withdraw(reference, readers: readers - sent)
                break
            }
        }
    }

    /// Reads what comes, passes some of it on, and tries what it read before.
    mutating func read() throws {
        while true {
            guard let reference = receive() else { continue }
            try read(reference, mayShare: true)
            guard !isStrict else { continue }
            past.append(reference)
            if past.count > 16 { past.removeFirst() }
            if let other = past.randomElement(using: &random) {
                try read(other, mayShare: false)
            }
        }
    }

    private mutating func read(_ reference: SlotReference, mayShare: Bool) throws {
        do throws(SharedMemoryError) {
            let reading = try pool.read(reference)
            expectPattern(reading, "at first")
            if mayShare, Int.random(in: 0..<4, using: &random) == 0 {
                let shared = try reading.share(readers: 1)
                if !send(shared) { try pool.withdraw(shared, readers: 1) }
            }
            sched_yield()
            expectPattern(reading, "later")
        } catch {
            // What expired, or was read as often as it was sent.
            if error.reason == .stale, !isStrict { return }
            print(error)
            fflush(nil)
        }
    }

    private func expectPattern(_ reading: borrowing Reading, _ moment: String) {
        let reference = reading.reference
        let value = Self.value(reference.generation)
        let isRight = reading.withBytes { bytes in
            guard let start = bytes.baseAddress, bytes.count > 0 else { return true }
            // All bytes are equal when each equals the next.
            return bytes[0] == value && memcmp(start, start + 1, bytes.count - 1) == 0
        }
        guard !isRight || UInt64(reading.size) != reference.size else { return }
        print("torn \(moment): \(reference)")
        fflush(nil)
    }

    private static func value(_ generation: UInt64) -> UInt8 { UInt8(generation % 251) }

    private func send(_ reference: SlotReference) -> Bool {
        var words = [
            UInt64(reference.slot), reference.generation, reference.size, reference.digest ?? 0,
        ]
        return Glibc.write(fifo, &words, 32) == 32
    }

    private func receive() -> SlotReference? {
        var item = pollfd(fd: fifo, events: Int16(POLLIN), revents: 0)
        guard poll(&item, 1, 100) == 1 else { return nil }
        var words: [UInt64] = [0, 0, 0, 0]
        guard Glibc.read(fifo, &words, 32) == 32 else { return nil }
        return SlotReference(
            slot: Int(words[0]), generation: words[1], size: words[2], digest: words[3])
    }
}
