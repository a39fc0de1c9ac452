/// Guesses what somebody meant to write.
public enum Suggestion {
    /// How many names are compared, and how long they may be: the cost is their product.
    private static let (candidatesMax, lengthMax) = (1_000, 64)

    /// The candidate nearest to `name`, if one is near enough to be meant.
    public static func nearest(to name: String, among candidates: [String]) -> String? {
        let wanted = Array(name.lowercased().unicodeScalars)
        guard (1...lengthMax).contains(wanted.count) else { return nil }
        // Two edits make any short word out of another.
        let distanceMax = wanted.count < 7 ? 1 : 2
        var best: (distance: Int, candidate: String)?
        for candidate in candidates.prefix(candidatesMax) where candidate != name {
            let scalars = Array(candidate.lowercased().unicodeScalars)
            guard abs(scalars.count - wanted.count) <= distanceMax, scalars.count <= lengthMax
            else { continue }
            let distance = distance(wanted, scalars)
            if distance <= distanceMax, distance < best?.distance ?? .max {
                best = (distance, candidate)
            }
        }
        return best?.candidate
    }

    /// `did you mean 'x'?`, or a list of what there is, or `nil` where there is nothing.
    static func help(for name: String, among candidates: [String]) -> String? {
        if let nearest = nearest(to: name, among: candidates) {
            return "did you mean \(Diagnostic.quote(nearest))?"
        }
        guard !candidates.isEmpty else { return nil }
        let shown = candidates.prefix(12).map { Diagnostic.quote($0) }.joined(separator: ", ")
        return "known here: " + shown + (candidates.count > 12 ? ", …" : "")
    }

    /// The edits between two words, where a swap of neighbours is one edit (optimal string
    /// alignment).
    static func distance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
        var beforeLast = [Int](repeating: 0, count: right.count + 1)
        var last = Array(0...right.count)
        for i in 1...left.count {
            var current = [i] + [Int](repeating: 0, count: right.count)
            for j in 1...right.count {
                let isSame = left[i - 1] == right[j - 1]
                current[j] = min(
                    last[j] + 1, current[j - 1] + 1, last[j - 1] + (isSame ? 0 : 1))
                if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
                    current[j] = min(current[j], beforeLast[j - 2] + 1)
                }
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}
