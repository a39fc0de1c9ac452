internal import Wire

/// One run of the comparison: pairs the two sides flow by flow and fills the report.
struct ComparisonCheck {
    private struct Entry {
        /// Aligned with the other side's.
        let sequence: UInt64
        let position: Int
    }

    private struct Group {
        var left: [Entry] = []
        var right: [Entry] = []
    }

    /// All copies of one envelope on one side, in the order of their arrival.
    private struct Copies {
        let sequence: UInt64
        var positions: [Int]
    }

    private static let pathsMax = 1_000

    private let left: ComparisonSide
    private let right: ComparisonSide
    private let options: ComparisonOptions
    private let leftTimes: [UInt64]
    private let rightTimes: [UInt64]
    private var report: ComparisonReport
    private var kept: [Deviation: Int] = [:]
    /// What receivers of each side had given up, named as both sides do.
    private var leftLate: Set<LateKey> = []
    private var rightLate: Set<LateKey> = []

    private struct LateKey: Hashable {
        let group: GroupKey
        let sequence: UInt64
    }

    init(left: ComparisonSide, right: ComparisonSide, options: ComparisonOptions) {
        self.left = left
        self.right = right
        self.options = options
        let isTimed = options.lateAfter != nil
        self.leftTimes = isTimed ? left.records.map(\.observed).sorted() : []
        self.rightTimes = isTimed ? right.records.map(\.observed).sorted() : []
        self.report = ComparisonReport(counts: ComparisonCounts(mode: options.mode))
    }

    mutating func run() -> ComparisonReport {
        var groups: [GroupKey: Group] = [:]
        let leftAligner = Aligner(left.sequences, options.alignment)
        for (position, record) in left.records.enumerated() {
            let (stream, sequence) = leftAligner.align(record.identity)
            groups[GroupKey(stream: stream, receiver: record.receiver), default: Group()]
                .left.append(Entry(sequence: sequence, position: position))
        }
        let rightAligner = Aligner(right.sequences, options.alignment)
        for (position, record) in right.records.enumerated() {
            let (stream, sequence) = rightAligner.align(record.identity)
            groups[GroupKey(stream: stream, receiver: record.receiver), default: Group()]
                .right.append(Entry(sequence: sequence, position: position))
        }
        leftLate = Self.late(left, leftAligner)
        rightLate = Self.late(right, rightAligner)
        for (key, group) in groups.sorted(by: { $0.key < $1.key }) { compare(group, key) }
        return report
    }

    private static func late(_ side: ComparisonSide, _ aligner: Aligner) -> Set<LateKey> {
        var keys: Set<LateKey> = []
        for (identity, receivers) in side.late {
            let (stream, sequence) = aligner.align(identity)
            for receiver in receivers {
                keys.insert(
                    LateKey(
                        group: GroupKey(stream: stream, receiver: receiver), sequence: sequence))
            }
        }
        return keys
    }

    private mutating func compare(_ group: Group, _ key: GroupKey) {
        let leftCopies = Self.copies(group.left) { left.records[$0].observed }
        let rightCopies = Self.copies(group.right) { right.records[$0].observed }
        let displaced = Self.displaced(leftCopies, rightCopies)
        let one = leftCopies.sorted { $0.sequence < $1.sequence }
        let other = rightCopies.sorted { $0.sequence < $1.sequence }
        let lastLeft = one.last?.sequence ?? 0
        let lastRight = other.last?.sequence ?? 0
        var (i, j) = (0, 0)
        while i < one.count || j < other.count {
            if j == other.count || i < one.count && one[i].sequence < other[j].sequence {
                alone(
                    left.records[one[i].positions[0]], .missing,
                    isLate: rightLate.contains(LateKey(group: key, sequence: one[i].sequence)),
                    isTail: one[i].sequence > lastRight && !right.isDrained)
                i += 1
            } else if i == one.count || other[j].sequence < one[i].sequence {
                alone(
                    right.records[other[j].positions[0]], .extra,
                    isLate: leftLate.contains(LateKey(group: key, sequence: other[j].sequence)),
                    isTail: other[j].sequence > lastLeft && !left.isDrained)
                j += 1
            } else {
                pair(one[i], other[j], isDisplaced: displaced.contains(one[i].sequence))
                i += 1
                j += 1
            }
        }
    }

    /// In the order of first arrival, repeats folded into their first.
    private static func copies(
        _ entries: [Entry], observed: (Int) -> UInt64
    ) -> [Copies] {
        // The position breaks ties: a file's order is the order of recording.
        let sorted = entries.sorted {
            (observed($0.position), $0.position) < (observed($1.position), $1.position)
        }
        var copies: [Copies] = []
        copies.reserveCapacity(sorted.count)
        var places: [UInt64: Int] = [:]
        places.reserveCapacity(sorted.count)
        for entry in sorted {
            if let place = places[entry.sequence] {
                copies[place].positions.append(entry.position)
            } else {
                places[entry.sequence] = copies.count
                copies.append(Copies(sequence: entry.sequence, positions: [entry.position]))
            }
        }
        return copies
    }

    /// What both sides have and the right side has in another order than the left.
    private static func displaced(_ left: [Copies], _ right: [Copies]) -> Set<UInt64> {
        var ranks: [UInt64: Int] = [:]
        ranks.reserveCapacity(left.count)
        for (rank, copies) in left.enumerated() { ranks[copies.sequence] = rank }
        let common = right.filter { ranks[$0.sequence] != nil }
        let order = Order.displaced(common.map { ranks[$0.sequence] ?? 0 })
        return Set(order.map { common[$0].sequence })
    }

    // MARK: Classes

    private mutating func alone(
        _ record: ComparedRecord, _ deviation: Deviation, isLate: Bool, isTail: Bool
    ) {
        let name = deviation == .missing ? "right" : "left"
        if isLate {
            add(.late, record, reason: "Came too late to be delivered on the \(name) side.")
        } else if isTail {
            add(.undecidable, record, reason: "The \(name) side was still draining.")
        } else {
            add(deviation, record, reason: "Not delivered on the \(name) side.")
        }
    }

    private mutating func pair(_ one: Copies, _ other: Copies, isDisplaced: Bool) {
        let record = left.records[one.positions[0]]
        let content = contents(one, other)
        for place in content.places
        where report.paths[place] != nil || report.paths.count < Self.pathsMax {
            report.paths[place, default: 0] += 1
        }
        if content.weight == .different {
            add(.payload, record, content)
        } else if content.isUndecidable {
            add(.undecidable, record, content)
        } else if one.positions.count != other.positions.count {
            add(
                .duplicate, record,
                reason: "Delivered \(one.positions.count) times on the left side, "
                    + "\(other.positions.count) times on the right.")
        } else if isDisplaced {
            add(.reordered, record, reason: "In another place of its flow on the right side.")
        } else if isLate(record, right.records[other.positions[0]]) {
            add(.late, record, reason: "Came after both sides had gone on without it.")
        } else if let weight = content.weight {
            add(weight == .tolerated ? .tolerated : .ignored, record, content)
        } else {
            report.counts.match += 1
        }
    }

    /// Every copy against the first on the left; the worst that is found.
    private func contents(_ one: Copies, _ other: Copies) -> ContentComparison {
        let first = left.records[one.positions[0]]
        var worst = ContentComparison.of(
            first, right.records[other.positions[0]], rules: options.rules,
            isOneMemory: isOneMemory)
        let rest =
            one.positions.dropFirst().map { left.records[$0] }
            + other.positions.dropFirst().map { right.records[$0] }
        for copy in rest where worst.weight != .different {
            let next = ContentComparison.of(
                first, copy, rules: options.rules, isOneMemory: isOneMemory)
            let isWorse = worst.weight == nil && !worst.isUndecidable
            if isWorse || next.weight == .different { worst = next }
        }
        return worst
    }

    /// Both lanes of a dual run point to the same memory; two meshes never do.
    private var isOneMemory: Bool { options.mode == .dual }

    /// Whether both sides had passed the earlier copy by the window before the later one came.
    private func isLate(_ one: ComparedRecord, _ other: ComparedRecord) -> Bool {
        guard let window = options.lateAfter else { return false }
        let early = min(one.observed, other.observed)
        let late = max(one.observed, other.observed)
        guard late - early > window else { return false }
        let watermark = min(
            Self.last(in: leftTimes, before: late), Self.last(in: rightTimes, before: late))
        return watermark > early && watermark - early > window
    }

    private static func last(in times: [UInt64], before time: UInt64) -> UInt64 {
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? times[low - 1] : 0
    }

    private mutating func add(
        _ deviation: Deviation, _ record: ComparedRecord, _ content: ContentComparison? = nil,
        reason: String? = nil
    ) {
        report.counts[deviation] += 1
        let count = kept[deviation, default: 0]
        kept[deviation] = count + 1
        guard count < options.differencesMax else {
            report.differencesOmitted += 1
            return
        }
        report.differences.append(
            ComparisonDifference(
                deviation: deviation, identity: record.identity, receiver: record.receiver,
                path: content?.path, left: content?.left, right: content?.right,
                reason: reason ?? content?.reason ?? ""))
    }
}
