internal import Recording
internal import Wire

/// Pairs the envelopes of two sides while they come, flow by flow.
struct Pairing {
    private enum Mode {
        /// It is paired in this pass.
        case active
        /// It is left for another pass.
        case deferred
        /// It was paired in an earlier one.
        case done
    }

    /// A difference that is kept for a person.
    struct Kept {
        let stream: Int
        let sequence: UInt64
        var deviation: Deviation
        var path: String?
        var left: String?
        var right: String?
        var reason: String
        /// Whether only the right side has it.
        var isOnRight = false
    }

    var streams: [StreamState] = []
    /// How far the left side is ahead of the right one.
    private(set) var lead: Int64 = 0
    private(set) var kept: [Kept] = []
    private(set) var passes = 0

    let options: ComparisonOptions
    private let bounds: StreamComparison.Bounds
    private var numbers: [GroupKey: Int] = [:]
    private var numbersByKey: [StreamKey: [Int]] = [:]
    private var modes: [Mode] = []
    private var load = 0
    private var isOver = [false, false]
    private(set) var kinds: [[RecordKind]] = [[], []]
    /// The beginning of each side, by its own clock.
    private var starts: [UInt64?] = [nil, nil]
    private var keptCounts: [Deviation: Int] = [:]
    /// Whether contents of two kinds are the same where their digests are; of the pair that was last.
    private var lastKinds: (left: Int32, right: Int32, isPlain: Bool) = (-1, -1, false)

    init(options: ComparisonOptions, bounds: StreamComparison.Bounds) {
        self.options = options
        self.bounds = bounds
    }

    /// The number of a stream, from now on at the latest.
    mutating func number(of key: GroupKey) -> Int {
        if let number = numbers[key] { return number }
        numbers[key] = streams.count
        numbersByKey[key.stream, default: []].append(streams.count)
        streams.append(StreamState(key))
        modes.append(.active)
        return streams.count - 1
    }

    /// The numbers of the streams of a flow, at whatever receiver.
    func numbers(of key: StreamKey) -> [Int] { numbersByKey[key] ?? [] }

    mutating func learn(_ kinds: [RecordKind], of side: StreamComparison.Side) {
        self.kinds[side.rawValue] = kinds
    }

    /// Takes a record; false where its stream is not paired in this pass.
    mutating func take(
        _ record: MergedRecord, of side: StreamComparison.Side, stream number: Int,
        offset: UInt64, fetch: StreamComparison.Fetch
    ) throws(HistoryError) -> Bool {
        guard modes[number] == .active else { return false }
        let view = record.view
        if starts[side.rawValue] == nil { starts[side.rawValue] = view.observed }
        let sequence = view.sequence &+ offset
        let leadBefore = streams[number].lead
        guard let arrival = streams[number].arrive(sequence, of: side) else { return true }
        lead += streams[number].lead - leadBefore
        let entry = PendingRecord(
            sequence: sequence, arrival: arrival, observed: view.observed,
            fingerprint: view.fingerprint, place: record.place, kind: Int32(record.kind))
        if let partner = streams[number].takePartner(of: sequence, on: side) {
            load -= 1
            try pair(entry, with: partner, of: side, in: number, view: view, fetch: fetch)
        } else if streams[number].takeLate(sequence, of: side) {
            streams[number].count(sequence, as: .late)
            keep(.late, number, sequence, reason: Self.lateReason)
        } else if isOver[1 - side.rawValue] {
            giveUp(entry, of: side, in: number)
        } else {
            streams[number].wait(entry, on: side)
            load += 1
        }
        giveUpBehind(number)
        if load > bounds.loadMax { deferSome() }
        return true
    }

    private static let lateReason = "Came after the other side had gone on without it."

    /// Nothing more comes on a side in this pass: what waits for it there waits in vain.
    mutating func end(of side: StreamComparison.Side) {
        isOver[side.rawValue] = true
        let waiting: StreamComparison.Side = side == .right ? .left : .right
        for number in streams.indices where modes[number] == .active {
            while let entry = streams[number].takePending(below: .max, on: waiting) {
                load -= 1
                giveUp(entry, of: waiting, in: number)
            }
        }
    }

    /// Ends the pass; true where streams are left for another one.
    mutating func endPass() -> Bool {
        passes += 1
        var isAgain = false
        for number in streams.indices {
            switch modes[number] {
            case .done: break
            case .active:
                for pair in streams[number].order.finish() { displace(pair, number) }
                modes[number] = .done
            case .deferred:
                modes[number] = .active
                isAgain = true
            }
        }
        load = 0
        lead = 0
        isOver = [false, false]
        return isAgain
    }

    /// What the other side has gone on without, as far as the window.
    private mutating func giveUpBehind(_ number: Int) {
        if streams[number].right.highest > bounds.window {
            let bound = streams[number].right.highest - bounds.window
            while let entry = streams[number].takePending(below: bound, on: .left) {
                load -= 1
                giveUp(entry, of: .left, in: number)
            }
        }
        if streams[number].left.highest > bounds.window {
            let bound = streams[number].left.highest - bounds.window
            while let entry = streams[number].takePending(below: bound, on: .right) {
                load -= 1
                giveUp(entry, of: .right, in: number)
            }
        }
    }

    private mutating func giveUp(
        _ entry: PendingRecord, of side: StreamComparison.Side, in number: Int
    ) {
        switch side {
        case .left: streams[number].left.unpaired.insert(entry.sequence)
        case .right: streams[number].right.unpaired.insert(entry.sequence)
        }
        noteFirst(number, entry.sequence, observed: entry.observed, of: side)
    }

    /// Leaves the streams with most to keep for another pass, until half of the load is gone.
    private mutating func deferSome() {
        let heavy = streams.indices.filter { modes[$0] == .active && streams[$0].load > 0 }
            .sorted { streams[$0].load > streams[$1].load }
        // One is always paired to its end: each pass does something. What a single one keeps is
        // bounded by the window, unless one side has the flow alone.
        for number in heavy.dropLast() where load > bounds.loadMax / 2 {
            load -= streams[number].load
            lead -= streams[number].lead
            modes[number] = .deferred
            for entry in kept where entry.stream == number {
                keptCounts[entry.deviation, default: 0] -= 1
            }
            kept.removeAll { $0.stream == number }
            streams[number] = StreamState(streams[number].key)
        }
    }

    // MARK: Pairs

    private mutating func pair(
        _ entry: PendingRecord, with partner: PendingRecord, of side: StreamComparison.Side,
        in number: Int, view: RecordView, fetch: StreamComparison.Fetch
    ) throws(HistoryError) {
        let (left, right) = side == .left ? (entry, partner) : (partner, entry)
        if isPlain(left.kind, right.kind), left.fingerprint == right.fingerprint {
            streams[number].count(entry.sequence, as: nil)
        } else {
            let here = view.content
            let there = try fetch(side == .left ? .right : .left, partner.place)
            let comparison = compare(
                left, side == .left ? here : there, right, side == .left ? there : here)
            add(comparison, number, left)
        }
        let orderBefore = streams[number].order.count
        let displaced = streams[number].place(
            StreamOrder.Pair(
                left: left.arrival, right: right.arrival, sequence: entry.sequence,
                observed: left.observed))
        load += streams[number].order.count - orderBefore
        for pair in displaced { displace(pair, number) }
    }

    private mutating func isPlain(_ left: Int32, _ right: Int32) -> Bool {
        if lastKinds.left == left, lastKinds.right == right { return lastKinds.isPlain }
        let isPlain = kinds[0][Int(left)].isPlain(beside: kinds[1][Int(right)])
        lastKinds = (left, right, isPlain)
        return isPlain
    }

    private func compare(
        _ left: PendingRecord, _ leftContent: Content, _ right: PendingRecord,
        _ rightContent: Content
    ) -> ContentComparison {
        ContentComparison.of(
            ComparedRecord(
                kinds[0][Int(left.kind)], sequence: left.sequence, observed: left.observed,
                content: leftContent),
            ComparedRecord(
                kinds[1][Int(right.kind)], sequence: right.sequence, observed: right.observed,
                content: rightContent),
            rules: options.rules, isOneMemory: options.mode == .dual)
    }

    private mutating func add(
        _ comparison: ContentComparison, _ number: Int, _ left: PendingRecord
    ) {
        let deviation = comparison.deviation(noisy: options.noisyPlaces)
        streams[number].count(left.sequence, as: deviation)
        streams[number].note(comparison)
        guard let deviation else { return }
        keep(
            deviation, number, left.sequence, reason: comparison.reason, comparison: comparison)
        if deviation == .payload {
            noteFirst(number, left.sequence, observed: left.observed, of: .left)
        }
    }

    private mutating func displace(_ pair: StreamOrder.Pair, _ number: Int) {
        guard streams[number].raise(pair.sequence, to: .reordered) else { return }
        keep(
            .reordered, number, pair.sequence,
            reason: "In another place of its flow on the right side.")
        noteFirst(number, pair.sequence, observed: pair.observed, of: .left)
    }

    /// A pair turned out to be worse than it looked.
    mutating func raise(
        _ number: Int, _ sequence: UInt64, to deviation: Deviation, reason: String,
        comparison: ContentComparison? = nil
    ) {
        guard streams[number].raise(sequence, to: deviation) else { return }
        keep(deviation, number, sequence, reason: reason, comparison: comparison)
    }

    private mutating func keep(
        _ deviation: Deviation, _ number: Int, _ sequence: UInt64, reason: String,
        comparison: ContentComparison? = nil, isOnRight: Bool = false
    ) {
        guard keptCounts[deviation, default: 0] < options.differencesMax else { return }
        keptCounts[deviation, default: 0] += 1
        kept.append(
            Kept(
                stream: number, sequence: sequence, deviation: deviation,
                path: comparison?.path, left: comparison?.left, right: comparison?.right,
                reason: reason, isOnRight: isOnRight))
    }

    private mutating func noteFirst(
        _ number: Int, _ sequence: UInt64, observed: UInt64, of side: StreamComparison.Side
    ) {
        let time = observed - min(observed, starts[side.rawValue] ?? observed)
        if let first = streams[number].first, first.time <= time { return }
        streams[number].first = (time, sequence)
    }

    // MARK: The end

    /// Envelopes that a receiver had given up: neither missing nor extra, but late.
    mutating func note(late: [LateNotes], aligners: [Aligner]) {
        for side in StreamComparison.Side.allCases {
            late[side.rawValue].forEach { identity, receiver in
                let (key, sequence) = aligners[side.rawValue].align(identity)
                guard let number = numbers[GroupKey(stream: key, receiver: receiver)],
                    streams[number].takeLate(sequence, of: side)
                else { return }
                streams[number].count(sequence, as: .late)
                let name = side == .left ? "left" : "right"
                keep(
                    .late, number, sequence,
                    reason: "Came too late to be delivered on the \(name) side.",
                    isOnRight: side == .left)
            }
        }
    }

    /// Whether an envelope is other than it was, or is on one side alone, at any receiver.
    func isDifferent(_ key: StreamKey, _ sequence: UInt64) -> Bool {
        numbers(of: key).contains { number in
            let state = streams[number]
            if state.left.unpaired.contains(sequence) || state.right.unpaired.contains(sequence) {
                return true
            }
            switch state.deviation(of: sequence) {
            case nil, .tolerated, .ignored: return false
            default: return true
            }
        }
    }
}

extension RecordKind {
    /// Whether contents of the two kinds are the same where their digests are: descriptors say where a
    /// content lies, and not only what it is.
    func isPlain(beside other: RecordKind) -> Bool {
        type == other.type
            && !(contentEncoding == .descriptor && other.contentEncoding == .descriptor)
    }
}
