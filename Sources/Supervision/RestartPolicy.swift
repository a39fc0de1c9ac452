/// Whether and how fast a process that ended by itself is started again, and when to give up.
public struct RestartPolicy: Hashable, Sendable {
    /// Which ends are followed by a restart.
    public enum Condition: String, CaseIterable, Hashable, Sendable {
        /// None.
        case never
        /// All but exit code 0.
        case onFailure = "on_failure"
        /// All.
        case always
    }

    /// Which ends are followed by a restart.
    public var condition: Condition
    /// The wait before the first restart; it doubles with each further one.
    public var backoff: Duration
    /// The longest wait before a restart.
    public var backoffMax: Duration
    /// Which share of each wait, from 0 to 1, is up to chance, so that what failed together does not
    /// come back together.
    public var jitter: Double
    /// How long a process must have run for its next wait to be the first one again.
    public var stable: Duration
    /// How many restarts within `period` are tolerated; the next end is final.
    public var maxRestarts: Int
    /// How far back restarts count.
    public var period: Duration

    /// A policy from its parts.
    public init(
        _ condition: Condition, backoff: Duration = .milliseconds(100),
        backoffMax: Duration = .seconds(5), jitter: Double = 0, stable: Duration = .seconds(10),
        maxRestarts: Int = 5, period: Duration = .seconds(30)
    ) {
        self.condition = condition
        self.backoff = backoff
        self.backoffMax = backoffMax
        self.jitter = min(max(jitter, 0), 1)
        self.stable = stable
        self.maxRestarts = maxRestarts
        self.period = period
    }

    /// An end is an end.
    public static let never = RestartPolicy(.never)

    /// Whether a process that ended so by itself is to come back.
    func wants(after cause: ExitCause, probeFailed: Bool = false) -> Bool {
        switch condition {
        case .never: false
        // One that was ended because it did not answer has failed, whatever code it left with.
        case .onFailure: probeFailed || cause != .exited(code: 0)
        case .always: true
        }
    }

    /// How long to wait after so many ends without a stable time in between.
    ///
    /// - Parameters:
    ///   - failures: How many there were before this one.
    ///   - chance: Any number; the same one gives the same wait.
    /// - Returns: The wait, never longer than `backoffMax`.
    func delay(failures: Int, chance: UInt64) -> Duration {
        // Beyond 2^20 the cap has long taken over.
        let full = min(backoff * (1 << min(failures, 20)), backoffMax)
        guard jitter > 0, full > .zero else { return full }
        let share = Double(chance >> 11) / Double(1 << 53) * jitter
        return full - full * share
    }
}

/// What else is started again when one process of a group ends.
public enum GroupStrategy: String, CaseIterable, Hashable, Sendable {
    /// Nothing.
    case oneForOne = "one_for_one"
    /// All of the group.
    case oneForAll = "one_for_all"
    /// Those that come after it.
    case restForOne = "rest_for_one"
}

/// Processes that live and die together.
public struct GroupRule: Hashable, Sendable {
    /// What it is called.
    public var name: String
    /// What else is started again when one of them is.
    public var strategy: GroupStrategy
    /// Its processes in the order in which they start.
    public var members: [String]
    /// How many restarts within `period` are tolerated in the whole group; at the next one, all of it
    /// is stopped for good.
    public var maxRestarts: Int
    /// How far back restarts count.
    public var period: Duration

    /// A rule from its parts.
    public init(
        name: String, strategy: GroupStrategy, members: [String], maxRestarts: Int = 5,
        period: Duration = .seconds(30)
    ) {
        self.name = name
        self.strategy = strategy
        self.members = members
        self.maxRestarts = maxRestarts
        self.period = period
    }
}
