import Wire

/// What all messages of one channel have in common; a channel exists for every combination.
struct Channel: Hashable {
    /// How the content stands in the file.
    enum Encoding: String {
        case json = "json"
        case binary = "application/octet-stream"
        /// `{"digest", "length"}` in place of a content above the writer's limit.
        case digest = "application/x-synmesh-digest+json"
    }

    var flow: Flow
    var incarnation: UInt32
    var type: String
    var transport: String
    var direction: Direction
    var lane: Lane
    var hops: UInt8
    var contentEncoding: Envelope.ContentEncoding
    var isDigest: Bool
    /// A message's sequence has 32 bits in MCAP; these are the 32 above.
    var sequenceHigh: UInt32
    var delivery = DeliveryClass.atMostOnce

    /// The topic of the annotations' channel.
    static let annotationsTopic = "annotations"

    /// The channel's record.
    func record(id: UInt16, agent: String) -> [UInt8] {
        var metadata: [(name: String, value: String)] = [
            ("agent", agent),
            ("source", flow.source),
            ("destination", flow.destination.description),
            ("incarnation", String(incarnation)),
            ("type", type),
            ("transport", transport),
            ("direction", direction.rawValue),
            ("lane", lane.rawValue),
            ("hops", String(hops)),
            ("content_encoding", contentEncoding.name),
        ]
        if sequenceHigh > 0 { metadata.append(("sequence_high", String(sequenceHigh))) }
        if delivery == .atLeastOnce { metadata.append(("delivery", delivery.rawValue)) }
        let encoding: Encoding =
            isDigest ? .digest : contentEncoding.isJSON ? .json : .binary
        return Channel.record(
            id: id, topic: "\(flow.source)/\(flow.destination)/\(type)", encoding: encoding,
            metadata: metadata)
    }

    /// The record of the annotations' channel.
    static func annotationsRecord(id: UInt16, agent: String) -> [UInt8] {
        record(id: id, topic: annotationsTopic, encoding: .json, metadata: [("agent", agent)])
    }

    private static func record(
        id: UInt16, topic: String, encoding: Encoding, metadata: [(name: String, value: String)]
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendRecord(.channel) { body in
            body.append(integer: id)
            body.append(integer: UInt16(0))
            body.append(prefixed: topic)
            body.append(prefixed: encoding.rawValue)
            body.append(map: metadata)
        }
        return bytes
    }
}

extension Channel {
    /// What of a channel is not the envelope's.
    struct Record {
        let direction: Direction
        let transport: String
        let lane: Lane
        let isDigest: Bool
    }

    /// The channel in which an envelope is recorded.
    init(_ envelope: borrowing Envelope, _ record: Record) {
        self.init(
            flow: envelope.identity.flow, incarnation: envelope.identity.incarnation,
            type: envelope.type, transport: record.transport, direction: record.direction,
            lane: record.lane, hops: envelope.hops, contentEncoding: envelope.contentEncoding,
            isDigest: record.isDigest,
            sequenceHigh: UInt32(truncatingIfNeeded: envelope.identity.sequence >> 32),
            delivery: envelope.delivery)
    }

    /// Whether that is this one; compares in place, without making the other.
    func holds(_ envelope: borrowing Envelope, _ record: Record) -> Bool {
        incarnation == envelope.identity.incarnation && hops == envelope.hops
            && contentEncoding == envelope.contentEncoding && delivery == envelope.delivery
            && sequenceHigh == UInt32(truncatingIfNeeded: envelope.identity.sequence >> 32)
            && direction == record.direction && lane == record.lane && isDigest == record.isDigest
            && type == envelope.type && flow.destination == envelope.identity.flow.destination
            && flow.source == envelope.identity.flow.source && transport == record.transport
    }
}

/// What a channel record says, whoever wrote it.
struct ChannelRecord {
    let id: UInt16
    let topic: String
    let agent: String
    /// `nil` for a channel that is not one of a history's flows.
    let channel: Channel?

    /// Reads a channel record's body, or fails where it is no channel record at all.
    init?(_ body: UnsafeRawBufferPointer) {
        var reader = FieldReader(body)
        guard let id = reader.integer(UInt16.self), reader.integer(UInt16.self) != nil,
            let topic = reader.text(), let encoding = reader.text(), let metadata = reader.map()
        else { return nil }
        self.id = id
        self.topic = topic
        agent = metadata["agent"] ?? ""
        channel = Channel(metadata, encoding: encoding)
    }
}

extension Envelope.ContentEncoding {
    /// How channels name it.
    fileprivate var name: String {
        switch self {
        case .binary: "binary"
        case .json: "json"
        case .descriptor: "descriptor"
        }
    }
}

extension Channel {
    fileprivate init?(_ metadata: [String: String], encoding: String) {
        guard let encoding = Encoding(rawValue: encoding), let source = metadata["source"],
            let destination = metadata["destination"], let type = metadata["type"],
            let incarnation = metadata["incarnation"].flatMap({ UInt32($0) }),
            let transport = metadata["transport"],
            let direction = metadata["direction"].flatMap({ Direction(rawValue: $0) }),
            let lane = Lane(rawValue: metadata["lane"] ?? Lane.primary.rawValue),
            let hops = UInt8(metadata["hops"] ?? "0"),
            let high = UInt32(metadata["sequence_high"] ?? "0")
        else { return nil }
        let isJSON =
            encoding == .digest ? metadata["content_encoding"] != "binary" : encoding == .json
        let isDescriptor = metadata["content_encoding"] == Envelope.ContentEncoding.descriptor.name
        self.init(
            flow: Flow(source: source, destination: Address(destination)),
            incarnation: incarnation, type: type, transport: transport, direction: direction,
            lane: lane, hops: hops,
            contentEncoding: isJSON ? isDescriptor ? .descriptor : .json : .binary,
            isDigest: encoding == .digest, sequenceHigh: high,
            delivery: metadata["delivery"].flatMap(DeliveryClass.init(rawValue:)) ?? .atMostOnce)
    }
}

/// The channels of a file that is being written.
struct ChannelTable {
    private var ids: [Channel: UInt16] = [:]
    // Hashing four strings takes longer than comparing them: what was used last stands here, in
    // slots found without hashing; id 0 marks a free one.
    private var recentIDs = [UInt16](repeating: 0, count: 256)
    private var recent = [Channel](repeating: ChannelTable.nowhere, count: 256)
    private var last: UInt16

    /// - Parameter last: The highest id that is taken already.
    init(last: UInt16) { self.last = last }

    private static let nowhere = Channel(
        flow: Flow(source: "", destination: .agent("")), incarnation: 0, type: "", transport: "",
        direction: .sent, lane: .primary, hops: 0, contentEncoding: .binary, isDigest: false,
        sequenceHigh: 0)

    /// All that there are.
    var all: [(id: UInt16, channel: Channel)] {
        ids.map { ($0.value, $0.key) }.sorted { $0.id < $1.id }
    }

    /// The next id, or `nil` when all are taken.
    var nextID: UInt16? { Int(last) < MCAP.channelsMax ? last + 1 : nil }

    /// The id of an envelope's channel; nil where it has none yet.
    mutating func id(of envelope: borrowing Envelope, as record: Channel.Record) -> UInt16? {
        let slot = slot(of: envelope, record.direction)
        let id = recentIDs[slot]
        if id != 0, recent[slot].holds(envelope, record) { return id }
        let channel = Channel(envelope, record)
        guard let id = ids[channel] else { return nil }
        recentIDs[slot] = id
        recent[slot] = channel
        return id
    }

    mutating func add(_ channel: Channel, id: UInt16) {
        ids[channel] = id
        last = id
    }

    private func slot(of envelope: borrowing Envelope, _ direction: Direction) -> Int {
        var mixed: UInt64 = direction == .sent ? 0 : 1
        mix(envelope.identity.flow.source, into: &mixed)
        mix(envelope.identity.flow.destination.name, into: &mixed)
        mix(envelope.type, into: &mixed)
        // Fibonacci hashing: the product's highest bits depend on all of them.
        return Int((mixed &* 0x9E37_79B9_7F4A_7C15) >> 56)
    }

    /// Length and last byte: what names of one mesh differ in most.
    private func mix(_ text: String, into mixed: inout UInt64) {
        let last = text.utf8.withContiguousStorageIfAvailable { UInt64($0.last ?? 0) } ?? 0
        mixed = mixed &* 0x0000_0100_0000_01B3 &+ (UInt64(text.utf8.count) << 8 | last)
    }
}
