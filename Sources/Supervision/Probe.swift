/// Something that is asked of a process again and again, or waited for from it.
public struct ProbeRule: Hashable, Sendable {
    /// What follows from it.
    public enum Role: String, CaseIterable, Hashable, Sendable {
        /// Until it has passed, nothing else is asked; when it fails, the process is ended.
        case startup
        /// While it fails, the process is not ready.
        case readiness
        /// When it fails, the process is ended.
        case liveness
    }

    /// What is done.
    public enum Test: Hashable, Sendable {
        /// A program is run in the process's environment, and passes with exit code 0.
        case command([String])
        /// A page is asked for, and passes with a status of 200 to 399.
        case http(host: String, port: UInt16, path: String)
        /// A connection is opened.
        case tcp(host: String, port: UInt16)
        /// A line of its output is waited for: an extended regular expression.
        case line(String)
        /// A line break is waited for that it writes to this descriptor.
        case descriptor(Int32)
    }

    /// Its name within the process.
    public var name: String
    /// What follows from it.
    public var role: Role
    /// What is done.
    public var test: Test
    /// How long after the start the first one is.
    public var delay: Duration
    /// How long after one begins the next one does.
    public var period: Duration
    /// How long one may take.
    public var timeout: Duration
    /// How many must pass, one after the other, for it to pass.
    public var successes: Int
    /// How many must fail, one after the other, for it to fail.
    public var failures: Int

    /// A rule from its parts.
    public init(
        name: String, role: Role = .readiness, test: Test, delay: Duration = .zero,
        period: Duration = .seconds(1), timeout: Duration = .seconds(1), successes: Int = 1,
        failures: Int = 3
    ) {
        self.name = name
        self.role = role
        self.test = test
        self.delay = delay
        self.period = period
        self.timeout = timeout
        self.successes = max(successes, 1)
        self.failures = max(failures, 1)
    }

    /// Whether it is heard of by itself, and not asked.
    var isHeard: Bool {
        switch test {
        case .line, .descriptor: true
        case .command, .http, .tcp: false
        }
    }
}

extension ProbeRule: CustomStringConvertible {
    /// What it does, such as "tcp 127.0.0.1:5432".
    public var description: String {
        switch test {
        case .command(let words): "exec \(words.joined(separator: " "))"
        case .http(let host, let port, let path): "http://\(host):\(port)\(path)"
        case .tcp(let host, let port): "tcp \(host):\(port)"
        case .line(let pattern): "a line that matches \(pattern)"
        case .descriptor(let number): "a line break on descriptor \(number)"
        }
    }
}

/// What is known of a probe of a process that runs.
public struct ProbeStatus: Hashable, Sendable {
    /// The rule that it follows.
    public let rule: ProbeRule
    /// Whether it passes; nil while that is not known.
    public internal(set) var passes: Bool?
    /// What was seen last, such as "connection refused".
    public internal(set) var reason: String
}

/// How often in a row a probe has passed or failed.
///
/// Level-triggered: it can turn as often as the process does.
struct ProbeTally: Hashable, Sendable {
    private(set) var passes: Bool?
    private var streak = 0
    private var lastPassed: Bool?

    /// Counts a result; true when the probe has turned.
    mutating func take(_ passed: Bool, by rule: ProbeRule) -> Bool {
        streak = passed == lastPassed ? streak + 1 : 1
        lastPassed = passed
        guard streak >= (passed ? rule.successes : rule.failures), passes != passed else {
            return false
        }
        passes = passed
        return true
    }
}

/// What the probes of one incarnation say together.
struct Health: Hashable, Sendable {
    let incarnation: UInt32
    private(set) var probes: [ProbeStatus]

    init(incarnation: UInt32, rules: [ProbeRule]) {
        self.incarnation = incarnation
        probes = rules.map { ProbeStatus(rule: $0, passes: nil, reason: "not asked yet") }
    }

    /// Whether all that must have passed has, and all that must pass does.
    var isReady: Bool { missing == nil }

    /// The first thing that is missing for it to be ready.
    var missing: ProbeStatus? {
        probes.first { $0.rule.role != .liveness && $0.passes != true }
    }

    mutating func take(_ index: Int, passes: Bool?, reason: String) {
        guard probes.indices.contains(index) else { return }
        probes[index].passes = passes
        probes[index].reason = reason
    }
}

/// How a wait for a process to be ready ended.
public enum ReadyOutcome: Hashable, Sendable {
    /// It is ready.
    case ready
    /// It has ended, and does not come back.
    case ended(ExitReport)
    /// Time is up: what was missing.
    case late(String)
}
