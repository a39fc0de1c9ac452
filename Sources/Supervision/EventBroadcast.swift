internal import Synchronization

/// Events to every reader that asked for them.
final class EventBroadcast: Sendable {
    private struct State {
        var next = 0
        var readers: [Int: AsyncStream<ProcessEvent>.Continuation] = [:]
        var isFinished = false
    }

    private let state = Mutex(State())

    func stream() -> AsyncStream<ProcessEvent> {
        // Restarts are bounded by their intensity, so a reader this far behind has stopped reading.
        let (stream, continuation) = AsyncStream.makeStream(
            of: ProcessEvent.self, bufferingPolicy: .bufferingNewest(65_536))
        let identifier = state.withLock { state -> Int? in
            guard !state.isFinished else { return nil }
            state.next += 1
            state.readers[state.next] = continuation
            return state.next
        }
        guard let identifier else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.readers.removeValue(forKey: identifier) }
        }
        return stream
    }

    func send(_ event: ProcessEvent) {
        let readers = state.withLock { Array($0.readers.values) }
        for reader in readers { reader.yield(event) }
    }

    func finish() {
        let readers = state.withLock { state in
            state.isFinished = true
            defer { state.readers = [:] }
            return Array(state.readers.values)
        }
        for reader in readers { reader.finish() }
    }
}
