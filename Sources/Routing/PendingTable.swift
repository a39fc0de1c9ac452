internal import Control
internal import JSON
internal import Threads
internal import ZeroMQ

/// What the loop has asked for and not heard of: every wait has an end.
struct PendingTable {
    private struct Entry {
        let end: ContinuousClock.Instant
        let finish: (Bool) -> Void
    }

    /// The bridge answers within its own bound; this is the bound on the bridge, and on peers.
    static let timeout = Duration.milliseconds(2_500)

    private var entries: [UInt64: Entry] = [:]
    private var next: UInt64

    /// - Parameter incarnation: Which start of the proxy this is: what is answered to another one is none of
    ///   its tokens.
    init(incarnation: UInt32 = 0) { next = UInt64(incarnation) << 32 | 1 }

    var isEmpty: Bool { entries.isEmpty }

    /// Makes a token; `finish` is called once, with whether what it stands for was done.
    mutating func add(_ finish: @escaping (Bool) -> Void) -> UInt64 {
        defer { next += 1 }
        entries[next] = Entry(end: .now + Self.timeout, finish: finish)
        return next
    }

    /// Takes out what is to be called when `token` is done.
    fileprivate mutating func take(_ token: UInt64) -> ((Bool) -> Void)? {
        entries.removeValue(forKey: token)?.finish
    }

    fileprivate mutating func takeExpired() -> [(Bool) -> Void] {
        guard !entries.isEmpty else { return [] }
        let now = ContinuousClock.now
        let expired = entries.filter { $0.value.end <= now }
        for token in expired.keys { entries[token] = nil }
        return expired.values.map(\.finish)
    }
}

/// A proxy that waits for tokens.
protocol Pending: AnyObject {
    var pending: PendingTable { get set }
}

extension Pending {
    /// What `token` stands for is done, or cannot be.
    func complete(_ token: UInt64, _ isDone: Bool) {
        // Taken first: what is called may add to the table.
        pending.take(token)?(isDone)
    }

    /// Gives up what took too long.
    func expirePending() {
        for finish in pending.takeExpired() { finish(false) }
    }
}

/// Who gave a command, and is to get its answer.
enum Asker {
    case control(UInt64)
    case local(LocalCommand)
}

/// Where commands come from, and where their answers go.
struct CommandSource: ~Copyable {
    private var control: ControlClient?

    init(control: consuming ControlClient?) {
        self.control = control
    }

    /// The control plane's socket, where there is one.
    var pollItem: PollItem? {
        mutating get { control?.pollItem }
    }

    mutating func ready(endpoints: [String: String]) throws(ControlError) {
        try control?.ready(endpoints: endpoints)
    }

    mutating func next() throws(ControlError) -> Command? { try control?.next() }

    /// Says that something happened which nobody asked for; without an orchestrator, to nobody.
    mutating func event(_ name: String, _ fields: [String: Value]) {
        // An orchestrator that takes nothing now has the node's log and history.
        try? control?.event(name, fields)
    }

    /// Answers; false when the orchestrator does not listen.
    mutating func answer(_ asker: Asker, _ result: Result<Value, CommandFailure>) -> Bool {
        switch asker {
        case .local(let command): command.answer.give(result)
        case .control(let id):
            do throws(ControlError) {
                switch result {
                case .success(let value): try control?.answer(id, result: value)
                case .failure(let failure): try control?.fail(id, error: failure.reason)
                }
            } catch {
                return false
            }
        }
        return true
    }
}
