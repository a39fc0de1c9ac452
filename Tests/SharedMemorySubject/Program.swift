internal import Glibc
internal import SharedMemory
internal import TestSupport

/// A user of pools for the tests to kill.
///
///     shared-memory-subject create PATH SLOT-SIZE SLOT-COUNT
///     shared-memory-subject write|read PATH FIFO SEED STORES
///     shared-memory-subject once OPERATION PATH STORES SLOT GENERATION SIZE DIGEST
///     shared-memory-subject measure PATH SIZE
///
/// STORES is how many words of the pool it changes before it kills itself; 0 is any number. What it
/// prints is a rule that did not hold.
@main
struct Program {
    static func main() throws {
        let words = Array(CommandLine.arguments.dropFirst())
        switch words.first {
        case "create": create(words)
        case "write":
            var worker = try Worker(words)
            try worker.write()
        case "read":
            var worker = try Worker(words)
            try worker.read()
        case "once": try once(words)
        case "measure": try measure(path: words[1], size: number(words[2]))
        default: throw TestFailure("not a command: \(words)")
        }
    }

    private static func create(_ words: [String]) {
        do throws(SharedMemoryError) {
            let layout = PoolLayout(
                slotSize: number(words[2]), slotCount: number(words[3]), checksum: .verify,
                lease: .seconds(1))
            _ = try PoolSegment.create(path: words[1], layout: layout)
            print("made")
        } catch {
            print("\(error.reason) \(error)")
        }
    }

    /// One operation, which may end before it is done.
    private static func once(_ words: [String]) throws {
        let pool = try Pool(opening: words[2], name: "clouds")
        dieAfter(number(words[3]), stores: pool)
        let reference = SlotReference(
            slot: number(words[4]), generation: UInt64(number(words[5])),
            size: UInt64(number(words[6])), digest: UInt64(words[7]))
        switch words[1] {
        case "write":
            guard let loan = try pool.loan(byteCount: 100) else { throw TestFailure("full") }
            loan.withBytes { bytes in
                _ = bytes.initializeMemory(as: UInt8.self, repeating: 1)
            }
            _ = try loan.publish(size: 100, readers: 3)
        case "give back": _ = try pool.loan(byteCount: 100)
        case "read": _ = try pool.read(reference)
        case "share": _ = try pool.read(reference).share(readers: 5)
        case "withdraw": try pool.withdraw(reference, readers: 1)
        case "refuse": try pool.countRefusal()
        default: throw TestFailure("not an operation: \(words[1])")
        }
    }
}

/// Reads a number among the arguments; what is none is 0.
func number(_ text: String) -> Int { Int(text) ?? 0 }

/// Lets the process be killed before the next change after so many.
func dieAfter(_ count: Int, stores pool: Pool) {
    guard count > 0 else { return }
    var left = count
    pool.willStore = {
        left -= 1
        if left == 0 { kill(getpid(), SIGKILL) }
    }
}
