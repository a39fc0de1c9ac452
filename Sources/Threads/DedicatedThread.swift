internal import CLinux
internal import Glibc
internal import Synchronization

/// A thread of its own for calls that block, so that none ever blocks Swift's cooperative pool.
///
/// It takes no signals. Whoever needs its end keeps it and joins; otherwise it ends by itself.
public final class DedicatedThread: Sendable {
    private final class Work {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    // Nil once it is joined.
    private let handle: Mutex<pthread_t?>

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: What it is called in a debugger; the system keeps 15 bytes of it.
    ///   - body: What it does.
    /// - Throws: `ThreadError` when there is no room for it.
    public init(
        named name: String, _ body: @escaping @Sendable () -> Void
    ) throws(ThreadError) {
        // The new thread inherits the mask, so there is no instant at which it could take a signal.
        var previous = synmesh_signal_mask()
        synmesh_signals_block(&previous)
        defer { synmesh_signals_restore(&previous) }

        let work = Unmanaged.passRetained(Work(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
                synmesh_name_thread(work.name)
                work.body()
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            work.release()
            throw ThreadError("could not start the thread \(name)", code)
        }
        handle = Mutex(thread)
    }

    deinit {
        if let thread = handle.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Waits for the thread's end.
    ///
    /// The first caller waits; another returns at once.
    public func join() {
        let thread = handle.withLock { handle in
            let taken = handle
            handle = nil
            return taken
        }
        if let thread { pthread_join(thread, nil) }
    }
}

/// Runs code that blocks on a thread of its own and waits for its result.
///
/// Swift's cooperative pool has only as many threads as the machine has cores, so a blocking call
/// there stops everybody. This is the one way round it.
///
/// - Parameters:
///   - name: What the thread is called in a debugger; the system keeps 15 bytes of it.
///   - body: What to do there. It must end by itself: nothing can interrupt it.
/// - Returns: What `body` returned.
/// - Throws: What `body` threw, or `ThreadError` when there is no room for a thread.
public func onDedicatedThread<Value: Sendable>(
    named name: String, _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        do throws(ThreadError) {
            _ = try DedicatedThread(named: name) {
                continuation.resume(with: Result(catching: body))
            }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}
