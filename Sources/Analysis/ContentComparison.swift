internal import JSON
internal import Recording
internal import Wire

/// What comparing two contents says.
struct ContentComparison {
    /// `nil` where they are the same.
    let weight: Difference.Weight?
    var path: String?
    var left: String?
    var right: String?
    var reason = ""
    /// Nobody can say whether the contents are the same.
    var isUndecidable = false
    /// Every place that differs, lists counted as one place.
    var places: Set<String> = []
    /// Of these, those where no rule lets the difference pass.
    var gravePlaces: Set<String> = []

    /// The class of a pair of which nothing else is wrong; nil for a match.
    ///
    /// - Parameter noisy: Places that differ by themselves.
    /// - Returns: The class.
    func deviation(noisy: Set<String>) -> Deviation? {
        if isUndecidable { return .undecidable }
        return switch weight {
        case nil: nil
        case .different:
            !gravePlaces.isEmpty && gravePlaces.isSubset(of: noisy) ? .tolerated : .payload
        case .tolerated: .tolerated
        case .ignored: .ignored
        }
    }

    private static let same = ContentComparison(weight: nil)

    /// Bytes, then digest, then canonical JSON, then place by place.
    static func of(
        _ left: ComparedRecord, _ right: ComparedRecord, rules: [PathRule],
        isOneMemory: Bool = false
    ) -> ContentComparison {
        guard left.type == right.type else {
            return ContentComparison(
                weight: .different, path: "type", left: left.type, right: right.type,
                reason: "The types differ: '\(left.type)' and '\(right.type)'.")
        }
        if !isOneMemory, left.contentEncoding == .descriptor, right.contentEncoding == .descriptor {
            return descriptors(left.content, right.content)
        }
        if ContentDifference.isSame(left.content, right.content) { return same }
        let isJSON = left.contentEncoding.isJSON && right.contentEncoding.isJSON
        if isJSON, case .bytes(let one) = left.content, case .bytes(let other) = right.content,
            let before = try? Value(parsing: one), let after = try? Value(parsing: other)
        {
            let type = left.type
            return structural(
                before, after, rules: rules.filter { $0.type == nil || $0.type == type })
        }
        let difference = ContentDifference(left.content, right.content)
        return ContentComparison(
            weight: .different, path: difference.path,
            left: describe(left.content), right: describe(right.content),
            reason: "The contents differ: \(difference.reason).", places: [difference.kind],
            gravePlaces: [difference.kind])
    }

    /// What lies in two memories is the same where size, points and digest are.
    ///
    /// Slots and generations say only where it lies. Without digests nobody can say.
    private static func descriptors(_ left: Content, _ right: Content) -> ContentComparison {
        guard case .bytes(let one) = left, case .bytes(let other) = right,
            let before = PointCloudDescriptor(parsing: one),
            let after = PointCloudDescriptor(parsing: other)
        else {
            return undecidable("A descriptor of a content in shared memory cannot be read.")
        }
        let places = [
            ("size", String(before.size), String(after.size)),
            ("points", String(before.points), String(after.points)),
            (
                "digest", before.digest.map(ContentDigest.text) ?? "none",
                after.digest.map(ContentDigest.text) ?? "none"
            ),
        ].filter { $0.1 != $0.2 }
        if let first = places.first,
            first.0 != "digest" || before.digest != nil && after.digest != nil
        {
            return ContentComparison(
                weight: .different, path: "$.\(first.0)", left: first.1, right: first.2,
                reason: "The contents in shared memory differ: \(first.0) \(first.1) and "
                    + "\(first.2).", places: Set(places.map { "$.\($0.0)" }))
        }
        guard before.digest != nil, after.digest != nil else {
            return undecidable(
                "The contents in shared memory have no digests to compare ('checksum: write' or "
                    + "'verify' makes them).")
        }
        return same
    }

    private static func undecidable(_ reason: String) -> ContentComparison {
        var comparison = ContentComparison(weight: nil, reason: reason)
        comparison.isUndecidable = true
        return comparison
    }

    private static func structural(
        _ before: Value, _ after: Value, rules: [PathRule]
    ) -> ContentComparison {
        let diff = StructuralDiff(before, after, rules: rules)
        guard let weight = diff.weight else { return same }
        // The place that decides the class is the one to name.
        let first = diff.differences.first { $0.weight == weight } ?? diff.differences.first
        let left = Excerpt.of(first?.left)
        let right = Excerpt.of(first?.right)
        let verb =
            switch weight {
            case .different: "differ"
            case .tolerated: "differ within a tolerance"
            case .ignored: "differ where a rule looks away"
            }
        return ContentComparison(
            weight: weight, path: first?.path.description, left: left, right: right,
            reason: "The contents \(verb): \(left) and \(right).",
            places: Set(diff.differences.map(\.path.generalised)),
            gravePlaces: Set(
                diff.differences.lazy.filter { $0.weight == .different }
                    .map(\.path.generalised)))
    }

    /// Length and digest: a blob is never printed.
    private static func describe(_ content: Content) -> String {
        "\(content.length) bytes, \(ContentDigest.text(content.digest))"
    }
}
