internal import Glibc

/// Steps through several histories as if they were one, in the order in which things were recorded.
///
/// Memory is bounded by the number of files: a megabyte each. Each step looks at all files: O(n) in their
/// number.
public struct MergedCursor: ~Copyable {
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
    /// How many of these there are by now.
    public var kindCount: Int { kinds.count }

    // Cursors cannot be copied, and an array's elements are.
    private let files: UnsafeMutableBufferPointer<HistoryCursor>
    /// Each file's next record.
    private var heads: [RecordView?]
    /// When that was recorded; the end of time where there is none.
    private var times: [UInt64]
    /// Numbers in `kinds`, by those of each file.
    private var kindNumbers: [[Int]]
    private var numbers: [RecordKind: Int] = [:]
    /// Files that have to be stepped before anything else is handed out.
    private var due: [Int]

    /// Opens histories; nothing is read yet.
    ///
    /// - Throws: `HistoryError` when one cannot be opened.
    public init(paths: [String]) throws(HistoryError) {
        let files = UnsafeMutableBufferPointer<HistoryCursor>.allocate(capacity: paths.count)
        var count = 0
        do throws(HistoryError) {
            for path in paths {
                files.initializeElement(at: count, to: try HistoryCursor(path: path))
                count += 1
            }
        } catch {
            files.baseAddress?.deinitialize(count: count)
            files.deallocate()
            throw error
        }
        self.paths = paths
        self.files = files
        heads = Array(repeating: nil, count: paths.count)
        times = Array(repeating: .max, count: paths.count)
        kindNumbers = Array(repeating: [], count: paths.count)
        due = Array(paths.indices.reversed())
    }

    deinit {
        files.baseAddress?.deinitialize(count: files.count)
        files.deallocate()
    }

    /// Goes back to the beginning; numbers of kinds stay.
    ///
    /// - Throws: `HistoryError` when a file cannot be opened any more.
    public mutating func rewind() throws(HistoryError) {
        for index in files.indices {
            files[index] = try HistoryCursor(path: paths[index])
            heads[index] = nil
            times[index] = .max
            kindNumbers[index] = []
        }
        due = Array(files.indices.reversed())
    }

    /// What is wrong with the files, as far as the cursor has come, each with its process.
    public var notes: [String] {
        files.indices.flatMap { index in
            let name = files[index].process.isEmpty ? files[index].path : files[index].process
            return files[index].notes.map { "\(name): \($0)" }
        }
    }

    /// The next item; nil at the end of all.
    ///
    /// - Throws: `HistoryError` when a file cannot be read, or is not an MCAP file.
    public mutating func next() throws(HistoryError) -> Item? {
        while let index = due.last {
            switch try files[index].next() {
            case .annotation(let annotation): return .annotation(annotation)
            case .record(let record):
                due.removeLast()
                heads[index] = record
                times[index] = record.observed
            case nil:
                due.removeLast()
                heads[index] = nil
                times[index] = .max
            }
        }
        // Equal times are handed out in the order of the files.
        var (first, time) = (-1, UInt64.max)
        for index in times.indices where times[index] < time {
            (first, time) = (index, times[index])
        }
        guard first >= 0, let record = heads[first] else { return nil }
        due.append(first)
        if record.kind >= kindNumbers[first].count { learnKinds(of: first) }
        return .record(
            MergedRecord(kind: kindNumbers[first][record.kind], file: first, record))
    }

    private mutating func learnKinds(of index: Int) {
        for kind in files[index].kinds[kindNumbers[index].count...] {
            let number = numbers[kind] ?? kinds.count
            if number == kinds.count {
                numbers[kind] = number
                kinds.append(kind)
            }
            kindNumbers[index].append(number)
        }
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

/// Contents of several files, read where a cursor has met them.
public final class MergedContents {
    private final class File {
        let file: OpenFile

        init(path: String) throws(HistoryError) {
            file = try OpenFile(path, O_RDONLY, attempt: .read)
        }
    }

    private let paths: [String]
    private var files: [Int: File] = [:]

    /// Names the files of a cursor; none is opened before it is needed.
    public init(paths: [String]) { self.paths = paths }

    /// The content of a record that was met before.
    ///
    /// - Throws: `HistoryError` when its file cannot be read any more, or is shorter than it was.
    public func content(at place: MergedPlace) throws(HistoryError) -> Content {
        let number = Int(place.file)
        let file: File
        if let known = files[number] {
            file = known
        } else {
            file = try File(path: paths[number])
            files[number] = file
        }
        let bytes = try file.file.bytes(
            at: place.place.offset, count: Int(place.place.length))
        guard place.place.isDigest else { return .bytes(bytes) }
        return bytes.withUnsafeBytes { Content(digest: $0) } ?? .bytes(bytes)
    }
}
