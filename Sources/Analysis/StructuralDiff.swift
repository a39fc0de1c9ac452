public import JSON

/// One place in which two JSON values differ.
public struct Difference: Sendable, Hashable {
    /// How they differ there.
    public enum Kind: String, Sendable, Hashable {
        /// Two values of one type.
        case changed
        /// Two values of different types.
        case type
        /// On the left only.
        case removed
        /// On the right only.
        case added
        /// The same elements in another order, or repeated otherwise.
        case order
    }

    /// What the rules make of a difference.
    public enum Weight: String, Sendable, Hashable {
        /// No rule speaks for it.
        case different
        /// Within a tolerance, or of order only.
        case tolerated
        /// A rule says to look away.
        case ignored
    }

    /// Where.
    public let path: Path
    /// How.
    public let kind: Kind
    /// What the rules make of it.
    public let weight: Weight
    /// The left value, if there is one.
    public let left: Value?
    /// The right value, if there is one.
    public let right: Value?
}

/// The differences of two JSON values, place by place.
public struct StructuralDiff: Sendable, Hashable {
    /// The first differences, in document order.
    public private(set) var differences: [Difference] = []
    /// How many there are, also beyond those that are kept.
    public private(set) var count = 0
    /// The worst weight found; `nil` where the values are the same.
    public private(set) var weight: Difference.Weight?

    private let rules: [PathRule]
    private let limit: Int
    private var path = Path()

    /// Pairs of leftover list elements tried under a rule; beyond it they count as different.
    private static let pairingMax = 64

    /// Compares two values.
    ///
    /// Lists are compared in order unless a rule says otherwise. Numbers are compared by value:
    /// `1` and `1.0` are one number.
    ///
    /// - Parameters:
    ///   - left: One value.
    ///   - right: The other.
    ///   - rules: How places are compared; where several speak for one, the first that does.
    ///   - limit: How many differences are kept; all are counted.
    public init(_ left: Value, _ right: Value, rules: [PathRule] = [], limit: Int = 1_000) {
        self.init(left, right, rules: rules, limit: limit, at: Path())
    }

    private init(
        _ left: Value, _ right: Value, rules: [PathRule], limit: Int, at path: Path
    ) {
        self.rules = rules
        self.limit = limit
        self.path = path
        walk(left, right)
    }

    private mutating func add(
        _ kind: Difference.Kind, _ weight: Difference.Weight, _ left: Value?, _ right: Value?
    ) {
        count += 1
        weigh(weight)
        guard differences.count < limit else { return }
        differences.append(
            Difference(path: path, kind: kind, weight: weight, left: left, right: right))
    }

    private mutating func weigh(_ weight: Difference.Weight) {
        switch (self.weight, weight) {
        case (nil, _), (_, .different), (.ignored, .tolerated): self.weight = weight
        default: break
        }
    }

    private mutating func descend(
        _ component: Path.Component, _ left: Value?, _ right: Value?
    ) {
        path.components.append(component)
        walk(left, right)
        path.components.removeLast()
    }

    private mutating func walk(_ left: Value?, _ right: Value?) {
        guard left != right else { return }
        if let weight = weightOfRule(left, right) {
            add(kind(left, right), weight, left, right)
            return
        }
        switch (left, right) {
        case (.object(let left), .object(let right)): walkMembers(left, right)
        case (.array(let left), .array(let right)): walkElements(left, right)
        case (let left?, let right?):
            guard let one = left.double, let other = right.double else {
                add(kind(left, right), .different, left, right)
                return
            }
            guard !Self.isSameNumber(left, right) else { return }
            add(.changed, isTolerated(one, other) ? .tolerated : .different, left, right)
        default: add(kind(left, right), .different, left, right)
        }
    }

    private func kind(_ left: Value?, _ right: Value?) -> Difference.Kind {
        guard let left else { return .added }
        guard let right else { return .removed }
        return switch (left, right) {
        case (.bool, .bool), (.string, .string), (.array, .array), (.object, .object),
            (.integer, .integer), (.double, .double), (.integer, .double), (.double, .integer):
            .changed
        default: .type
        }
    }

    /// `ignore` and `presence`; everything else looks at the values.
    private func weightOfRule(_ left: Value?, _ right: Value?) -> Difference.Weight? {
        for rule in rules {
            switch rule.treatment {
            case .ignore where rule.pattern.covers(path): return .ignored
            case .presence where rule.pattern.matches(path):
                return left != nil && right != nil ? .ignored : .different
            default: continue
            }
        }
        return nil
    }

    private func isTolerated(_ left: Double, _ right: Double) -> Bool {
        rules.contains { rule in
            guard rule.pattern.covers(path) else { return false }
            return switch rule.treatment {
            case .absolute(let tolerance): abs(left - right) <= tolerance
            case .relative(let tolerance):
                abs(left - right) <= tolerance * max(abs(left), abs(right))
            default: false
            }
        }
    }

    private static func isSameNumber(_ left: Value, _ right: Value) -> Bool {
        switch (left, right) {
        case (.integer(let one), .double(let other)), (.double(let other), .integer(let one)):
            // Through the integer: a double next to 2^53 must not equal its neighbour.
            Int64(exactly: other) == one
        case (.double(let one), .double(let other)): one == other
        default: false
        }
    }

    private mutating func walkMembers(_ left: [String: Value], _ right: [String: Value]) {
        for name in Set(left.keys).union(right.keys).sorted() {
            descend(.member(name), left[name], right[name])
        }
    }

    private mutating func walkElements(_ left: [Value], _ right: [Value]) {
        for rule in rules where rule.pattern.matches(path) {
            switch rule.treatment {
            case .multiset: return walkUnordered(left, right, isSet: false)
            case .set: return walkUnordered(left, right, isSet: true)
            case .keyed(let member): return walkKeyed(left, right, by: member)
            default: continue
            }
        }
        // One element put in or taken out must not make all that follow differ.
        let shorter = min(left.count, right.count)
        var head = 0
        while head < shorter, left[head] == right[head] { head += 1 }
        var tail = 0
        if left.count != right.count {
            while tail < shorter - head,
                left[left.count - 1 - tail] == right[right.count - 1 - tail]
            {
                tail += 1
            }
        }
        let leftEnd = left.count - tail
        let rightEnd = right.count - tail
        for index in head..<max(leftEnd, rightEnd) {
            // Not `: nil`, which is the JSON value null here.
            descend(
                .index(index), index < leftEnd ? left[index] : Value?.none,
                index < rightEnd ? right[index] : Value?.none)
        }
    }

    private mutating func walkUnordered(_ left: [Value], _ right: [Value], isSet: Bool) {
        let before = count
        var (leftOnly, rightOnly) =
            isSet
            ? Self.leftovers(Self.distinct(left), Self.distinct(right))
            : Self.leftovers(
                left.indices.map { (left[$0].canonical, $0) },
                right.indices.map { (right[$0].canonical, $0) })
        if !rules.isEmpty, leftOnly.count <= Self.pairingMax, rightOnly.count <= Self.pairingMax {
            pairUnderRules(&leftOnly, &rightOnly, left, right)
        }
        for position in 0..<max(leftOnly.count, rightOnly.count) {
            let one = position < leftOnly.count ? leftOnly[position] : nil
            let other = position < rightOnly.count ? rightOnly[position] : nil
            descend(.index(one ?? other ?? 0), one.map { left[$0] }, other.map { right[$0] })
        }
        if count == before { add(.order, .tolerated, .array(left), .array(right)) }
    }

    private static func distinct(_ values: [Value]) -> [(text: String, index: Int)] {
        var seen: Set<String> = []
        return values.indices.compactMap { index in
            let text = values[index].canonical
            return seen.insert(text).inserted ? (text, index) : nil
        }
    }

    private static func leftovers(
        _ left: [(text: String, index: Int)], _ right: [(text: String, index: Int)]
    ) -> (left: [Int], right: [Int]) {
        var waiting: [String: [Int]] = [:]
        for (text, index) in right.reversed() { waiting[text, default: []].append(index) }
        let leftOnly = left.compactMap { text, index in
            waiting[text]?.popLast() == nil ? index : nil
        }
        return (leftOnly, waiting.values.flatMap { $0 }.sorted())
    }

    /// Pairs leftovers that are the same under the rules; greedy, so a tolerance that overlaps
    /// several elements may pair them otherwise than best.
    private mutating func pairUnderRules(
        _ leftOnly: inout [Int], _ rightOnly: inout [Int], _ left: [Value], _ right: [Value]
    ) {
        leftOnly = leftOnly.filter { one in
            for (position, other) in rightOnly.enumerated() {
                let diff = StructuralDiff(
                    left[one], right[other], rules: rules, limit: limit,
                    at: Path(path.components + [.index(one)]))
                guard diff.weight != .different else { continue }
                rightOnly.remove(at: position)
                for difference in diff.differences { take(difference) }
                if let weight = diff.weight { weigh(weight) }
                return false
            }
            return true
        }
    }

    private mutating func take(_ difference: Difference) {
        let here = path
        path = difference.path
        add(difference.kind, difference.weight, difference.left, difference.right)
        path = here
    }

    private mutating func walkKeyed(_ left: [Value], _ right: [Value], by member: String) {
        let before = count
        var waiting: [String: [Int]] = [:]
        for index in right.indices.reversed() {
            waiting[right[index][member]?.canonical ?? "", default: []].append(index)
        }
        for index in left.indices {
            let key = left[index][member]?.canonical ?? ""
            let partner = waiting[key]?.popLast()
            descend(.index(index), left[index], partner.map { right[$0] })
        }
        for index in waiting.values.flatMap({ $0 }).sorted() {
            descend(.index(index), Value?.none, right[index])
        }
        if count == before { add(.order, .tolerated, .array(left), .array(right)) }
    }
}
