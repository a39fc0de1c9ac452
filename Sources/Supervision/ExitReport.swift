internal import Glibc

/// How a process ended, as the kernel says it.
public enum ExitCause: Hashable, Sendable {
    /// It returned or called `exit`.
    case exited(code: Int32)
    /// A signal ended it.
    case signalled(number: Int32, coreDumped: Bool)
    /// Somebody else reaped it: it ended, and nobody knows how.
    case unknown
}

extension ExitCause: CustomStringConvertible {
    /// The cause in words, such as "killed by signal 9 (SIGKILL)".
    public var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .signalled(let number, let coreDumped):
            "killed by \(signalWords(number))" + (coreDumped ? ", core dumped" : "")
        case .unknown: "ended, cause unknown"
        }
    }
}

/// Who brought an end about.
public enum ExitAttribution: Hashable, Sendable {
    /// The process itself: it returned, or it crashed.
    case itself
    /// We: it was stopped, or asked to end and expected to.
    case us
    /// An injected fault, by its name.
    case fault(String)
    /// The kernel, for want of memory or because of a limit.
    case kernel(String)
    /// We, because a probe, by its name, said that it did not answer any more.
    case probe(String)
    /// Somebody who is no part of the run, such as a person with `kill`.
    case outside
}

extension ExitAttribution: CustomStringConvertible {
    /// The attribution in words, such as "by injected fault kill-1".
    public var description: String {
        switch self {
        case .itself: "by itself"
        case .us: "stopped by us"
        case .fault(let name): "by injected fault \(name)"
        case .kernel(let reason): "by the kernel (\(reason))"
        case .probe(let name): "ended because its probe \(name) failed"
        case .outside: "by someone outside the run"
        }
    }
}

/// The end of one incarnation of a process.
public struct ExitReport: Hashable, Sendable {
    /// The name that it was started under.
    public let name: String
    /// Which start it was, from 1.
    public let incarnation: UInt32
    /// Its process number.
    public let process: Int32
    /// How it ended.
    public let cause: ExitCause
    /// Who brought it about.
    public let attribution: ExitAttribution
    /// Whether it did not end within its grace and was killed.
    public let wasKilledAfterGrace: Bool
    /// When we learned of it, in nanoseconds of the monotonic clock.
    public let endedAt: UInt64
    /// What it had started that was in no process group of its own any more, and was killed.
    public internal(set) var escaped: [ProcessRecord] = []

    /// Whether the end is one that nobody asked for.
    public var isFailure: Bool {
        switch attribution {
        case .us: wasKilledAfterGrace
        case .itself: cause != .exited(code: 0)
        case .fault, .kernel, .probe, .outside: true
        }
    }
}

extension ExitReport: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        "\(name) (process \(process), incarnation \(incarnation)) \(cause), \(attribution)"
            + (wasKilledAfterGrace ? ", after it ignored SIGTERM for its whole grace" : "")
    }
}

extension ExitAttribution {
    /// What is known about a process when it ends.
    struct Circumstances {
        /// We sent it a signal to stop, or were told to expect its end.
        var weAsked: Bool
        /// The last fault whose signal may still be what ended it.
        var fault: (name: String, signal: CInt)?
        /// The kernel has killed something for want of memory since we last looked.
        var memoryRanOut: Bool
        /// The probe whose failure we ended it for.
        var failedProbe: String?
    }

    /// Who brought `cause` about.
    init(of cause: ExitCause, _ circumstances: Circumstances) {
        if let fault = circumstances.fault, Self.explains(fault.signal, cause) {
            self = .fault(fault.name)
            return
        }
        if let probe = circumstances.failedProbe {
            self = .probe(probe)
            return
        }
        switch cause {
        case .exited, .unknown:
            self = circumstances.weAsked ? .us : .itself
        case .signalled(let number, _):
            switch number {
            case SIGTERM, SIGKILL:
                if circumstances.weAsked {
                    self = .us
                } else if number == SIGKILL, circumstances.memoryRanOut {
                    self = .kernel("out of memory")
                } else {
                    self = .outside
                }
            case SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM: self = .outside
            case SIGXCPU: self = .kernel("limit on processor time")
            case SIGXFSZ: self = .kernel("limit on file size")
            default: self = .itself
            }
        }
    }

    /// Whether a signal that a fault sent accounts for an end: it is what killed, or it is one that
    /// programs handle by exiting.
    private static func explains(_ signal: CInt, _ cause: ExitCause) -> Bool {
        switch cause {
        case .signalled(let number, _): number == signal
        case .unknown: signal == SIGKILL
        case .exited: [SIGTERM, SIGINT, SIGHUP, SIGQUIT].contains(signal)
        }
    }
}
