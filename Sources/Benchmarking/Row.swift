/// One line of the table: what was measured, against what, and whether that is good enough.
public struct Row: Sendable {
    /// What a row must reach.
    public enum Target: Sendable, Hashable {
        /// Ours divided by the reference is at least this.
        case ratioAtLeast(Double)
        /// Ours divided by the reference is at most this.
        case ratioAtMost(Double)
        /// Ours is at least this, in the row's unit.
        case atLeast(Double)
        /// Ours is at most this, in the row's unit.
        case atMost(Double)
        /// Only to be looked at.
        case none
    }

    /// What was measured; the key by which runs are compared.
    public let metric: String
    /// What `ours` and `reference` are in.
    public let unit: String
    /// Each run of ours.
    public let ours: [Double]
    /// Each run of the reference in the same minutes; empty where there is none.
    public let reference: [Double]
    /// What it must reach.
    public let target: Target

    /// Makes a row; `ours` is not empty.
    public init(
        _ metric: String, unit: String, ours: [Double], reference: [Double] = [],
        target: Target = .none
    ) {
        self.metric = metric
        self.unit = unit
        self.ours = ours
        self.reference = reference
        self.target = target
    }

    /// The median of the ratios of runs that stood beside each other.
    ///
    /// Absolute figures wander with the machine's other work; what runs next to each other has the
    /// same weather.
    public var ratio: Double? {
        guard !reference.isEmpty, ours.count == reference.count else { return nil }
        return Statistics.median(zip(ours, reference).map { $0 / max($1, .leastNormalMagnitude) })
    }

    /// Whether the target is met; nil where there is none, or nothing to divide by.
    public var met: Bool? {
        let median = Statistics.median(ours)
        switch target {
        case .ratioAtLeast(let bound): return ratio.map { $0 >= bound }
        case .ratioAtMost(let bound): return ratio.map { $0 <= bound }
        case .atLeast(let bound): return median >= bound
        case .atMost(let bound): return median <= bound
        case .none: return nil
        }
    }
}

extension Row.Target: CustomStringConvertible {
    /// As a person writes it: `>= 0.9x`, `<= 25`; empty where there is none.
    public var description: String {
        switch self {
        case .ratioAtLeast(let bound): ">= \(Statistics.text(bound))x"
        case .ratioAtMost(let bound): "<= \(Statistics.text(bound))x"
        case .atLeast(let bound): ">= \(Statistics.text(bound))"
        case .atMost(let bound): "<= \(Statistics.text(bound))"
        case .none: ""
        }
    }
}
