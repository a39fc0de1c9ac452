internal import Glibc
internal import Synchronization

/// A thread of its own for calls that block, so that none ever blocks Swift's cooperative pool.
package final class DedicatedThread: Sendable {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    // Nil once it is joined.
    private let handle: Mutex<pthread_t?>

    /// Starts a thread.
    package init(_ run: @escaping @Sendable () -> Void) throws(ControlError) {
        let body = Unmanaged.passRetained(Body(run))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard code == 0 else {
            body.release()
            throw .thread(code)
        }
        handle = Mutex(thread)
    }

    deinit {
        if let thread = handle.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Waits for the thread's end.
    ///
    /// The first caller waits; another returns at once.
    package func join() {
        let thread = handle.withLock { handle in
            let taken = handle
            handle = nil
            return taken
        }
        if let thread { pthread_join(thread, nil) }
    }
}
