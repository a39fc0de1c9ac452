public import Analysis
public import Recording
internal import Wire

/// What a checker looks at: everything that a run has left, and nothing else.
public struct Evidence: Sendable {
    /// What the processes recorded.
    public var histories: [History]
    /// What is expected of whom.
    public var scope: DeliveryScope
    /// When faults were healed, by the run's clock.
    public var heals: [UInt64]

    /// Evidence of a run.
    public init(
        histories: [History], scope: DeliveryScope = DeliveryScope(), heals: [UInt64] = []
    ) {
        self.histories = histories
        self.scope = scope
        self.heals = heals
    }
}

/// What a checker says.
public struct CheckOutcome: Sendable, Hashable {
    /// The checker.
    public var name: String
    /// What it decided.
    public var verdict: Judgement
    /// Why, in one sentence.
    public var reason: String
    /// The first things that are wrong.
    public var findings: [Finding]
    /// Things beyond those.
    public var findingsOmitted: Int

    /// An outcome.
    public init(
        _ name: String, _ verdict: Judgement, reason: String, findings: [Finding] = []
    ) {
        self.name = name
        self.verdict = verdict
        self.reason = reason
        self.findings = Array(findings.prefix(CheckOutcome.findingsMax))
        findingsOmitted = max(0, findings.count - CheckOutcome.findingsMax)
    }

    /// More findings are counted alone.
    public static let findingsMax = 1_000
}

/// Decides one question about a run from its evidence alone: no clock, no input, no memory.
public protocol Checker: Sendable {
    /// How people name it, parameters included.
    var name: String { get }
    /// Decides.
    ///
    /// - Throws: Whatever keeps it from deciding.
    func check(_ evidence: Evidence) throws -> CheckOutcome
}

extension Checker {
    /// Decides; one that cannot is inconclusive, never a pass.
    public func outcome(of evidence: Evidence) -> CheckOutcome {
        do {
            return try check(evidence)
        } catch {
            return CheckOutcome(
                name, .inconclusive, reason: "The checker could not decide: \(error).")
        }
    }

    /// A pass where nothing is wrong and something was looked at.
    func outcome(
        looked count: Int, at what: String, findings: [Finding], wrong: String
    ) -> CheckOutcome {
        if let first = findings.first {
            let more = findings.count > 1 ? " (\(findings.count) in all)" : ""
            return CheckOutcome(
                name, .fail, reason: "\(wrong)\(more): \(first.reason)", findings: findings)
        }
        guard count > 0 else {
            return CheckOutcome(name, .inconclusive, reason: "There are no \(what) to look at.")
        }
        return CheckOutcome(name, .pass, reason: "\(count) \(what), nothing wrong.")
    }
}

/// The records of one process, or of several, that are acted on.
extension Evidence {
    /// Histories of processes that speak for themselves.
    var own: [History] { histories.filter { !scope.proxies.contains($0.process) } }

    /// What answers what.
    var causes: [Identity: Identity] {
        var causes: [Identity: Identity] = [:]
        for annotation in histories.lazy.flatMap(\.annotations) {
            if case .cause(let of, let by, _) = annotation { causes[of] = by }
        }
        return causes
    }
}
