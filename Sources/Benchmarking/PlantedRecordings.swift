internal import Glibc
internal import JSON
package import Recording
internal import Wire

/// Two recordings of one workload that differ in planted places alone: as many of every class.
package struct PlantedRecordings {
    /// What can be planted.
    package enum Kind: String, CaseIterable, Sendable {
        case tolerated, ignored, duplicate, reordered, late, payload, missing, extra, undecidable
    }

    /// The rules under which two of the kinds are let pass.
    package static let ruleArguments = ["--absolute", "$.value=0.5", "--ignore", "$.stamp"]

    private static let senders = 8
    private static let receivers = 4
    private static let flows = senders * receivers
    /// Further apart in its flow an envelope is late.
    private static let window = 10_000

    /// Deliveries on each side, planted ones aside.
    package let count: Int
    /// Planted differences of each kind.
    package let planted: Int

    private struct Spot: Hashable {
        let flow: Int
        let sequence: Int
    }

    private let spots: [Spot: Kind]

    /// Plans recordings; nothing is written.
    ///
    /// - Parameters:
    ///   - count: Deliveries on each side; at least 100 a flow for each difference of a kind.
    ///   - planted: Differences of each kind.
    package init(count: Int, planted: Int) {
        self.count = count
        self.planted = planted
        let length = count / Self.flows
        let all = planted * Kind.allCases.count
        // Evenly over all flows, each kind everywhere, and none near an end of its flow.
        let perFlow = (all + Self.flows - 1) / Self.flows
        let distance = max(1, (length - length / 5) / max(1, perFlow))
        var spots: [Spot: Kind] = [:]
        for number in 0..<all {
            let kind = Kind.allCases[number / max(1, planted)]
            spots[
                Spot(
                    flow: number % Self.flows,
                    sequence: length / 20 + number / Self.flows * distance + 1)] = kind
        }
        self.spots = spots
    }

    /// How many there are of each kind.
    package var expected: [Kind: Int] {
        spots.values.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// Writes one side into a directory.
    ///
    /// - Parameters:
    ///   - directory: Where; it is made.
    ///   - isRight: Whether it is the side with the differences, but for what is extra there.
    /// - Throws: `HistoryError` when a file cannot be written.
    package func write(to directory: String, isRight: Bool) throws(HistoryError) {
        guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
            throw HistoryError(.create, directory, .system(errno))
        }
        let clock = RunClock.starting()
        var writers: [FlowWriter] = []
        for receiver in 0..<Self.receivers {
            let history = try HistoryWriter(
                path: "\(directory)/r\(receiver).1.mcap", process: "r\(receiver)", clock: clock)
            for sender in 0..<Self.senders {
                writers.append(FlowWriter(history, sender: sender, receiver: receiver, clock))
            }
        }
        let length = count / Self.flows
        let mayBeFar = length > 3 * Self.window
        for sequence in 1...length {
            for turn in 0..<Self.flows {
                // The sides' flows take turns in different orders.
                let flow = isRight ? (turn * 5 + sequence) % Self.flows : turn
                let writer = writers[flow]
                switch spots[Spot(flow: flow, sequence: sequence)] {
                case nil: try writer.deliver(sequence)
                case .undecidable: try writer.deliverDescriptor(sequence)
                case .extra: if isRight { try writer.deliver(sequence) }
                case let kind? where isRight:
                    let isFar = kind == .late && mayBeFar && (sequence + flow).isMultiple(of: 2)
                    try writer.plant(
                        kind, sequence, until: isFar ? sequence + Self.window + 500 : sequence + 20,
                        isFar: isFar)
                default: try writer.deliver(sequence)
                }
                try writer.deliverDue(sequence)
            }
        }
        for number in stride(from: 0, to: writers.count, by: Self.senders) {
            try writers[number].history.seal()
        }
    }
}

/// Writes deliveries of one flow.
private final class FlowWriter {
    let history: HistoryWriter
    private let identity: (UInt64) -> Identity
    private let clock: RunClock
    private let receiver: String
    private var strand: Strand?
    private var due: [(at: Int, sequence: Int)] = []
    private var text = Array(
        #"{"number":1000000000,"value":1000000000.25,"stamp":"1000000000"}"#.utf8)

    init(_ history: HistoryWriter, sender: Int, receiver: Int, _ clock: RunClock) {
        self.history = history
        self.clock = clock
        self.receiver = "r\(receiver)"
        let flow = Flow(source: "s\(sender)", destination: .agent("r\(receiver)"))
        identity = { Identity(flow: flow, incarnation: 1, sequence: $0) }
    }

    func deliver(_ sequence: Int) throws(HistoryError) {
        write(sequence)
        try deliverText(sequence)
    }

    func deliverDue(_ sequence: Int) throws(HistoryError) {
        while let first = due.first, first.at <= sequence {
            due.removeFirst()
            try deliver(first.sequence)
        }
    }

    func plant(
        _ kind: PlantedRecordings.Kind, _ sequence: Int, until: Int, isFar: Bool
    ) throws(HistoryError) {
        write(sequence)
        switch kind {
        case .tolerated: text[40] = UInt8(ascii: "4")
        case .ignored: text[61] = UInt8(ascii: "x")
        case .payload: text[10] = UInt8(ascii: "9")
        case .duplicate: try deliverText(sequence)
        case .reordered:
            due.append((until, sequence))
            return
        case .late:
            if isFar {
                due.append((until, sequence))
            } else {
                try history.annotate(
                    .late(identity(UInt64(sequence)), by: receiver, at: clock.now))
            }
            return
        case .missing: return
        case .extra, .undecidable: break
        }
        try deliverText(sequence)
    }

    /// A content in shared memory of which no digest is known.
    func deliverDescriptor(_ sequence: Int) throws(HistoryError) {
        let descriptor = PointCloudDescriptor(
            pool: "clouds", slot: 0, generation: UInt64(sequence), size: 1_000, digest: nil,
            points: 10)
        try history.record(
            envelope(sequence, .descriptor, Array(descriptor.json.canonical.utf8)), .delivered,
            transport: "zmq")
    }

    private func deliverText(_ sequence: Int) throws(HistoryError) {
        if let strand {
            let isRecorded = try text.withUnsafeBufferPointer { (bytes) throws(HistoryError) in
                try history.record(
                    UnsafeRawBufferPointer(bytes), sequence: UInt64(sequence), sent: clock.now,
                    observed: nil, on: strand)
            }
            if isRecorded { return }
        }
        let envelope = envelope(sequence, .json, text)
        try history.record(envelope, .delivered, transport: "zmq")
        strand = history.strand(of: envelope, .delivered, transport: "zmq")
    }

    private func envelope(
        _ sequence: Int, _ encoding: Envelope.ContentEncoding, _ content: [UInt8]
    ) -> Envelope {
        Envelope(
            identity: identity(UInt64(sequence)), type: "result", sent: clock.now,
            contentEncoding: encoding, content: content)
    }

    /// Puts the number into the text, as many digits each time.
    private func write(_ number: Int) {
        for end in [20, 39, 62] {
            var rest = number
            for place in stride(from: end - 1, through: end - 9, by: -1) {
                text[place] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
        }
        text[10] = UInt8(ascii: "1")
        text[40] = UInt8(ascii: "2")
    }
}
