internal import CXXHash
internal import Glibc
public import Wire

/// What many records have in common: everything but number, times and content.
public struct RecordKind: Sendable, Hashable {
    /// The process that recorded.
    public var agent: String
    /// Sender and destination.
    public var flow: Flow
    /// The sender's incarnation.
    public var incarnation: UInt32
    /// Message type.
    public var type: String
    /// The transport that carried it.
    public var transport: String
    /// Sent or delivered.
    public var direction: Direction
    /// The copy that is acted on, or the one that is only compared.
    public var lane: Lane
    /// Bridges passed until there.
    public var hops: UInt8
    /// How the content bytes are to be read.
    public var contentEncoding: Envelope.ContentEncoding
    /// What its sender does where it does not arrive.
    public var delivery: DeliveryClass = .atMostOnce
}

/// The records of a history, kept small: tens of millions of them fit into memory.
///
/// To its users it is an array of `HistoryRecord`. Inside, what records have in common stands once
/// in `kinds`, a record is 40 bytes beside its content, and contents lie behind each other in blocks.
/// Blocks are shared by copies, so a copy of a history that grows is no copy of what it had.
public struct HistoryRecords: Sendable {
    /// A record without its content.
    public struct Entry: Sendable {
        /// Position in the flow.
        public var sequence: UInt64
        /// When the sender sent it.
        public var sent: UInt64
        /// When it was recorded.
        public var observed: UInt64
        var offset: Int
        var length: UInt32
        private var kindAndForm: UInt32

        /// The number of its kind in `kinds`.
        public var kind: Int { Int(kindAndForm & ~Entry.digestBit) }
        var isDigest: Bool { kindAndForm & Entry.digestBit != 0 }

        private static let digestBit: UInt32 = 1 << 31

        init(
            kind: Int, sequence: UInt64, sent: UInt64, observed: UInt64, offset: Int,
            length: UInt32, isDigest: Bool
        ) {
            self.sequence = sequence
            self.sent = sent
            self.observed = observed
            self.offset = offset
            self.length = length
            kindAndForm = UInt32(truncatingIfNeeded: kind) | (isDigest ? Entry.digestBit : 0)
        }
    }

    private struct Block {
        var entries: [Entry] = []
        var bytes: [UInt8] = []
    }

    /// A power of two, so that a position is found by shifting.
    private static let blockShift = 14
    private static let blockMask = (1 << blockShift) - 1

    /// What entries have in common, by number.
    public private(set) var kinds: [RecordKind] = []
    private var numbers: [RecordKind: Int] = [:]
    private var blocks: [Block] = []
    /// How many there are.
    public private(set) var count = 0

    /// None.
    public init() {}

    /// A record without its content.
    public func entry(at position: Int) -> Entry {
        blocks[position >> Self.blockShift].entries[position & Self.blockMask]
    }

    /// Hands out all entries, in order.
    public func forEachEntry(_ body: (_ position: Int, _ entry: Entry) throws -> Void) rethrows {
        var position = 0
        for block in blocks {
            for entry in block.entries {
                try body(position, entry)
                position += 1
            }
        }
    }

    /// The number of a kind, from now on at the latest.
    mutating func number(of kind: RecordKind) -> Int {
        if let number = numbers[kind] { return number }
        numbers[kind] = kinds.count
        kinds.append(kind)
        return kinds.count - 1
    }

    /// Appends a record whose content stands in a file.
    mutating func append(
        kind: Int, sequence: UInt64, sent: UInt64, observed: UInt64, bytes: UnsafeRawBufferPointer
    ) {
        guard let length = UInt32(exactly: bytes.count) else {
            let digest = XXH3_64bits(bytes.baseAddress, bytes.count)
            append(
                kind: kind, sequence: sequence, sent: sent, observed: observed, digest: digest,
                length: bytes.count)
            return
        }
        withRoom { block in
            block.entries.append(
                Entry(
                    kind: kind, sequence: sequence, sent: sent, observed: observed,
                    offset: block.bytes.count, length: length, isDigest: false))
            block.bytes.append(contentsOf: bytes)
        }
    }

    /// Appends a record of which a digest is left.
    mutating func append(
        kind: Int, sequence: UInt64, sent: UInt64, observed: UInt64, digest: UInt64, length: Int
    ) {
        withRoom { block in
            block.entries.append(
                Entry(
                    kind: kind, sequence: sequence, sent: sent, observed: observed,
                    offset: block.bytes.count, length: 16, isDigest: true))
            withUnsafeBytes(of: (digest, Int64(length))) { block.bytes.append(contentsOf: $0) }
        }
    }

    private mutating func withRoom(_ body: (inout Block) -> Void) {
        if count & Self.blockMask == 0 { blocks.append(Block()) }
        body(&blocks[blocks.count - 1])
        count += 1
    }

    /// The content of a record.
    public func content(at position: Int) -> Content {
        let block = blocks[position >> Self.blockShift]
        let entry = block.entries[position & Self.blockMask]
        let range = entry.offset..<entry.offset + Int(entry.length)
        guard entry.isDigest else { return .bytes(Array(block.bytes[range])) }
        return block.bytes.withUnsafeBytes { bytes in
            .digest(
                bytes.loadUnaligned(fromByteOffset: entry.offset, as: UInt64.self),
                length: Int(
                    bytes.loadUnaligned(fromByteOffset: entry.offset + 8, as: Int64.self)))
        }
    }

    /// Whether two contents are the same bytes, as far as both were recorded; nil where only digests
    /// can tell.
    public func hasSameBytes(at position: Int, as other: HistoryRecords, at place: Int) -> Bool? {
        let (one, entry) = blockAndEntry(position)
        let (two, second) = other.blockAndEntry(place)
        guard !entry.isDigest, !second.isDigest else { return nil }
        guard entry.length == second.length else { return false }
        guard entry.length > 0 else { return true }
        return one.bytes.withUnsafeBytes { left in
            two.bytes.withUnsafeBytes { right in
                guard let a = left.baseAddress, let b = right.baseAddress else { return false }
                return memcmp(a + entry.offset, b + second.offset, Int(entry.length)) == 0
            }
        }
    }

    private func blockAndEntry(_ position: Int) -> (Block, Entry) {
        let block = blocks[position >> Self.blockShift]
        return (block, block.entries[position & Self.blockMask])
    }
}

extension HistoryRecords: RandomAccessCollection, MutableCollection, RangeReplaceableCollection {
    /// Where the first one is.
    public var startIndex: Int { 0 }
    /// Behind the last one.
    public var endIndex: Int { count }

    /// A record, made up when it is asked for.
    public subscript(position: Int) -> HistoryRecord {
        get {
            let entry = entry(at: position)
            return HistoryRecord(
                kinds[entry.kind], sequence: entry.sequence, sent: entry.sent,
                observed: entry.observed, content: content(at: position))
        }
        set {
            // The new one is appended, and its entry takes the place of the old one.
            append(newValue)
            let last = entry(at: count - 1)
            let (place, number) = (position >> Self.blockShift, position & Self.blockMask)
            let content = newValue.content
            removeLastEntry()
            let offset = blocks[place].bytes.count
            blocks[place].bytes += content.stored
            blocks[place].entries[number] = Entry(
                kind: last.kind, sequence: last.sequence, sent: last.sent,
                observed: last.observed, offset: offset, length: last.length,
                isDigest: last.isDigest)
        }
    }

    private mutating func removeLastEntry() {
        let last = blocks.count - 1
        let entry = blocks[last].entries.removeLast()
        blocks[last].bytes.removeSubrange(entry.offset...)
        if blocks[last].entries.isEmpty { blocks.removeLast() }
        count -= 1
    }

    /// Appends a record.
    public mutating func append(_ record: HistoryRecord) {
        let kind = number(of: RecordKind(record))
        switch record.content {
        case .bytes(let bytes):
            bytes.withUnsafeBytes {
                append(
                    kind: kind, sequence: record.identity.sequence, sent: record.sent,
                    observed: record.observed, bytes: $0)
            }
        case .digest(let digest, let length):
            append(
                kind: kind, sequence: record.identity.sequence, sent: record.sent,
                observed: record.observed, digest: digest, length: length)
        }
    }

    /// Puts others in the place of some; everything behind them is written anew.
    public mutating func replaceSubrange(
        _ range: Range<Int>, with others: some Collection<HistoryRecord>
    ) {
        var records = HistoryRecords()
        for record in self[..<range.lowerBound] { records.append(record) }
        for record in others { records.append(record) }
        for record in self[range.upperBound...] { records.append(record) }
        self = records
    }
}

extension HistoryRecords: ExpressibleByArrayLiteral, Hashable {
    /// The records of a list.
    public init(arrayLiteral elements: HistoryRecord...) { self.init(elements) }

    /// Whether both have the same records in the same order.
    public static func == (left: HistoryRecords, right: HistoryRecords) -> Bool {
        left.elementsEqual(right)
    }

    /// Feeds each record.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(count)
        for record in self { hasher.combine(record) }
    }
}

extension RecordKind {
    /// What a record has in common with others.
    init(_ record: HistoryRecord) {
        self.init(
            agent: record.agent, flow: record.identity.flow,
            incarnation: record.identity.incarnation, type: record.type,
            transport: record.transport, direction: record.direction, lane: record.lane,
            hops: record.hops, contentEncoding: record.contentEncoding,
            delivery: record.delivery)
    }
}

extension HistoryRecord {
    fileprivate init(
        _ kind: RecordKind, sequence: UInt64, sent: UInt64, observed: UInt64, content: Content
    ) {
        self.init(
            agent: kind.agent,
            identity: Identity(
                flow: kind.flow, incarnation: kind.incarnation, sequence: sequence),
            type: kind.type, transport: kind.transport, direction: kind.direction,
            lane: kind.lane, sent: sent, observed: observed, hops: kind.hops,
            contentEncoding: kind.contentEncoding, delivery: kind.delivery, content: content)
    }
}

extension Content {
    /// What stands for it in a block.
    fileprivate var stored: [UInt8] {
        switch self {
        case .bytes(let bytes): bytes
        case .digest(let digest, let length):
            withUnsafeBytes(of: (digest, Int64(length))) { Array($0) }
        }
    }
}
