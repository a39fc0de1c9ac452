internal import Synchronization
internal import Threads

/// Messages from any thread to the one thread that polls `descriptor`.
final class Mailbox<Message: Sendable>: Sendable {
    private struct State {
        var messages: [Message] = []
        var isClosed = false
    }

    /// Readable while there are messages.
    var descriptor: CInt { wakeUp.descriptor }
    private let wakeUp: WakeUp
    private let state = Mutex(State())

    init() throws(SupervisionError) {
        wakeUp = try threads { () throws(ThreadError) in try WakeUp() }
    }

    /// Leaves a message; false when the owner has ended and nobody will read it.
    @discardableResult
    func post(_ message: Message) -> Bool {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.messages.append(message) }
            return !state.isClosed
        }
        if isOpen { wakeUp.signal() }
        return isOpen
    }

    /// Takes all messages, in order.
    func take() -> [Message] {
        wakeUp.take()
        return state.withLock { state in
            defer { state.messages = [] }
            return state.messages
        }
    }

    /// Refuses messages from now on and takes the last ones.
    func closeAndTake() -> [Message] {
        state.withLock { state in
            state.isClosed = true
            defer { state.messages = [] }
            return state.messages
        }
    }
}
