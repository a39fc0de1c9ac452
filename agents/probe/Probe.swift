import AgentRuntime
import JSON
import Messaging
import Recording
import Wire

/// Sends loads of numbered JSON, echoes pings, and folds what it receives.
final class Probe: Agent {
    private let setup: AgentSetup
    private let destinations: [Address]
    private let size: Int
    private let measuresLatency: Bool
    /// In whose name loads are sent, in turns; nobody's but its own where it is empty.
    private let names: [String]
    private var received: [String: Fold] = [:]
    /// How long after they were due messages came that say when they were.
    private var latencies: Latencies?

    static let sizeRange = 0...256_000_000

    init(_ setup: AgentSetup) throws(AgentFailure) {
        self.setup = setup
        destinations = try setup.destinations()
        size = try setup.integer("size", in: Probe.sizeRange, or: 128)
        measuresLatency = setup.settings["latency"]?.bool ?? false
        names = try setup.texts("as")
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        received[envelope.identity.flow.description, default: Fold()].add(envelope)
        if measuresLatency, let due = envelope.withContent(DueTime.read) {
            latencies = latencies ?? Latencies()
            latencies?.record(outbox.now &- due)
        }
        guard envelope.type == "ping" else { return }
        try outbox.send(
            to: .agent(envelope.source), type: "echo", content: envelope.content,
            encoding: envelope.contentEncoding, cause: envelope.identity)
    }

    func load(_ order: LoadOrder) throws(LoadError) -> any Load {
        let type = order.arguments["type"]?.string ?? "message"
        guard Names.isLegal(type) else {
            throw LoadError("'type' is '\(type)', not a legal message type")
        }
        var size = size
        if let value = order.arguments["size"], value != .null {
            guard let bytes = value.integer.flatMap({ Int(exactly: $0) }),
                Probe.sizeRange.contains(bytes)
            else {
                throw LoadError(
                    "'size' is \(value.canonical), not bytes from 0 through "
                        + "\(Probe.sizeRange.upperBound)")
            }
            size = bytes
        }
        return ProbeLoad(
            destinations: destinations, names: names, type: type, size: size,
            saysDue: measuresLatency,
            seed: Seed.derived(from: setup.seed, setup.name))
    }

    func result() -> Value {
        var members: [String: Value] = ["received": .object(received.mapValues(\.json))]
        members["latency"] = latencies?.json
        return .object(members)
    }

    func state() -> Value { result() }

    func restore(_ state: Value) {
        received = (state["received"]?.object ?? [:]).compactMapValues { Fold($0) }
    }
}

/// How many envelopes of a flow came, and a digest of their contents that does not depend on the
/// order in which they came.
private struct Fold {
    private var count: UInt64 = 0
    private var sum: UInt64 = 0

    init() {}

    init?(_ value: Value) {
        guard let count = value["count"]?.integer,
            let digest = value["digest"]?.string.flatMap({ ContentDigest.value(of: $0) })
        else { return nil }
        self.count = UInt64(clamping: count)
        sum = digest
    }

    /// Takes in a content, without its identity.
    ///
    /// A sender's move begins a new incarnation, and is to change nothing here. Every content
    /// has a number of its own, so none stands for another.
    mutating func add(_ envelope: Envelope) {
        count += 1
        sum &+= Seed.mix(
            envelope.withContent { ContentDigest.xxh3($0) }
                ^ ContentDigest.xxh3(Array(envelope.type.utf8)))
    }

    var json: Value { ["count": Value(count), "digest": .string(ContentDigest.text(sum))] }
}

/// Messages `{"n": number, "text": filler}` of a given length.
private final class ProbeLoad: Load {
    let destinations: [Address]
    private let names: [String]
    private let type: String
    private let size: Int
    private let seed: UInt64
    private let saysDue: Bool
    /// The message that was made last: it goes to every destination.
    private var latest: (index: Int, content: [UInt8])?

    init(
        destinations: [Address], names: [String], type: String, size: Int, saysDue: Bool,
        seed: UInt64
    ) {
        self.destinations = destinations
        self.names = names
        self.type = type
        self.size = size
        self.seed = seed
        self.saysDue = saysDue
    }

    func send(
        _ index: Int, to destination: Address, _ outbox: Outbox
    ) throws(MessagingError) {
        let content = content(index, due: saysDue ? outbox.due : nil)
        if names.isEmpty {
            try outbox.send(to: destination, type: type, content: content, encoding: .json)
        } else {
            try outbox.send(
                as: names[index % names.count], to: destination, type: type, content: content,
                encoding: .json)
        }
    }

    private func content(_ index: Int, due: UInt64?) -> [UInt8] {
        if let latest, latest.index == index { return latest.content }
        let start = due.map(DueTime.written) ?? "{"
        var content = Array(#"\#(start)"n":\#(index),"text":""#.utf8)
        content.reserveCapacity(size)
        let end = size - 2
        var number = Seed.derived(from: seed, index: index)
        while content.count < end {
            number = Seed.mix(number)
            // Twelve letters of five bits each.
            var bits = number
            for _ in 0..<min(12, end - content.count) {
                content.append(ProbeLoad.letters[Int(bits & 31)])
                bits >>= 5
            }
        }
        content += Array(#""}"#.utf8)
        latest = (index, content)
        return content
    }

    private static let letters = Array("abcdefghijklmnopqrstuvwxyz012345".utf8)
}
