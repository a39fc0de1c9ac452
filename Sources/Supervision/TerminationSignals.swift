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
    /// Once a process. A signal that this process was started to ignore (`nohup`, a background job
    /// of a shell) stays ignored.
    public init() throws(SupervisionError) {
        let numbers = [SIGINT, SIGTERM, SIGHUP]
        let descriptor = synmesh_signals_catch(numbers, numbers.count)
        guard descriptor >= 0 else { throw .system("could not take over the signals") }
        let (stream, continuation) = AsyncStream.makeStream(
            of: Int32.self, bufferingPolicy: .bufferingOldest(16))
        arrivals = stream
        try startThread(named: "signals") {
            var last: [Int32: UInt64] = [:]
            while true {
                var byte: UInt8 = 0
                guard read(descriptor, &byte, 1) == 1 else { continue }
                let number = Int32(byte)
                let now = monotonicNow()
                if let before = last[number], now - before < 250_000_000 { continue }
                last[number] = now
                continuation.yield(number)
            }
        }
    }
}
