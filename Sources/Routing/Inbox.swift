internal import DequeModule
internal import JSON
internal import Synchronization
internal import Threads
internal import Wire

/// What a proxy's other threads tell its loop.
enum LoopEvent: Sendable {
    /// An envelope came from NATS, on the subscription of this tag.
    case envelope(tag: String, Envelope)
    /// A message without an identity came from NATS.
    case plain(tag: String, subject: String, content: [UInt8])
    /// An envelope came from NATS whose content, in chunks, did not come whole; it has none here.
    case incomplete(tag: String, Envelope, reason: String)
    /// Something else came from NATS.
    case malformed(tag: String, reason: String)
    /// Something may have come from NATS that was not seen.
    case blind(reason: String)
    /// What was asked of the bridge under this token is done, or cannot be.
    case done(token: UInt64, Bool)
    /// A message for a program that keeps no history is with the NATS library.
    case published(Publication)
    /// The server takes no publication of that size.
    case oversize(Publication)
    /// NATS came or went.
    case connected(Bool)
    /// Somebody in this process gives a command.
    case command(LocalCommand)
}

/// A command from within the process: what the control plane's commands are to a child.
final class LocalCommand: Sendable {
    let name: String
    let arguments: Value
    let answer: Handoff<Result<Value, CommandFailure>>

    init(name: String, arguments: Value) throws(ThreadError) {
        self.name = name
        self.arguments = arguments
        answer = try Handoff()
    }
}

/// Why a command was not done.
struct CommandFailure: Error, Hashable {
    let reason: String
}

/// Where a proxy's other threads leave what its loop is to know.
final class Inbox: Sendable {
    /// Readable while something is there.
    let wakeUp: WakeUp
    private struct State {
        var arrivals: Deque<LoopEvent> = []
        var others: Deque<LoopEvent> = []
    }

    private let state = Mutex(State())
    /// Envelopes beyond this wait in the NATS library, whose own bound counts what it drops.
    static let envelopesMax = 10_000

    init() throws(ThreadError) {
        wakeUp = try WakeUp()
    }

    func post(_ event: LoopEvent) {
        state.withLock { state in
            switch event {
            case .envelope, .plain, .incomplete, .malformed, .blind: state.arrivals.append(event)
            default: state.others.append(event)
            }
        }
        wakeUp.signal()
    }

    /// Whether a reader of NATS should wait before it posts more.
    var isFull: Bool { state.withLock { $0.arrivals.count >= Self.envelopesMax } }

    /// What is there: what came from NATS, then the rest.
    ///
    /// In this order, so that the end of a drained subscription comes behind what it brought.
    /// Without arrivals, those wait, and once there are enough of them their readers; so does what
    /// is done, which may be about them.
    func takeAll(arrivals: Bool = true) -> Deque<LoopEvent> {
        wakeUp.take()
        return state.withLock { state in
            var taken: Deque<LoopEvent> = []
            if arrivals { swap(&taken, &state.arrivals) }
            var kept: Deque<LoopEvent> = []
            for event in state.others {
                if case .done = event, !state.arrivals.isEmpty {
                    kept.append(event)
                } else {
                    taken.append(event)
                }
            }
            state.others = kept
            return taken
        }
    }
}
