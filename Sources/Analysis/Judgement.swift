/// What a judge says about a step or a run.
///
/// The order is the order of severity: composing judgements keeps the worst and never upgrades one.
public enum Judgement: String, Sendable, Hashable, CaseIterable, Comparable {
    case pass
    case inconclusive
    case fail

    private var severity: Int {
        switch self {
        case .pass: 0
        case .inconclusive: 1
        case .fail: 2
        }
    }

    /// Whether `left` is the milder judgement.
    public static func < (left: Judgement, right: Judgement) -> Bool {
        left.severity < right.severity
    }

    /// The worst of several; nothing judged is inconclusive, never a pass.
    public static func worst(of judgements: some Sequence<Judgement>) -> Judgement {
        judgements.max() ?? .inconclusive
    }
}

/// A judgement with its reason in one sentence.
public struct StepVerdict: Sendable, Hashable {
    /// What the judge says.
    public let verdict: Judgement
    /// Why, in one sentence.
    public let reason: String

    /// Makes a verdict.
    public init(_ verdict: Judgement, reason: String) {
        self.verdict = verdict
        self.reason = reason
    }

    /// Runs a checker; one that throws says nothing about the mesh, so it is inconclusive.
    public static func checking(
        _ name: String, _ body: () throws -> StepVerdict
    ) -> StepVerdict {
        do {
            return try body()
        } catch {
            return StepVerdict(.inconclusive, reason: "The checker '\(name)' failed: \(error).")
        }
    }

    /// The worst of several verdicts, with the reason of the first that is as bad.
    public static func composed(of verdicts: [StepVerdict]) -> StepVerdict {
        let worst = Judgement.worst(of: verdicts.map(\.verdict))
        let reason = verdicts.first { $0.verdict == worst }?.reason ?? "Nothing was judged."
        return StepVerdict(worst, reason: reason)
    }
}

/// How a scenario ended.
public enum Outcome: String, Sendable, Hashable, CaseIterable {
    case completed
    case promoted
    case rolledBack = "rolled_back"
    case held
    case aborted
}

/// What a scenario says it should end with: a scenario is a test of itself.
public enum Expectation: Sendable, Hashable {
    case verdict(Judgement)
    case outcome(Outcome)
    /// Both: a rollback that was planned is `pass`, one that had to be is `fail`.
    case both(Judgement, Outcome)

    /// Reads the word that stands in a scenario file.
    public init?(_ word: String) {
        let parts = word.split(separator: ", ", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2, let judgement = Judgement(rawValue: parts[0]),
            let outcome = Outcome(rawValue: parts[1])
        {
            self = .both(judgement, outcome)
        } else if let judgement = Judgement(rawValue: word) {
            self = .verdict(judgement)
        } else if let outcome = Outcome(rawValue: word) {
            self = .outcome(outcome)
        } else {
            return nil
        }
    }

    /// The word that stands in a scenario file.
    public var word: String {
        switch self {
        case .verdict(let judgement): judgement.rawValue
        case .outcome(let outcome): outcome.rawValue
        case .both(let judgement, let outcome): "\(judgement.rawValue), \(outcome.rawValue)"
        }
    }

    /// Every word that a scenario may expect.
    public static var words: [String] {
        Judgement.allCases.map(\.rawValue) + Outcome.allCases.map(\.rawValue)
    }
}
