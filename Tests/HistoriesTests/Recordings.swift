import Recording
import TestSupport
import Wire

/// What one run delivered, to be written as histories.
struct Recording {
    struct Delivery {
        let receiver: String
        let identity: Identity
        var content: String
        var type = "result"
    }

    static let receivers = ["beta", "gamma", "delta"]

    var deliveries: [Delivery] = []
    /// Envelopes that came to their receivers too late.
    var late: [(identity: Identity, by: String)] = []
    /// What follows from what.
    var causes: [(of: Identity, by: Identity)] = []

    /// A run of flows of several incarnations, which come about in an order of its own.
    init(
        flows: Int, length: UInt64, incarnations: UInt32 = 1, numbered first: UInt32 = 1,
        interleavedBy random: inout SeededGenerator
    ) {
        var streams: [[Delivery]] = []
        for number in 0..<flows {
            let receiver = Self.receivers[number % Self.receivers.count]
            let isTopic = number % 4 == 3
            let flow = Flow(
                source: "agent-\(number)",
                destination: isTopic ? .topic("tot.results") : .agent(receiver))
            for receiver in isTopic ? Self.receivers : [receiver] {
                var stream: [Delivery] = []
                for part in 0..<incarnations {
                    // The restart comes at another point of each run, the work goes on.
                    let share = length / UInt64(incarnations)
                    for sequence in 1...share {
                        stream.append(
                            Delivery(
                                receiver: receiver,
                                identity: Identity(
                                    flow: flow, incarnation: first + part, sequence: sequence),
                                content: Self.content(UInt64(part) * share + sequence)))
                    }
                }
                streams.append(stream.reversed())
            }
        }
        while !streams.isEmpty {
            let number = Int.random(in: 0..<streams.count, using: &random)
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                if let next = streams[number].popLast() { deliveries.append(next) }
            }
            if streams[number].isEmpty { streams.remove(at: number) }
        }
    }

    static func content(_ number: UInt64) -> String {
        #"{"number":\#(number),"stamp":"at \#(number)","value":\#(number).5}"#
    }

    /// Writes a history for each receiver.
    func write(to directory: String) throws -> [String] {
        let clock = RunClock.starting()
        var writers: [String: HistoryWriter] = [:]
        for receiver in Self.receivers {
            writers[receiver] = try HistoryWriter(
                path: "\(directory)/\(receiver).1.mcap", process: receiver, clock: clock)
        }
        for delivery in deliveries {
            try writers[delivery.receiver]?.record(
                Envelope(
                    identity: delivery.identity, type: delivery.type, sent: clock.now,
                    contentEncoding: .json, content: Array(delivery.content.utf8)),
                .delivered, transport: "zmq")
        }
        for (identity, by) in late {
            try writers[by]?.annotate(.late(identity, by: by, at: clock.now))
        }
        for (identity, by) in causes {
            try writers[identity.flow.destination.name]?.annotate(
                .cause(of: identity, by: by, at: clock.now))
        }
        for writer in writers.values { try writer.seal() }
        return writers.keys.sorted().map { "\(directory)/\($0).1.mcap" }
    }
}
