/// Steps through a history, record by record, in bounded memory.
///
/// ```swift
/// var cursor = try HistoryCursor(path: "a.1.mcap")
/// while let item = try cursor.next() {
///     if case .record(let record) = item { print(cursor.kinds[record.kind].flow, record.sequence) }
/// }
/// ```
///
/// A file that is still written is read as it stands. `HistoryReader` reads all of it at once.
public struct HistoryCursor: ~Copyable {
    /// What the cursor meets.
    public enum Item {
        /// An envelope that was sent or delivered.
        case record(RecordView)
        /// Something noted beside them.
        case annotation(AnnotationView)
    }

    /// The file.
    public let path: String
    /// The process that recorded, as soon as the file has said so; else empty.
    public var process: String { interpreter.process }
    /// What records have in common, by number; grows while the cursor goes on.
    public var kinds: [RecordKind] { interpreter.kinds }
    /// How many of these there are by now.
    public var kindCount: Int { interpreter.kinds.count }

    private var interpreter = RecordInterpreter()
    private var walk: RecordWalk
    private var scanner: RecordScanner
    private var chunk = RecordWalk.OpenChunk()

    /// Opens a history; nothing is read yet.
    ///
    /// - Throws: `HistoryError` when the file cannot be opened.
    public init(path: String) throws(HistoryError) {
        let scanner = try RecordScanner(path: path)
        var walk = RecordWalk()
        _ = try walk.begin(scanner)
        self.path = path
        self.walk = walk
        self.scanner = scanner
    }

    /// Messages met, those of other channels included.
    public var messageCount: UInt64 { walk.messageCount }
    /// Whether the file has a summary; known at the end.
    public var isSealed: Bool { walk.isSealed }
    /// Whether space is reserved in the file: it is written, or was when its writer was killed; known at
    /// the end.
    public var hasReserve: Bool { scanner.hasReserve }

    /// What is wrong with the file, as far as the cursor has come; complete at the end.
    public var notes: [String] { walk.notes + interpreter.notes }

    /// The next record or annotation; nil at the end.
    ///
    /// What was intact before a damage is handed out, and so is what stands in intact chunks.
    ///
    /// - Throws: `HistoryError` when the file cannot be read, or is not an MCAP file.
    public mutating func next() throws(HistoryError) -> Item? {
        while let event = try walk.next(&scanner, &chunk) {
            switch interpreter.take(event) {
            case .record(var record):
                record.offset = scanner.offset(of: record.data)
                return .record(record)
            case .annotation(let annotation): return .annotation(annotation)
            case nil: continue
            }
        }
        return nil
    }
}

/// Where a content stands in its file.
public struct ContentPlace: Sendable, Hashable {
    let offset: Int
    let length: UInt32
    let isDigest: Bool
}

/// A record where it stands in its file; valid until the cursor's next step.
public struct RecordView {
    /// The number of what it has in common with others, in the cursor's `kinds`.
    public let kind: Int
    /// Position in the flow.
    public let sequence: UInt64
    /// When the sender sent it, in nanoseconds by the run's clock.
    public let sent: UInt64
    /// When it was recorded.
    public let observed: UInt64
    /// What the file holds: the content, or the JSON text of its digest.
    public let data: UnsafeRawBufferPointer
    /// Digest and length where nothing else was recorded.
    let recorded: ContentFingerprint?
    fileprivate(set) var offset = 0

    init(
        kind: Int, sequence: UInt64, message: MessageRecord, recorded: ContentFingerprint?
    ) {
        self.kind = kind
        self.sequence = sequence
        sent = message.published
        observed = message.logged
        data = message.data
        self.recorded = recorded
    }

    /// Where the content stands, to read it again.
    public var place: ContentPlace {
        ContentPlace(
            offset: offset, length: UInt32(clamping: data.count), isDigest: recorded != nil)
    }

    /// The content, copied.
    public var content: Content {
        recorded.map { .digest($0.digest, length: $0.length) } ?? .bytes([UInt8](data))
    }

    /// Whether only digest and length were recorded.
    public var isDigest: Bool { recorded != nil }

    /// The content's length in bytes.
    public var length: Int { recorded?.length ?? data.count }

    /// Digest and length of the content, without a copy of it.
    public var fingerprint: ContentFingerprint {
        recorded
            ?? ContentFingerprint(digest: ContentDigest.xxh3(data), length: data.count)
    }
}

/// An annotation where it stands in its file; valid until the cursor's next step.
public struct AnnotationView {
    /// Its JSON text.
    public let data: UnsafeRawBufferPointer

    /// What it says; nil where it is nothing that we know.
    public var annotation: Annotation? { Annotation(json: data) }

    /// The kind as the file names it; nil where it has none.
    public var name: String? {
        let head: StaticString = #"{"annotation":""#
        let count = head.utf8CodeUnitCount
        guard data.count > count, head.withUTF8Buffer({ data[..<count].elementsEqual($0) }),
            let end = data[count...].firstIndex(of: UInt8(ascii: "\""))
        else { return nil }
        return String(decoding: data[count..<end], as: UTF8.self)
    }

    /// Whether it may be of a kind, told from its first bytes: much cheaper than reading it.
    ///
    /// - Parameter name: The kind as the file names it, as `late`.
    /// - Returns: False where it is of another kind.
    public func isNamed(_ name: StaticString) -> Bool {
        let head: StaticString = #"{"annotation":""#
        let count = head.utf8CodeUnitCount
        guard data.count > count + name.utf8CodeUnitCount else { return false }
        return head.withUTF8Buffer { data[..<count].elementsEqual($0) }
            && name.withUTF8Buffer {
                data[count..<(count + $0.count)].elementsEqual($0)
                    && data[count + $0.count] == UInt8(ascii: "\"")
            }
    }
}

/// What a content is known by that is not at hand: XXH3 and length.
public struct ContentFingerprint: Sendable, Hashable {
    /// The content's XXH3 digest.
    public let digest: UInt64
    /// Its length in bytes.
    public let length: Int
}
