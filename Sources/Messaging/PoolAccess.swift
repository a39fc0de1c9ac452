public import JSON
internal import SharedMemory
internal import Wire

/// A shared-memory pool of the mesh, as its agents are told of it.
public struct PoolAccess: Hashable, Sendable {
    /// What a sender does that got no slot in time.
    public enum Overflow: String, Hashable, Sendable, CaseIterable {
        /// It sends the content inside of the message.
        case direct
        /// It does not send.
        case fail
    }

    /// The pool's name in the topology.
    public let name: String
    /// The segment's file.
    public let path: String
    /// How long a sender waits for a slot.
    public let wait: Duration
    /// What a sender does that got none.
    public let overflow: Overflow

    /// Describes a pool.
    public init(name: String, path: String, wait: Duration, overflow: Overflow) {
        self.name = name
        self.path = path
        self.wait = wait
        self.overflow = overflow
    }

    /// Reads `{"name", "path", "wait_ms", "when_full"}`; nil where a member is missing or malformed.
    public init?(_ json: Value) {
        guard let name = json["name"]?.string, Names.isLegal(name),
            let path = json["path"]?.string, path.hasPrefix("/"),
            let wait = json["wait_ms"]?.integer, (0...60_000).contains(wait),
            let overflow = json["when_full"]?.string.flatMap(Overflow.init(rawValue:))
        else { return nil }
        self.init(name: name, path: path, wait: .milliseconds(wait), overflow: overflow)
    }

    /// What `init(_:)` reads.
    public var json: Value {
        [
            "name": .string(name), "path": .string(path),
            "wait_ms": Value(Int(wait / .milliseconds(1))), "when_full": .string(overflow.rawValue),
        ]
    }
}

/// The pools that a client may use, each opened when it is first needed.
final class PoolTable {
    private let accesses: [String: PoolAccess]
    private var opened: [String: Pool] = [:]
    /// Envelopes whose contents were read: one that was may be written to again.
    private var consumed: Set<Identity> = []
    private var order: [Identity] = []
    private var oldest = 0
    /// Contents that were published, for planted faults.
    var published = 0

    /// Of so many envelopes it is remembered that they were read.
    private static let consumedMax = 65_536

    init(_ accesses: [PoolAccess]) {
        self.accesses = Dictionary(accesses.map { ($0.name, $0) }) { first, _ in first }
    }

    func access(_ name: String) -> PoolAccess? { accesses[name] }

    func pool(
        _ name: String, _ attempt: MessagingError.Attempt
    ) throws(MessagingError) -> Pool {
        if let pool = opened[name] { return pool }
        guard let access = accesses[name] else { throw MessagingError(attempt, .noPool(name)) }
        let pool = try sharedMemory(attempt) { () throws(SharedMemoryError) in
            try Pool(opening: access.path, name: name)
        }
        opened[name] = pool
        return pool
    }

    /// Whether the envelope's content was not read yet; from now on it was.
    func consume(_ identity: Identity) -> Bool {
        guard consumed.insert(identity).inserted else { return false }
        if order.count < Self.consumedMax {
            order.append(identity)
        } else {
            consumed.remove(order[oldest])
            order[oldest] = identity
            oldest = (oldest + 1) % Self.consumedMax
        }
        return true
    }
}

/// Calls into shared memory, and says what was being attempted when it fails.
func sharedMemory<Result: ~Copyable>(
    _ attempt: @autoclosure () -> MessagingError.Attempt,
    _ call: () throws(SharedMemoryError) -> Result
) throws(MessagingError) -> Result {
    do throws(SharedMemoryError) {
        return try call()
    } catch {
        throw MessagingError(attempt(), .sharedMemory(error))
    }
}
