internal import Glibc

/// The run's one clock: the machine's monotonic one, moved to 1970 by the run's offset.
///
/// Every process of the run is given the same offset. The clock never runs backwards, and times of
/// two processes compare.
public struct RunClock: Sendable, Hashable {
    /// Nanoseconds from the monotonic clock's zero to 1970.
    public let offset: Int64

    /// A clock with the run's offset.
    public init(offset: Int64) {
        self.offset = offset
    }

    /// A clock whose offset is read now from the real-time clock.
    ///
    /// Once a run, by its orchestrator.
    public static func starting() -> RunClock {
        RunClock(offset: read(CLOCK_REALTIME) - read(CLOCK_MONOTONIC))
    }

    /// Nanoseconds since 1970.
    public var now: UInt64 { UInt64(Self.read(CLOCK_MONOTONIC) + offset) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
