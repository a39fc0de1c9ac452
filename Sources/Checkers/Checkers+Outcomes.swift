public import Analysis
public import Recording

/// What a command of the user's own is given.
public struct CommandLimits: Sendable, Hashable {
    /// How long it may take.
    public var time: Duration
    /// Where it is run; nil in the caller's folder.
    public var directory: String?

    /// Limits of commands.
    public init(time: Duration, directory: String? = nil) {
        self.time = time
        self.directory = directory
    }
}

extension Checkers {
    /// What checkers say of histories, one after the other.
    ///
    /// - Parameters:
    ///   - names: As `named` takes them.
    ///   - paths: The histories of one mesh.
    ///   - scope: What is expected of whom.
    ///   - limits: Those of commands.
    /// - Returns: An outcome for each name, in their order.
    /// - Throws: `HistoryError` where a history cannot be read at all.
    public static func outcomes(
        of names: [String], on paths: [String], in scope: DeliveryScope, limits: CommandLimits
    ) throws(HistoryError) -> [CheckOutcome] {
        var histories: [History] = []
        for path in paths { histories.append(try HistoryReader.read(path: path)) }
        let evidence = Evidence(
            histories: histories, scope: scope, heals: scope.faults.compactMap(\.healed))
        return names.map { name in
            do throws(CheckerNameError) {
                let outcome =
                    try named(name)?.outcome(of: evidence)
                    ?? CommandChecker.run(
                        String(name.dropFirst("command:".count)), paths: paths, limits: limits)
                return undamaged(evidence, outcome)
            } catch {
                return CheckOutcome(name, .inconclusive, reason: error.description)
            }
        }
    }

    /// What a damaged history no longer says cannot be passed.
    private static func undamaged(_ evidence: Evidence, _ outcome: CheckOutcome) -> CheckOutcome {
        guard outcome.verdict == .pass,
            let note = evidence.histories.lazy.compactMap(\.notes.first).first
        else { return outcome }
        return CheckOutcome(
            outcome.name, .inconclusive, reason: "A history is damaged: \(note).")
    }
}
