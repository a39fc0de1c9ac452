internal import Glibc

/// A process for good: its number may mean another one later, but not with this start.
public struct ProcessIdentity: Hashable, Sendable {
    /// Its number.
    public let process: Int32
    /// When it started, in clock ticks since boot.
    public let startTicks: UInt64

    /// A process that was noted down.
    public init(process: Int32, startTicks: UInt64) {
        self.process = process
        self.startTicks = startTicks
    }

    /// The process that has this number now; nil where there is none.
    public init?(of process: Int32) {
        guard let record = ProcessTable.record(of: process) else { return nil }
        self.init(process: process, startTicks: record.startTicks)
    }

    /// This process.
    public static var own: ProcessIdentity? { ProcessIdentity(of: getpid()) }

    /// Whether it lives: what has ended and only waits to be reaped does not.
    public var isAlive: Bool {
        guard let record = ProcessTable.record(of: process) else { return false }
        return record.startTicks == startTicks && !record.isZombie
    }
}
