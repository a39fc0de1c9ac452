/// One step of a scenario, as it went.
public struct StepReport: Sendable, Hashable {
    /// The name that the scenario gives it.
    public var name: String
    /// What kind of step it is.
    public var kind: String
    /// When it began, after the run's start.
    public var startedMilliseconds: Int
    /// How long it took.
    public var durationMilliseconds: Int
    /// What the judge says.
    public var verdict: Judgement
    /// Why, in one sentence.
    public var reason: String

    /// Describes a step.
    public init(
        name: String, kind: String, startedMilliseconds: Int, durationMilliseconds: Int,
        verdict: Judgement, reason: String
    ) {
        self.name = name
        self.kind = kind
        self.startedMilliseconds = startedMilliseconds
        self.durationMilliseconds = durationMilliseconds
        self.verdict = verdict
        self.reason = reason
    }
}

/// The move of one agent from a transport to another.
public struct MoveReport: Sendable, Hashable {
    /// How an agent was moved.
    public enum Strategy: String, Sendable, Hashable, CaseIterable {
        /// While it went on running.
        case live
        /// By a drained restart.
        case restart
    }

    /// Who moved.
    public var agent: String
    /// The transport that it left.
    public var from: String
    /// The transport that it went to.
    public var to: String
    /// How.
    public var strategy: Strategy
    /// For how long it did not send.
    public var pauseMicroseconds: Int
    /// For how long the mesh held what was for it.
    public var windowMilliseconds: Int
    /// How long the whole move took.
    public var durationMilliseconds: Int
    /// Envelopes that were held meanwhile.
    public var inFlight: Int
    /// The step that missed its deadline, if one did.
    public var failedStep: String?
    /// How it ended, for example `moved` or `failed`.
    public var outcome: String
    /// Where a fault was made to happen in it: how long after its heal the agent and its home agreed where
    /// it lives.
    public var convergedMilliseconds: Int?

    /// Describes a move.
    public init(
        agent: String, from: String, to: String, strategy: Strategy, pauseMicroseconds: Int,
        windowMilliseconds: Int, durationMilliseconds: Int, inFlight: Int,
        failedStep: String? = nil, outcome: String
    ) {
        self.agent = agent
        self.from = from
        self.to = to
        self.strategy = strategy
        self.pauseMicroseconds = pauseMicroseconds
        self.windowMilliseconds = windowMilliseconds
        self.durationMilliseconds = durationMilliseconds
        self.inFlight = inFlight
        self.failedStep = failedStep
        self.outcome = outcome
    }
}

/// An injected fault, as it went.
public struct FaultReport: Sendable, Hashable {
    /// Its name in the plan.
    public var id: String
    /// What it does.
    public var kind: String
    /// The process that it was done to.
    public var target: String
    /// When it began, after the run's start.
    public var startedMilliseconds: Int
    /// When it was over; `nil` where it never was.
    public var healedMilliseconds: Int?
    /// How many deliveries it touched.
    public var touched: Int

    /// Describes a fault.
    public init(
        id: String, kind: String, target: String, startedMilliseconds: Int,
        healedMilliseconds: Int?, touched: Int
    ) {
        self.id = id
        self.kind = kind
        self.target = target
        self.startedMilliseconds = startedMilliseconds
        self.healedMilliseconds = healedMilliseconds
        self.touched = touched
    }
}

/// An agent that keeps no history: who recorded for it, and what that means.
public struct ObservedAgent: Sendable, Hashable {
    /// The agent.
    public var agent: String
    /// Where its messages were seen, by the transport that it was on.
    public var places: [String: String]
    /// What it is to answer: `ping -> echo`.
    public var answers: [String]
    /// What cannot be seen there, in one sentence.
    public var limits: String

    /// Describes an agent.
    public init(agent: String, places: [String: String], answers: [String], limits: String) {
        self.agent = agent
        self.places = places
        self.answers = answers
        self.limits = limits
    }
}

/// What the run left behind.
public struct Leaks: Sendable, Hashable {
    /// Processes still alive.
    public var processes: Int
    /// TCP ports still bound.
    public var ports: Int
    /// Socket files still there.
    public var sockets: Int
    /// Shared-memory segments still there.
    public var segments: Int
    /// Temporary files still there.
    public var files: Int

    /// Counts what was left; nothing unless said otherwise.
    public init(
        processes: Int = 0, ports: Int = 0, sockets: Int = 0, segments: Int = 0, files: Int = 0
    ) {
        self.processes = processes
        self.ports = ports
        self.sockets = sockets
        self.segments = segments
        self.files = files
    }

    /// All of them together.
    public var total: Int { processes + ports + sockets + segments + files }
}

/// What a run showed, and what the judge says of it: the contents of `verdict.json`.
public struct Verdict: Sendable, Hashable {
    /// Raised when a field changes its meaning or goes away.
    public static let schema = 1
    /// Raised when a field is added.
    public static let schemaMinor = 3

    /// The scenario's name.
    public var scenario: String
    /// The topology's name.
    public var topology: String
    /// The run's name.
    public var run: String
    /// The number that reproduces the run's plan.
    public var seed: UInt64
    /// The digest of the expanded plan.
    public var planDigest: String?
    /// When it began, in nanoseconds since 1970.
    public var started: UInt64
    /// How long it took.
    public var durationMilliseconds: Int
    /// What the judge says.
    public var verdict: Judgement
    /// How it ended.
    public var outcome: Outcome
    /// How the scenario says that it should.
    public var expect: Expectation = .verdict(.pass)
    /// Why, in one sentence.
    public var reason: String
    /// The steps, in order.
    public var steps: [StepReport] = []
    /// Whether everything arrived.
    public var delivery: DeliveryCounts?
    /// Whether two streams say the same.
    public var comparison: ComparisonCounts?
    /// Places that differ by themselves; `nil` where nothing measured them.
    public var noise: [Noise]?
    /// How long envelopes were under way.
    public var latency: Latency?
    /// What was judged about latencies, in order.
    public var judgements: [LatencyJudgement] = []
    /// The moves, in order.
    public var moves: [MoveReport] = []
    /// How long it took to take all moves back, where they were.
    public var rollbackMilliseconds: Int?
    /// The faults, in order.
    public var faults: [FaultReport] = []
    /// The shared-memory pools.
    public var pools: [PoolReport] = []
    /// What agents and proxies took, where the scenario promises something about it.
    public var memory: [MemoryReport] = []
    /// The agents that keep no history.
    public var observed: [ObservedAgent] = []
    /// What was left behind.
    public var leaks = Leaks()
    /// What was found, first the gravest.
    public var findings: [Finding] = []
    /// What the run could not see or prove, whatever it showed: a sentence each.
    public var unproven: [String] = []

    /// A verdict on a run of which nothing else is known yet.
    public init(
        scenario: String, topology: String, run: String, seed: UInt64, started: UInt64,
        durationMilliseconds: Int = 0, verdict: Judgement, outcome: Outcome, reason: String
    ) {
        self.scenario = scenario
        self.topology = topology
        self.run = run
        self.seed = seed
        self.started = started
        self.durationMilliseconds = durationMilliseconds
        self.verdict = verdict
        self.outcome = outcome
        self.reason = reason
    }

    /// Whether the run ended as its scenario says that it should.
    ///
    /// Nothing that was left behind is ever expected, and what is called completed or promoted must
    /// have passed.
    public var isAsExpected: Bool {
        guard leaks.total == 0 else { return false }
        switch expect {
        case .verdict(let judgement): return judgement == verdict
        case .outcome(let outcome):
            let mustPass = outcome == .completed || outcome == .promoted
            return outcome == self.outcome && (!mustPass || verdict == .pass)
        case .both(let judgement, let outcome):
            return judgement == verdict && outcome == self.outcome
        }
    }

    /// The exit code of the command that played the scenario.
    public var exitCode: Int32 { isAsExpected ? 0 : 1 }

    /// Takes over a delivery check: its numbers, its findings and what it could not see.
    public mutating func add(_ report: DeliveryReport) {
        delivery = report.counts
        findings += report.findings
        if report.findingsOmitted > 0 {
            findings.append(
                Finding(
                    .note, .evidence,
                    reason: "\(report.findingsOmitted) more delivery findings are not listed."))
        }
        if report.unobserved > 0 {
            findings.append(
                Finding(
                    .note, .evidence,
                    reason: "\(report.unobserved) envelopes went to agents without a history: "
                        + "whether they arrived is not known."))
        }
        if report.unidentified > 0 {
            findings.append(
                Finding(
                    .note, .evidence,
                    reason: "\(report.unidentified) deliveries carried no identity: whether any "
                        + "were lost or repeated is not known."))
        }
        if report.unread > 0 {
            findings.append(
                Finding(
                    .warning, .evidence,
                    reason: "\(report.unread) envelopes were delivered whose contents in shared "
                        + "memory their receivers did not read."))
        }
        if report.unverified > 0 {
            findings.append(
                Finding(
                    .warning, .evidence,
                    reason: "\(report.unverified) contents in shared memory were read without "
                        + "comparing their digests: whether they were altered is not known."))
        }
        if report.unobservedContents > 0 {
            findings.append(
                Finding(
                    .note, .evidence,
                    reason:
                        "\(report.unobservedContents) contents in shared memory were for agents "
                        + "without a history: whether they could be read is not known."))
        }
        if report.pending > 0 {
            findings.append(
                Finding(
                    .warning, .evidence,
                    reason: "\(report.pending) deliveries were pending when the run was judged."))
        }
        findings += report.notes.map { Finding(.warning, .evidence, reason: $0) }
    }

    /// Takes over a comparison: its findings, and its numbers added to those of the ones before.
    public mutating func add(_ report: ComparisonReport) {
        if comparison == nil { comparison = report.counts } else { comparison?.add(report.counts) }
        findings += report.findings
        if report.differencesOmitted > 0 {
            findings.append(
                Finding(
                    .note, .evidence,
                    reason: "\(report.differencesOmitted) more differences are not listed."))
        }
    }

    /// Puts the findings in the order in which they are told: errors, warnings, notes.
    public mutating func sortFindings() {
        findings = Finding.Severity.allCases.flatMap { severity in
            findings.filter { $0.severity == severity }
        }
    }
}
