internal import JSON
internal import Recording
internal import Wire

/// What pairing could not know while the records passed: what repeats say, what stands around the
/// first difference, and what follows from what.
struct SecondLook {
    private struct Key: Hashable {
        let stream: Int
        let sequence: UInt64
    }

    private struct Copy {
        let kind: Int
        let observed: UInt64
        let fingerprint: ContentFingerprint
        let place: MergedPlace
    }

    /// Envelopes whose repeats are looked at; the contents of more are undecidable.
    private static let repeatsMax = 200_000
    /// Envelopes before and behind the first difference.
    private static let contextLength: UInt64 = 3
    /// Causes that are kept.
    private static let causesMax = 100_000

    private var repeated: [Int: SequenceSet] = [:]
    private var unseen: [Key] = []
    private var copies: [Key: [[Copy]]] = [:]
    private var kinds: [[RecordKind]] = [[], []]
    private let first: Key?
    private var context: [[ContextLine]] = [[], []]
    private var causes: [Identity: Identity] = [:]

    /// Says what needs a second look; nil where nothing does.
    init?(_ pairing: Pairing) {
        var count = 0
        for (number, state) in pairing.streams.enumerated() {
            for sequence in state.repeated {
                guard count < Self.repeatsMax else {
                    unseen.append(Key(stream: number, sequence: sequence))
                    continue
                }
                count += 1
                repeated[number, default: SequenceSet()].insert(sequence)
            }
        }
        let earliest = pairing.streams.enumerated()
            .compactMap { number, state in state.first.map { ($0.time, number, $0.sequence) } }
            .min { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }
        first = earliest.map { Key(stream: $0.1, sequence: $0.2) }
        if first == nil, repeated.isEmpty, unseen.isEmpty { return nil }
    }

    mutating func learn(_ kinds: [RecordKind], of side: StreamComparison.Side) {
        self.kinds[side.rawValue] = kinds
    }

    mutating func take(
        _ record: MergedRecord, of side: StreamComparison.Side, stream: Int, offset: UInt64
    ) {
        let sequence = record.view.sequence &+ offset
        if let repeated = repeated[stream], repeated.contains(sequence) {
            let key = Key(stream: stream, sequence: sequence)
            copies[key, default: [[], []]][side.rawValue].append(
                Copy(
                    kind: record.kind, observed: record.view.observed,
                    fingerprint: record.view.fingerprint, place: record.place))
        }
        guard let first, first.stream == stream, sequence + Self.contextLength >= first.sequence,
            sequence <= first.sequence + Self.contextLength,
            // Repeats of these few must not fill the memory.
            context[side.rawValue].count < 64
        else { return }
        let kind = kinds[side.rawValue][record.kind]
        context[side.rawValue].append(
            ContextLine(
                identity: Identity(
                    flow: kind.flow, incarnation: kind.incarnation,
                    sequence: record.view.sequence),
                type: kind.type, content: Excerpt.of(record.view.content, kind.contentEncoding),
                isDivergent: sequence == first.sequence))
    }

    /// Keeps a cause where both envelopes differ: the one follows from the other.
    mutating func note(
        cause: Identity, of identity: Identity, aligner: Aligner, _ pairing: Pairing
    ) {
        guard causes.count < Self.causesMax else { return }
        let (key, sequence) = aligner.align(identity)
        guard pairing.isDifferent(key, sequence) else { return }
        let (causeKey, causeSequence) = aligner.align(cause)
        guard pairing.isDifferent(causeKey, causeSequence) else { return }
        causes[Identity(key, sequence)] = Identity(causeKey, causeSequence)
    }

    /// Judges the repeats.
    func conclude(
        _ pairing: inout Pairing, fetch: StreamComparison.Fetch
    ) throws(HistoryError) {
        for key in unseen {
            let state = pairing.streams[key.stream]
            if state.isUneven(key.sequence) {
                pairing.raise(
                    key.stream, key.sequence, to: .duplicate,
                    reason: "Delivered more often on one side.")
            } else {
                pairing.raise(
                    key.stream, key.sequence, to: .undecidable,
                    reason: "More repeats than are looked at: their contents were not compared.")
            }
        }
        for (key, sides) in copies.sorted(by: {
            ($0.key.stream, $0.key.sequence) < ($1.key.stream, $1.key.sequence)
        }) {
            try judge(key, sides, &pairing, fetch: fetch)
        }
    }

    private func judge(
        _ key: Key, _ sides: [[Copy]], _ pairing: inout Pairing, fetch: StreamComparison.Fetch
    ) throws(HistoryError) {
        guard let first = sides[0].first else { return }
        // A pair that differs was counted when it was paired.
        var isCounted = pairing.streams[key.stream].deviation(of: key.sequence) != nil
        if sides[0].count != sides[1].count {
            pairing.raise(
                key.stream, key.sequence, to: .duplicate,
                reason: "Delivered \(sides[0].count) times on the left side, "
                    + "\(sides[1].count) times on the right.")
        }
        let others =
            sides[0].dropFirst().map { (StreamComparison.Side.left, $0) }
            + sides[1].map { (StreamComparison.Side.right, $0) }
        var content: Content?
        for (side, copy) in others {
            let kind = kinds[0][first.kind]
            let other = kinds[side.rawValue][copy.kind]
            if kind.isPlain(beside: other), copy.fingerprint == first.fingerprint { continue }
            let here: Content
            if let content {
                here = content
            } else {
                here = try fetch(.left, first.place)
                content = here
            }
            let comparison = ContentComparison.of(
                ComparedRecord(
                    kind, sequence: key.sequence, observed: first.observed, content: here),
                ComparedRecord(
                    other, sequence: key.sequence, observed: copy.observed,
                    content: try fetch(side, copy.place)),
                rules: pairing.options.rules, isOneMemory: pairing.options.mode == .dual)
            guard let deviation = comparison.deviation(noisy: pairing.options.noisyPlaces) else {
                continue
            }
            if !isCounted { pairing.streams[key.stream].note(comparison) }
            isCounted = true
            pairing.raise(
                key.stream, key.sequence, to: deviation, reason: comparison.reason,
                comparison: comparison)
        }
    }

    /// Adds to the report what only the second look has shown.
    func complete(_ report: inout ComparisonReport, _ pairing: Pairing, aligners: [Aligner]) {
        if let first {
            let state = pairing.streams[first.stream]
            let identity =
                aligners[0].identity(state.key.stream, first.sequence)
                ?? aligners[1].identity(state.key.stream, first.sequence)
            if let identity {
                report.first = FirstDivergence(
                    identity: identity, receiver: state.key.receiver, left: context[0],
                    right: context[1])
            }
        }
        for index in report.differences.indices {
            let identity = report.differences[index].identity
            let (key, sequence) = aligners[0].align(identity)
            var place = Identity(key, sequence)
            var steps = 0
            while let cause = causes[place], steps < 1_000 {
                place = cause
                steps += 1
            }
            guard steps > 0 else { continue }
            report.differences[index].ancestor =
                aligners[0].identity(place.stream, place.sequence)
                ?? aligners[1].identity(place.stream, place.sequence) ?? place
        }
        report.causesOmitted = causes.count == Self.causesMax
    }
}

extension Identity {
    init(_ key: StreamKey, _ sequence: UInt64) {
        self.init(flow: key.flow, incarnation: key.incarnation, sequence: sequence)
    }
}

extension Excerpt {
    /// A content as far as a line bears: JSON as it reads, anything else by length and digest.
    static func of(_ content: Content, _ encoding: Envelope.ContentEncoding) -> String {
        if encoding.isJSON, case .bytes(let bytes) = content, let value = try? Value(parsing: bytes)
        {
            return of(value)
        }
        return "\(content.length) bytes, \(ContentDigest.text(content.digest))"
    }
}
