public import Recording
internal import Wire

/// Compares two streams of records that are too long to be held.
///
/// It does no input itself: it says which side's next item it wants, pass by pass, until it is done.
///
/// ```swift
/// var comparison = StreamComparison(options: options)
/// repeat {
///     try left.rewind(); try right.rewind()
///     while let side = comparison.wanted { … try comparison.take(record, of: side, …) … }
/// } while comparison.endPass()
/// ```
///
/// What it says is what `Comparison.compare` says of the same records, as long as partners are less
/// than a window apart: an envelope whose partner comes later than that in its flow is late. Memory
/// is bounded by the window and the load: where the flows of both sides come in so different orders
/// that more would have to be kept, the flows that are furthest apart are left for another pass.
///
/// - Complexity: O(n) in the records of both sides for a pass; one pass where both sides' flows come
///   about in the same order, at most one more for each flow.
public struct StreamComparison {
    /// One of the two streams.
    public enum Side: Int, Sendable, CaseIterable {
        case left, right
    }

    /// How far apart things may be.
    public struct Bounds: Sendable, Hashable {
        /// How many sequences of its flow the other side may be ahead of an envelope before it counts
        /// as late.
        public var window: UInt64
        /// How many records and pairs may be kept; beyond, flows are left for another pass.
        public var loadMax: Int

        /// The usual bounds: about 100 MB.
        public init(window: UInt64 = 10_000, loadMax: Int = 1_000_000) {
            self.window = window
            self.loadMax = loadMax
        }
    }

    /// Where contents are read again that were passed by.
    public typealias Fetch = (Side, MergedPlace) throws(HistoryError) -> Content

    private enum Phase {
        /// Flows of several incarnations are counted, so that they can be aligned.
        case surveying
        case pairing
        /// What needs a second look gets it.
        case looking
        case done
    }

    private let options: ComparisonOptions
    private let bounds: Bounds
    private var phase = Phase.pairing
    private var sides: [SideReading]
    private var survey = Survey()
    private var pairing: Pairing
    private var look: SecondLook?

    /// Prepares a comparison.
    ///
    /// - Parameters:
    ///   - options: Of these, `lateAfter` is not looked at: two runs' clocks do not compare.
    ///   - bounds: How far apart things may be.
    public init(options: ComparisonOptions, bounds: Bounds = Bounds()) {
        self.options = options
        self.bounds = bounds
        sides = [SideReading(options.alignment), SideReading(options.alignment)]
        pairing = Pairing(options: options, bounds: bounds)
    }

    /// Whose next item is wanted; nil at the end of a pass.
    public var wanted: Side? {
        if phase == .done || survey.isNeeded && phase == .pairing { return nil }
        switch (sides[0].isOver, sides[1].isOver) {
        case (true, true): return nil
        case (true, false): return .right
        case (false, true): return .left
        case (false, false): break
        }
        guard phase == .pairing else { return .left }
        let lead = pairing.lead
        if lead != 0 { return lead > 0 ? .right : .left }
        return sides[0].consumed <= sides[1].consumed ? .left : .right
    }

    /// Takes a record.
    ///
    /// - Parameters:
    ///   - record: What came next on the side that was wanted.
    ///   - side: That side; its kinds have been learned.
    ///   - fetch: Reads a content again.
    /// - Throws: What `fetch` throws.
    public mutating func take(
        _ record: MergedRecord, of side: Side, fetch: Fetch
    ) throws(HistoryError) {
        switch phase {
        case .surveying:
            survey.take(record, kind: sides[side.rawValue].kinds[record.kind], of: side)
        case .pairing:
            guard let use = sides[side.rawValue].uses[record.kind] else { return }
            let isCounted = try pairing.take(
                record, of: side, stream: use.stream, offset: use.offset, fetch: fetch)
            if isCounted { sides[side.rawValue].consumed += 1 }
        case .looking:
            guard let use = sides[side.rawValue].uses[record.kind] else { return }
            look?.take(record, of: side, stream: use.stream, offset: use.offset)
        case .done: break
        }
    }

    /// How many kinds of a side are known.
    public func kindCount(of side: Side) -> Int { sides[side.rawValue].kinds.count }

    /// Takes what kinds of records there are on a side, before a record of a new kind is taken.
    public mutating func learn(_ kinds: [RecordKind], of side: Side) {
        sides[side.rawValue].kinds = kinds
        if phase != .surveying { lookUp(of: side) }
        pairing.learn(kinds, of: side)
        look?.learn(kinds, of: side)
    }

    /// Takes what stands beside the records.
    public mutating func take(_ annotation: AnnotationView, of side: Side) {
        switch phase {
        case .pairing where !sides[side.rawValue].hasNotedLate:
            guard annotation.isNamed("late"),
                case .late(let identity, let by, _)? = annotation.annotation
            else { return }
            sides[side.rawValue].late.note(identity, by: by)
        case .looking:
            guard annotation.isNamed("cause"),
                case .cause(let identity, let by, _)? = annotation.annotation
            else { return }
            look?.note(cause: by, of: identity, aligner: sides[side.rawValue].aligner, pairing)
        default: break
        }
    }

    /// One side has nothing more in this pass.
    public mutating func end(of side: Side) {
        sides[side.rawValue].isOver = true
        if phase == .pairing { pairing.end(of: side) }
    }

    /// Ends a pass.
    ///
    /// - Parameter fetch: Reads a content again.
    /// - Returns: Whether another one is needed, from the beginning of both sides.
    /// - Throws: What `fetch` throws.
    public mutating func endPass(fetch: Fetch) throws(HistoryError) -> Bool {
        defer {
            for side in sides.indices {
                sides[side].isOver = false
                sides[side].consumed = 0
            }
        }
        switch phase {
        case .surveying:
            for side in Side.allCases {
                sides[side.rawValue].aligner = Aligner(
                    survey.sequences[side.rawValue], options.alignment)
                sides[side.rawValue].uses = []
            }
            survey.isNeeded = false
            pairing = Pairing(options: options, bounds: bounds)
            phase = .pairing
            for side in Side.allCases { learn(sides[side.rawValue].kinds, of: side) }
        case .pairing where survey.isNeeded:
            for side in sides.indices { sides[side].late = LateNotes() }
            phase = .surveying
        case .pairing:
            for side in sides.indices { sides[side].hasNotedLate = true }
            if pairing.endPass() { return true }
            pairing.note(late: sides.map(\.late), aligners: sides.map(\.aligner))
            look = SecondLook(pairing)
            for side in Side.allCases { look?.learn(pairing.kinds[side.rawValue], of: side) }
            phase = look == nil ? .done : .looking
        case .looking:
            try look?.conclude(&pairing, fetch: fetch)
            phase = .done
        case .done: break
        }
        return phase != .done
    }

    /// What was found, once no pass is needed any more.
    public func report() -> ComparisonReport {
        var report = pairing.report(aligners: sides.map(\.aligner))
        look?.complete(&report, pairing, aligners: sides.map(\.aligner))
        return report
    }

    /// Looks up what records of new kinds belong to.
    private mutating func lookUp(of side: Side) {
        for kind in sides[side.rawValue].kinds[sides[side.rawValue].uses.count...] {
            guard kind.lane == .primary else {
                sides[side.rawValue].uses.append(nil)
                continue
            }
            let key = StreamKey(flow: kind.flow, incarnation: kind.incarnation)
            if phase == .pairing, options.alignment != .exact {
                survey.meet(key, of: side, alignment: options.alignment)
                sides[side.rawValue].aligner.meet(key)
            }
            guard kind.direction == .delivered,
                options.sources?.contains(kind.flow.source) ?? true
            else {
                sides[side.rawValue].uses.append(nil)
                continue
            }
            let (stream, offset) = sides[side.rawValue].aligner.align(key)
            let receiver =
                switch kind.flow.destination {
                // Who records for an agent may differ between two runs; for whom it was does not.
                case .agent(let name): name
                case .topic: kind.agent
                }
            let number = pairing.number(of: GroupKey(stream: stream, receiver: receiver))
            sides[side.rawValue].uses.append(SideReading.Use(stream: number, offset: offset))
        }
    }
}

/// How far one side was read.
private struct SideReading {
    struct Use {
        let stream: Int
        let offset: UInt64
    }

    var isOver = false
    var consumed = 0
    /// What records have in common.
    var kinds: [RecordKind] = []
    /// What kinds' records belong to; nil for what is not compared.
    var uses: [Use?] = []
    var aligner: Aligner
    var late = LateNotes()
    var hasNotedLate = false

    init(_ alignment: Alignment) { aligner = Aligner(alignment) }
}

/// What receivers had given up before it came, as ranges: what follows each other takes no room.
struct LateNotes {
    private struct Key: Hashable {
        let stream: StreamKey
        let receiver: String
    }

    private var sequences: [Key: SequenceSet] = [:]

    /// Notes that an envelope came too late to be delivered.
    mutating func note(_ identity: Identity, by receiver: String) {
        let stream = StreamKey(flow: identity.flow, incarnation: identity.incarnation)
        sequences[Key(stream: stream, receiver: receiver), default: SequenceSet()]
            .insert(identity.sequence)
    }

    /// All of them, flow by flow.
    func forEach(_ body: (_ identity: Identity, _ receiver: String) -> Void) {
        let keys = sequences.keys.sorted { ($0.stream, $0.receiver) < ($1.stream, $1.receiver) }
        for key in keys {
            for sequence in sequences[key, default: SequenceSet()].sequences {
                body(
                    Identity(
                        flow: key.stream.flow, incarnation: key.stream.incarnation,
                        sequence: sequence), key.receiver)
            }
        }
    }
}

/// The highest sequences of flows, where one side has a flow of several incarnations.
private struct Survey {
    var isNeeded = false
    var sequences: [[Flow: [UInt32: UInt64]]] = [[:], [:]]
    private var isDone = false
    private var incarnations: [[Flow: UInt32]] = [[:], [:]]

    /// Notes a flow, and whether it is of another incarnation than it was before.
    mutating func meet(
        _ key: StreamKey, of side: StreamComparison.Side, alignment: Alignment
    ) {
        guard !isDone else { return }
        let known = incarnations[side.rawValue].updateValue(key.incarnation, forKey: key.flow)
        // Incarnations are counted from the lowest, which need not be 1.
        let isOther = known != nil && known != key.incarnation
        if isOther || alignment == .incarnations && key.incarnation != 1 {
            isNeeded = true
            isDone = true
        }
    }

    mutating func take(_ record: MergedRecord, kind: RecordKind, of side: StreamComparison.Side) {
        guard kind.lane == .primary else { return }
        let highest = sequences[side.rawValue][kind.flow]?[kind.incarnation] ?? 0
        guard record.view.sequence > highest else { return }
        sequences[side.rawValue][kind.flow, default: [:]][kind.incarnation] = record.view.sequence
    }
}
