internal import Glibc
internal import Wire

/// A header read in place: where its fields are, without making a text of any of them.
///
/// Accepts no more than `Envelope(header:content:)` does, so what was routed by it can be read by
/// its receiver.
struct HeaderView {
    let kind: Envelope.Kind
    let hops: UInt8
    let incarnation: UInt32
    let sequence: UInt64
    let isTopic: Bool
    /// Whether its sender sends it again until it is acknowledged.
    let isKept: Bool
    let source: Range<Int>
    let destination: Range<Int>
    let type: Range<Int>

    private static let namesOffset = 25
    private static let hopsOffset = 3

    /// Reads `header`; nil when it is malformed.
    init?(_ header: [UInt8]) {
        guard let view = header.withUnsafeBytes({ HeaderView($0) }) else { return nil }
        self = view
    }

    /// Reads `header` where it stands; nil when it is malformed.
    init?(_ header: UnsafeRawBufferPointer) {
        guard header.count > Self.namesOffset, header[0] == 1,
            let kind = Envelope.Kind(rawValue: header[1]),
            Envelope.ContentEncoding(rawValue: header[2]) != nil
        else { return nil }
        let flags = header[4]
        var position = Self.namesOffset
        guard let source = Self.name(in: header, at: &position),
            let destination = Self.name(in: header, at: &position),
            let type = Self.name(in: header, at: &position)
        else { return nil }
        if flags & 2 != 0 {
            position += 12
            guard Self.name(in: header, at: &position) != nil,
                Self.name(in: header, at: &position) != nil
            else { return nil }
        }
        guard position == header.count else { return nil }
        self.kind = kind
        hops = header[Self.hopsOffset]
        isTopic = flags & 1 != 0
        isKept = flags & Envelope.atLeastOnceFlag != 0
        incarnation = UInt32(truncatingIfNeeded: Self.integer(in: header, at: 5, bytes: 4))
        sequence = Self.integer(in: header, at: 9, bytes: 8)
        self.source = source
        self.destination = destination
        self.type = type
    }

    private static func integer(in header: UnsafeRawBufferPointer, at offset: Int, bytes: Int)
        -> UInt64
    {
        bytes == 8
            ? UInt64(littleEndian: header.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            : UInt64(
                UInt32(littleEndian: header.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }

    // Legal names are ASCII, and ASCII is UTF-8 without looking further.
    private static func name(in header: UnsafeRawBufferPointer, at position: inout Int) -> Range<
        Int
    >? {
        guard position < header.count else { return nil }
        let start = position + 1
        let end = start + Int(header[position])
        guard end <= header.count else { return nil }
        for index in start..<end where header[index] >= 0x80 || header[index] < 0x20 { return nil }
        position = end
        return start..<end
    }

    /// `header` after one more bridge.
    static func afterBridge(_ header: [UInt8]) -> [UInt8] {
        var header = header
        header[hopsOffset] = min(header[hopsOffset], UInt8.max - 1) + 1
        return header
    }
}

/// Whether a part of a header is what another frame has.
@inline(__always)
func isEqual(
    _ header: UnsafeRawBufferPointer, _ part: Range<Int>, _ other: UnsafeRawBufferPointer
) -> Bool {
    guard part.count == other.count else { return false }
    guard let left = header.baseAddress, let right = other.baseAddress else { return part.isEmpty }
    return memcmp(left + part.lowerBound, right, other.count) == 0
}

extension HeaderView {
    /// The identity that `header`, which this view was made of, names.
    func identity(in header: [UInt8]) -> Identity {
        let name = String(decoding: header[destination], as: UTF8.self)
        return Identity(
            flow: Flow(
                source: String(decoding: header[source], as: UTF8.self),
                destination: isTopic ? .topic(name) : .agent(name)),
            incarnation: incarnation, sequence: sequence)
    }
}

extension Envelope.Kind {
    /// Whether agents say it to each other.
    ///
    /// The rest is between an agent and its proxy, and would be believed from anybody: a marker that
    /// another agent sends must not end a drain.
    var isForAgents: Bool {
        switch self {
        case .content, .acknowledgement, .gap, .batch: true
        case .credit, .marker, .hello: false
        }
    }
}

extension Envelope.Kind {
    /// Whether a publisher says it to those who are subscribed: its envelopes, and which of them
    /// will never come.
    var isForSubscribers: Bool { carriesContent || self == .gap }

    /// Whether it is a content, or several.
    var carriesContent: Bool { self == .content || self == .batch }
}

extension Envelope {
    /// Whether a header can be written for it: every name fits its length byte and is plain.
    ///
    /// What comes from NATS headers or from foreign JSON is not bound by that.
    var isEncodable: Bool {
        var names = [source, destination.name, type]
        if let cause { names += [cause.flow.source, cause.flow.destination.name] }
        return names.allSatisfy { name in
            name.utf8.count <= 255 && name.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x80 }
        }
    }
}
