/// Steps through several histories as if they were one, in the order in which things were recorded.
///
/// Memory is bounded by the number of files: a megabyte each.
public final class MergedCursor {
    /// What the cursor meets; valid until its next step.
    public enum Item {
        /// An envelope that was sent or delivered.
        case record(MergedRecord)
        /// Something noted in one of the files; not in order with those of the others.
        case annotation(AnnotationView)
    }

    /// The files.
    public let paths: [String]
    /// What records have in common, by number; grows while the cursor goes on.
    public private(set) var kinds: [RecordKind] = []

    private final class File {
        var cursor: HistoryCursor
        /// Numbers in `kinds`, by those of the file.
        var numbers: [Int] = []
        var head: RecordView?

        init(path: String) throws(HistoryError) { cursor = try HistoryCursor(path: path) }
    }

    private var files: [File] = []
    private var numbers: [RecordKind: Int] = [:]
    /// Files whose head is known, the earliest last.
    private var waiting: [Int] = []
    /// Files that have to be stepped before anything else is handed out.
    private var due: [Int] = []

    /// Opens histories; nothing is read yet.
    ///
    /// - Throws: `HistoryError` when one cannot be opened.
    public init(paths: [String]) throws(HistoryError) {
        self.paths = paths
        try rewind()
    }

    /// Goes back to the beginning; numbers of kinds stay.
    ///
    /// - Throws: `HistoryError` when a file cannot be opened any more.
    public func rewind() throws(HistoryError) {
        files = []
        for path in paths { files.append(try File(path: path)) }
        waiting = []
        due = Array(files.indices.reversed())
    }

    /// What is wrong with the files, as far as the cursor has come, each with its process.
    public var notes: [String] {
        files.flatMap { file in
            let name = file.cursor.process.isEmpty ? file.cursor.path : file.cursor.process
            return file.cursor.notes.map { "\(name): \($0)" }
        }
    }

    /// The next item; nil at the end of all.
    ///
    /// - Throws: `HistoryError` when a file cannot be read, or is not an MCAP file.
    public func next() throws(HistoryError) -> Item? {
        while let index = due.last {
            let file = files[index]
            switch try file.cursor.next() {
            case .annotation(let annotation): return .annotation(annotation)
            case .record(let record):
                due.removeLast()
                file.head = record
                wait(index, observed: record.observed)
            case nil:
                due.removeLast()
                file.head = nil
            }
        }
        guard let index = waiting.popLast(), let record = files[index].head else { return nil }
        due.append(index)
        return .record(
            MergedRecord(kind: number(of: record.kind, in: files[index]), file: index, record))
    }

    /// The content of a record that was met before.
    ///
    /// - Throws: `HistoryError` when its file cannot be read any more, or is shorter than it was.
    public func content(at place: MergedPlace) throws(HistoryError) -> Content {
        try files[Int(place.file)].cursor.content(at: place.place)
    }

    /// Equal times are handed out in the order of the files.
    private func wait(_ index: Int, observed: UInt64) {
        var low = 0
        var high = waiting.count
        while low < high {
            let middle = (low + high) / 2
            let other = waiting[middle]
            let time = files[other].head?.observed ?? 0
            if time > observed || time == observed && other > index {
                low = middle + 1
            } else {
                high = middle
            }
        }
        waiting.insert(index, at: low)
    }

    private func number(of kind: Int, in file: File) -> Int {
        while file.numbers.count <= kind {
            let kind = file.cursor.kinds[file.numbers.count]
            let number = numbers[kind] ?? kinds.count
            if number == kinds.count {
                numbers[kind] = number
                kinds.append(kind)
            }
            file.numbers.append(number)
        }
        return file.numbers[kind]
    }
}

/// A record of one of several files; valid until the cursor's next step.
public struct MergedRecord {
    /// The number of what it has in common with others, in the cursor's `kinds`.
    public let kind: Int
    /// The number of its file in the cursor's `paths`.
    public let file: Int
    /// The record; its own `kind` is the file's.
    public let view: RecordView

    init(kind: Int, file: Int, _ view: RecordView) {
        self.kind = kind
        self.file = file
        self.view = view
    }

    /// Where its content stands, to read it again.
    public var place: MergedPlace { MergedPlace(file: UInt32(file), place: view.place) }
}

/// Where a content stands in one of several files.
public struct MergedPlace: Sendable, Hashable {
    let file: UInt32
    let place: ContentPlace
}
