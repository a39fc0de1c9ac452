internal import CLinux
internal import Glibc

/// Runs code that blocks on a thread of its own and waits for its result.
///
/// Swift's cooperative pool has only as many threads as the machine has cores, so a blocking call
/// there stops everybody. This is the one way round it.
///
/// - Parameters:
///   - name: What the thread is called in a debugger; the system keeps 15 bytes of it.
///   - body: What to do there. It must end by itself: nothing can interrupt it.
/// - Returns: What `body` returned.
/// - Throws: What `body` threw, or `SupervisionError` when there is no room for a thread.
public func onDedicatedThread<Value: Sendable>(
    named name: String, _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        do {
            try DedicatedThread.start(named: name) {
                continuation.resume(with: Result(catching: body))
            }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// Threads that are ours: they take no signals, and nobody joins them.
enum DedicatedThread {
    private final class Work {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a thread.
    static func start(
        named name: String, _ body: @escaping @Sendable () -> Void
    ) throws(SupervisionError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))

        // The new thread inherits the mask, so there is no instant at which it could take a signal.
        var previous = synmesh_signal_mask()
        synmesh_signals_block(&previous)
        defer { synmesh_signals_restore(&previous) }

        let work = Unmanaged.passRetained(Work(name: name, body: body))
        var thread = pthread_t()
        let error = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
                synmesh_name_thread(work.name)
                work.body()
                return nil
            }, work.toOpaque())
        guard error == 0 else {
            work.release()
            throw .system("could not start the thread \(name)", error)
        }
    }
}
