internal import Glibc

/// A thread for calls that block; never one of Swift's cooperative pool.
final class DedicatedThread: Sendable {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private let thread: pthread_t

    /// Starts the thread.
    init(_ run: @escaping @Sendable () -> Void) throws(MessagingError) {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(run))
        let result = pthread_create(&thread, nil, runDedicatedThread, body.toOpaque())
        guard result == 0 else {
            body.release()
            throw MessagingError(
                .receive, .system("no thread: " + String(cString: strerror(result))))
        }
        self.thread = thread
    }

    /// Waits for the end of the thread; to be called once.
    func join() { pthread_join(thread, nil) }

    fileprivate static func run(_ raw: UnsafeMutableRawPointer) {
        let body = Unmanaged<Body>.fromOpaque(raw).takeRetainedValue()
        body.run()
    }
}

// A function of its own: a closure could inherit an actor's isolation.
private func runDedicatedThread(_ raw: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let raw { DedicatedThread.run(raw) }
    return nil
}
