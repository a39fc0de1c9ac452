public import Analysis
internal import Glibc
internal import JSON
public import Recording
internal import Wire

/// Which records somebody asks for; what is not said is not looked at.
public struct RecordSelection: Sendable {
    /// A moment, from the beginning of the recording or by the clock.
    public enum Moment: Sendable, Hashable {
        /// Nanoseconds after the first record.
        case afterStart(UInt64)
        /// Nanoseconds since 1970.
        case at(UInt64)
    }

    /// What stands at a place of the content.
    public struct Condition: Sendable {
        let pattern: PathPattern
        let value: String?

        /// - Parameters:
        ///   - pattern: The place.
        ///   - value: What stands there, as text or as JSON; nil for anything.
        public init(_ pattern: PathPattern, value: String?) {
            self.pattern = pattern
            self.value = value
        }
    }

    /// Senders.
    ///
    /// In all lists `*` stands for anything, and one of the names is enough.
    public var sources: [String] = []
    /// Agents and topics; a topic is `topic:NAME`.
    public var destinations: [String] = []
    /// Processes that recorded.
    public var agents: [String] = []
    /// Message types.
    public var types: [String] = []
    /// Transports.
    public var transports: [String] = []
    /// Sent or delivered; nil for both.
    public var direction: Direction?
    /// The lane; nil for both.
    public var lane: Lane?
    /// Positions in their flows.
    public var sequences: ClosedRange<UInt64>?
    /// Recorded then or later.
    public var from: Moment?
    /// Recorded before then.
    public var until: Moment?
    /// What the content must say; content that is no JSON says nothing.
    public var conditions: [Condition] = []

    /// Everything.
    public init() {}

    /// Whether records of a kind may be asked for at all.
    public func accepts(_ kind: RecordKind) -> Bool {
        Self.matches(sources, kind.flow.source)
            && Self.matches(destinations, kind.flow.destination.description)
            && Self.matches(agents, kind.agent) && Self.matches(types, kind.type)
            && Self.matches(transports, kind.transport)
            && direction.map { $0 == kind.direction } ?? true
            && lane.map { $0 == kind.lane } ?? true
    }

    /// Whether a record of an accepted kind is asked for.
    ///
    /// - Parameters:
    ///   - record: The record.
    ///   - kind: Its kind.
    ///   - start: When the first record of all was recorded.
    /// - Returns: Whether it is.
    public func accepts(_ record: RecordView, _ kind: RecordKind, start: UInt64) -> Bool {
        if let sequences, !sequences.contains(record.sequence) { return false }
        if let from, record.observed < from.time(after: start) { return false }
        if let until, record.observed >= until.time(after: start) { return false }
        guard !conditions.isEmpty else { return true }
        guard kind.contentEncoding.isJSON, !record.isDigest,
            let value = try? Value(parsing: record.data)
        else { return false }
        return conditions.allSatisfy { condition in
            condition.pattern.values(in: value).contains { found in
                condition.value.map { $0 == found.string || $0 == found.canonical } ?? true
            }
        }
    }

    private static func matches(_ patterns: [String], _ text: String) -> Bool {
        patterns.isEmpty || patterns.contains { fnmatch($0, text, 0) == 0 }
    }
}

extension RecordSelection.Moment {
    /// The moment by the clock.
    public func time(after start: UInt64) -> UInt64 {
        switch self {
        case .at(let time): time
        case .afterStart(let nanoseconds): start &+ nanoseconds
        }
    }
}

/// The records of several histories that somebody asks for, in the order of recording.
public final class SelectedRecords {
    private var cursor: MergedCursor
    private let selection: RecordSelection
    private var accepted: [Bool] = []
    /// When the first record of all was recorded; nil before it was read.
    public private(set) var start: UInt64?

    /// Opens histories.
    ///
    /// - Throws: `HistoryError` when one cannot be opened.
    public init(paths: [String], selection: RecordSelection) throws(HistoryError) {
        cursor = try MergedCursor(paths: paths)
        self.selection = selection
    }

    /// A record that was asked for, or an annotation; valid until the next step.
    public enum Item {
        case record(MergedRecord, RecordKind)
        case annotation(AnnotationView)
    }

    /// The next one; nil at the end.
    ///
    /// - Throws: `HistoryError` when a file cannot be read, or is not an MCAP file.
    public func next() throws(HistoryError) -> Item? {
        while let item = try cursor.next() {
            switch item {
            case .annotation(let annotation): return .annotation(annotation)
            case .record(let record):
                let start = start ?? record.view.observed
                self.start = start
                while accepted.count < cursor.kinds.count {
                    accepted.append(selection.accepts(cursor.kinds[accepted.count]))
                }
                guard accepted[record.kind] else { continue }
                let kind = cursor.kinds[record.kind]
                if selection.accepts(record.view, kind, start: start) {
                    return .record(record, kind)
                }
            }
        }
        return nil
    }

    /// What is wrong with the files; complete at the end.
    public var notes: [String] { cursor.notes }
}
