internal import CLinux
internal import Glibc

/// The requests to end that reach this process: Ctrl-C, SIGTERM and a closed terminal.
public struct TerminationSignals: Sendable {
    /// The signals, as numbers, in the order in which they came.
    ///
    /// The same signal again within a quarter of a second counts once: a terminal or `timeout`
    /// signals the whole process group, and the guardian passes its copy on.
    public let arrivals: AsyncStream<Int32>

    /// Takes over SIGINT, SIGTERM and SIGHUP, so that they no longer end the process by themselves.
    ///
    /// Call it on the main thread before any other thread is made: a signal goes to whichever
    /// thread does not block it. A signal that this process was started to ignore (`nohup`, a
    /// background job of a shell) stays ignored.
    public init() throws(SupervisionError) {
        let numbers = [SIGINT, SIGTERM, SIGHUP]
        let descriptor = synmesh_signalfd(numbers, numbers.count)
        guard descriptor >= 0 else { throw .system("could not take over the signals") }
        let (stream, continuation) = AsyncStream.makeStream(
            of: Int32.self, bufferingPolicy: .bufferingOldest(16))
        arrivals = stream
        try DedicatedThread.start(named: "signals") {
            var last: [Int32: UInt64] = [:]
            while true {
                var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                poll(&item, 1, -1)
                var signal = synmesh_signal()
                guard synmesh_signalfd_read(descriptor, &signal) == 1 else { continue }
                let now = monotonicNow()
                if let before = last[signal.number], now - before < 250_000_000 { continue }
                last[signal.number] = now
                continuation.yield(signal.number)
            }
        }
    }
}
