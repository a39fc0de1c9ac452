/// How a place in a content is compared.
public struct PathRule: Sendable, Hashable {
    /// What a rule does.
    public enum Treatment: Sendable, Hashable {
        /// Differences here and below do not count.
        case ignore
        /// Something must stand here on both sides; what, does not count.
        case presence
        /// Numbers here and below may differ by this much.
        case absolute(Double)
        /// Numbers here and below may differ by this share of the larger magnitude.
        case relative(Double)
        /// The list's order does not count; how often an element stands in it does.
        case multiset
        /// Neither the list's order nor its repetitions count.
        case set
        /// The list's elements are paired by this member of theirs.
        case keyed(String)
    }

    /// Where the rule holds.
    public let pattern: PathPattern
    /// What it does there.
    public let treatment: Treatment
    /// The message type that it is for; `nil` for all.
    public let type: String?

    /// Makes a rule.
    public init(_ pattern: PathPattern, _ treatment: Treatment, type: String? = nil) {
        self.pattern = pattern
        self.treatment = treatment
        self.type = type
    }

    /// Makes a rule from a pattern's text.
    ///
    /// - Throws: `PathPatternError` where the text is no pattern.
    public init(
        _ pattern: String, _ treatment: Treatment, type: String? = nil
    ) throws(PathPatternError) {
        self.init(try PathPattern(pattern), treatment, type: type)
    }
}
