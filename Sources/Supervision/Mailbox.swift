internal import CLinux
internal import Glibc
internal import Synchronization

/// Messages from any thread to the one thread that polls `descriptor`.
final class Mailbox<Message: Sendable>: Sendable {
    private struct State {
        var messages: [Message] = []
        var isClosed = false
    }

    /// An eventfd that is readable while there are messages.
    let descriptor: CInt
    private let state = Mutex(State())

    init() throws(SupervisionError) {
        descriptor = synmesh_eventfd()
        guard descriptor >= 0 else { throw .system("could not make an eventfd") }
    }

    deinit {
        close(descriptor)
    }

    /// Leaves a message; false when the owner has ended and nobody will read it.
    @discardableResult
    func post(_ message: Message) -> Bool {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.messages.append(message) }
            return !state.isClosed
        }
        if isOpen { synmesh_eventfd_signal(descriptor) }
        return isOpen
    }

    /// Takes all messages, in order.
    func take() -> [Message] {
        _ = synmesh_eventfd_take(descriptor)
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
