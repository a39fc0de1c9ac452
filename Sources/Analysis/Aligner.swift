internal import Wire

/// Gives the identities of one of two sides names that both share.
struct Aligner {
    private struct Stretch {
        let incarnation: UInt32
        let offset: UInt64
    }

    private let alignment: Alignment
    /// Where the source's incarnations stand in the order of starts, from 1.
    private var ranks: [String: [UInt32: UInt32]] = [:]
    /// How far a flow had come before each incarnation.
    private var stretches: [Flow: [Stretch]] = [:]

    /// An aligner for flows of one incarnation each.
    init(_ alignment: Alignment = .exact) { self.alignment = alignment }

    /// An aligner for flows with these incarnations and the highest sequence of each.
    init(_ sequences: [Flow: [UInt32: UInt64]], _ alignment: Alignment) {
        self.alignment = alignment
        switch alignment {
        case .exact: break
        case .incarnations:
            var incarnations: [String: Set<UInt32>] = [:]
            for (flow, sequences) in sequences {
                incarnations[flow.source, default: []].formUnion(sequences.keys)
            }
            ranks = incarnations.mapValues { known in
                Dictionary(
                    uniqueKeysWithValues: known.sorted().enumerated().map { ($1, UInt32($0) + 1) })
            }
        case .continued:
            stretches = sequences.mapValues { sequences in
                var stretches: [Stretch] = []
                var offset: UInt64 = 0
                for (incarnation, highest) in sequences.sorted(by: { $0.key < $1.key }) {
                    stretches.append(Stretch(incarnation: incarnation, offset: offset))
                    offset += highest
                }
                return stretches
            }
        }
    }

    /// Notes the one incarnation of a flow, where nothing was counted beforehand.
    mutating func meet(_ key: StreamKey) {
        switch alignment {
        case .exact: break
        case .incarnations:
            if ranks[key.flow.source]?[key.incarnation] == nil {
                ranks[key.flow.source, default: [:]][key.incarnation] = key.incarnation
            }
        case .continued:
            if stretches[key.flow] == nil {
                stretches[key.flow] = [Stretch(incarnation: key.incarnation, offset: 0)]
            }
        }
    }

    /// The shared name of a stream, and what is to be added to its sequences.
    func align(_ key: StreamKey) -> (key: StreamKey, offset: UInt64) {
        switch alignment {
        case .exact: return (key, 0)
        case .incarnations:
            let rank = ranks[key.flow.source]?[key.incarnation] ?? key.incarnation
            return (StreamKey(flow: key.flow, incarnation: rank), 0)
        case .continued:
            let stretch = stretches[key.flow]?.first { $0.incarnation == key.incarnation }
            return (StreamKey(flow: key.flow, incarnation: 1), stretch?.offset ?? 0)
        }
    }

    /// The shared name of an envelope.
    func align(_ identity: Identity) -> (key: StreamKey, sequence: UInt64) {
        let (key, offset) = align(identity.stream)
        return (key, identity.sequence &+ offset)
    }

    /// How this side names an envelope; nil where it does not know its flow.
    func identity(_ key: StreamKey, _ sequence: UInt64) -> Identity? {
        switch alignment {
        case .exact:
            return Identity(flow: key.flow, incarnation: key.incarnation, sequence: sequence)
        case .incarnations:
            guard let ranks = ranks[key.flow.source],
                let incarnation = ranks.first(where: { $0.value == key.incarnation })?.key
            else { return nil }
            return Identity(flow: key.flow, incarnation: incarnation, sequence: sequence)
        case .continued:
            guard let stretches = stretches[key.flow],
                let stretch = stretches.last(where: { $0.offset < sequence })
            else { return nil }
            return Identity(
                flow: key.flow, incarnation: stretch.incarnation,
                sequence: sequence - stretch.offset)
        }
    }
}
