/// A process that was started.
public struct RunningProcess: Hashable, Sendable {
    /// The name that it was started under.
    public let name: String
    /// Which start this is, from 1.
    public let incarnation: UInt32
    /// Its process number, which is also that of its process group.
    public let process: Int32
    /// When it was started, in nanoseconds of the monotonic clock.
    public let startedAt: UInt64
}

/// What happens to processes, in the order in which it happens.
public enum ProcessEvent: Hashable, Sendable {
    /// A process was started.
    case started(RunningProcess)
    /// A process ended, and its output up to then is in its log.
    case exited(ExitReport)
    /// A process is going to be started again.
    case restarting(name: String, incarnation: UInt32, after: Duration)
    /// A process is not started again, although its policy wanted it.
    case givenUp(name: String, reason: String)
    /// All that must pass of a process's probes does.
    case ready(name: String, incarnation: UInt32)
    /// A process that was ready is not any more.
    case unready(name: String, incarnation: UInt32, reason: String)
    /// A fault stopped a process from running, without ending it.
    case paused(name: String, fault: String)
    /// A paused process goes on.
    case resumed(name: String)
}

extension ProcessEvent: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        switch self {
        case .started(let running):
            "\(running.name) started (process \(running.process), "
                + "incarnation \(running.incarnation))"
        case .exited(let report): report.description
        case .restarting(let name, let incarnation, let after):
            "\(name) is started again in \(after) (incarnation \(incarnation))"
        case .givenUp(let name, let reason): "\(name) is given up: \(reason)"
        case .ready(let name, _): "\(name) is ready"
        case .unready(let name, _, let reason): "\(name) is not ready any more: \(reason)"
        case .paused(let name, let fault): "\(name) paused by injected fault \(fault)"
        case .resumed(let name): "\(name) goes on"
        }
    }
}

/// What a process is doing, in one answer.
public struct ProcessStatus: Hashable, Sendable {
    /// The stages of a process's life.
    public enum Phase: String, Hashable, Sendable {
        /// It runs.
        case running
        /// It was asked to end, or has ended and its group or its output has not.
        case stopping
        /// It ended and will be started again.
        case restarting
        /// It has ended for good, unless somebody starts it again.
        case ended
    }

    /// The name that it was started under.
    public let name: String
    /// The latest start, from 1.
    public let incarnation: UInt32
    /// What it is doing.
    public let phase: Phase
    /// Its process number while it has one.
    public let process: Int32?
    /// When that was started, in nanoseconds of the monotonic clock.
    public let startedAt: UInt64?
    /// Whether a fault keeps it from running.
    public let isPaused: Bool
    /// How its latest end came about.
    public let lastExit: ExitReport?
    /// Whether it runs, and its probes say that it is ready.
    public let isReady: Bool
    /// What is known of its probes while it runs.
    public let probes: [ProbeStatus]
    /// When it is started again, in nanoseconds of the monotonic clock, while it waits for that.
    public let restartsAt: UInt64?
}
