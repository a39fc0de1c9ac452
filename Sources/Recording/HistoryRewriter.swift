internal import Glibc

/// Writes sealed files of what stands in others: all of it, or a part, in the order of recording.
public enum HistoryRewriter {
    /// What was written, and what was left out because it could not be read.
    public struct Outcome: Sendable, Hashable {
        /// A file that was written.
        public struct File: Sendable, Hashable {
            /// Where it is.
            public let path: String
            /// How many messages it has.
            public let messageCount: UInt64
        }

        /// The files that were written.
        public var files: [File] = []
        /// What was wrong with the files that were read.
        public var notes: [String] = []
    }

    /// What is being rewritten.
    public enum Item {
        /// An envelope that was sent or delivered, in the file of this number.
        case record(RecordView, RecordKind, file: Int)
        /// Something noted beside them.
        case annotation(AnnotationView, file: Int)
        /// A message that is no history's.
        case foreign
    }

    /// More files than this are not written at once.
    public static let outputsMax = 256

    /// Rewrites files.
    ///
    /// Files appear under their names when they are complete; none that exists is touched.
    ///
    /// - Parameters:
    ///   - paths: What is read; several are merged in the order of recording.
    ///   - process: Whose history the new files are; nil for what the first file read says.
    ///   - observer: Makes what looks at each new file.
    ///   - route: Where an item goes; nil leaves it out.
    /// - Returns: The files that were written.
    /// - Throws: `HistoryError` when a file cannot be read or written; then no file is written.
    public static func rewrite<Observer: HistoryObserver>(
        _ paths: [String], process: String? = nil, observer: () -> Observer,
        route: (Item) throws(HistoryError) -> String?
    ) throws(HistoryError) -> Outcome {
        var merge = try RawMerge(paths)
        var outputs: [String: Output<Observer>] = [:]
        do throws(HistoryError) {
            while let (file, item, message) = try merge.next() {
                guard let path = try route(item) else { continue }
                let output: Output<Observer>
                if let known = outputs[path] {
                    output = known
                } else {
                    guard outputs.count < outputsMax else {
                        throw HistoryError(.write, path, .tooManyFiles(outputsMax))
                    }
                    output = try Output(
                        path: path, header: merge.header, process: process ?? merge.process,
                        observer: observer())
                    outputs[path] = output
                }
                try output.take(message, of: file, merge)
            }
            var outcome = Outcome(notes: merge.notes)
            for (path, output) in outputs.sorted(by: { $0.key < $1.key }) {
                outcome.files.append(
                    Outcome.File(path: path, messageCount: try output.finish()))
            }
            for (path, output) in outputs.sorted(by: { $0.key < $1.key }) {
                try output.appear(as: path)
            }
            return outcome
        } catch {
            for output in outputs.values { output.discard() }
            throw error
        }
    }
}

/// Several files, message by message, in the order of recording.
private struct RawMerge {
    private final class File {
        var scanner: RecordScanner
        var walk = RecordWalk()
        var chunk = RecordWalk.OpenChunk()
        var interpreter = RecordInterpreter()
        /// Definitions of channels and schemas, as they stand in the file.
        var channels: [UInt16: [UInt8]] = [:]
        var schemas: [UInt16: [UInt8]] = [:]
        var head: (message: MessageRecord, item: HistoryRewriter.Item)?

        init(path: String) throws(HistoryError) {
            scanner = try RecordScanner(path: path)
            _ = try walk.begin(scanner)
        }
    }

    private let paths: [String]
    private var files: [File] = []
    private var due: Int?
    /// The first file's header.
    private(set) var header: [UInt8] = []
    /// The process of the first file that says it.
    var process: String { files.lazy.map(\.interpreter.process).first { !$0.isEmpty } ?? "" }

    init(_ paths: [String]) throws(HistoryError) {
        self.paths = paths
        for path in paths { files.append(try File(path: path)) }
        for index in files.indices { try step(index) }
    }

    var notes: [String] {
        zip(paths, files).flatMap { path, file in
            (file.walk.notes + file.interpreter.notes).map { "\(path): \($0)" }
        }
    }

    func channel(_ id: UInt16, of file: Int) -> [UInt8] { files[file].channels[id] ?? [] }
    func schema(_ id: UInt16, of file: Int) -> [UInt8]? { files[file].schemas[id] }

    mutating func next() throws(HistoryError) -> (Int, HistoryRewriter.Item, MessageRecord)? {
        if let due { try step(due) }
        due = nil
        var first: Int?
        for (index, file) in files.enumerated() {
            guard let head = file.head else { continue }
            if let now = first.flatMap({ files[$0].head }),
                now.message.logged <= head.message.logged
            {
                continue
            }
            first = index
        }
        guard let first, let head = files[first].head else { return nil }
        due = first
        return (first, head.item, head.message)
    }

    private mutating func step(_ index: Int) throws(HistoryError) {
        let file = files[index]
        file.head = nil
        while let event = try file.walk.next(&file.scanner, &file.chunk) {
            switch event {
            case .header(let whole): if header.isEmpty { header = Array(whole) }
            case .schema(let whole):
                var reader = FieldReader(
                    UnsafeRawBufferPointer(rebasing: whole[MCAP.recordHeaderLength...]))
                if let id = reader.integer(UInt16.self) { file.schemas[id] = Array(whole) }
            case .channel(let record, let whole): file.channels[record.id] = Array(whole)
            case .metadata: break
            case .message(let message):
                let item: HistoryRewriter.Item? =
                    switch file.interpreter.take(event) {
                    case .record(let view):
                        .record(view, file.interpreter.kinds[view.kind], file: index)
                    case .annotation(let view): .annotation(view, file: index)
                    case nil: .foreign
                    }
                if let item { file.head = (message, item) }
                return
            }
            _ = file.interpreter.take(event)
        }
    }
}

/// A file that is being written, under a name of its own until it is complete.
private final class Output<Observer: HistoryObserver> {
    private let draft: String
    private var file: SealedFile?
    private var observer: Observer
    private var interpreter = RecordInterpreter()
    /// New ids, by file and id there, and by definition: what is defined alike becomes one.
    private var ids: [[UInt16: UInt16]] = []
    private var idsByDefinition: [[UInt8]: UInt16] = [:]
    private var schemaIDs: [[UInt8]: UInt16] = [:]
    private var lastChannel: (file: Int, id: UInt16, new: UInt16)?
    private var messageCount: UInt64 = 0
    private let process: String

    init(
        path: String, header: [UInt8], process: String, observer: Observer
    ) throws(HistoryError) {
        var status = stat()
        guard stat(path, &status) != 0 else {
            throw HistoryError(.create, path, .system(EEXIST))
        }
        draft = "\(path).new-\(getpid())"
        unlink(draft)
        self.observer = observer
        self.process = process
        var file = SealedFile(
            try OpenFile(draft, O_RDWR | O_CREAT | O_EXCL, attempt: .create))
        var prologue = header
        if prologue.isEmpty {
            prologue.appendRecord(.header) { body in
                body.append(prefixed: HistoryFormat.profile)
                body.append(prefixed: "synmesh")
            }
        }
        try prologue.withUnsafeBufferPointer { (bytes) throws(HistoryError) in
            try file.take(.header(UnsafeRawBufferPointer(bytes)))
        }
        try file.take(
            .metadata(
                name: HistoryFormat.metadataName,
                members: ["process": process, "format": HistoryFormat.version]))
        self.file = consume file
    }

    func take(_ message: MessageRecord, of file: Int, _ merge: RawMerge) throws(HistoryError) {
        var message = message
        message.channel = try id(of: message.channel, in: file, merge)
        try self.file?.take(.message(message))
        messageCount += 1
        switch interpreter.take(.message(message)) {
        case .record(let record): observer.take(record, kinds: interpreter.kinds)
        case .annotation(let annotation): observer.take(annotation)
        case nil: break
        }
    }

    private func id(
        of channel: UInt16, in file: Int, _ merge: RawMerge
    ) throws(HistoryError) -> UInt16 {
        if let lastChannel, lastChannel.file == file, lastChannel.id == channel {
            return lastChannel.new
        }
        while ids.count <= file { ids.append([:]) }
        if let id = ids[file][channel] {
            lastChannel = (file, channel, id)
            return id
        }
        var definition = merge.channel(channel, of: file)
        let (start, schemaStart) = (MCAP.recordHeaderLength, MCAP.recordHeaderLength + 2)
        let schema = UInt16(definition[schemaStart]) | UInt16(definition[schemaStart + 1]) << 8
        if schema != 0, let whole = merge.schema(schema, of: file) {
            definition.replace(at: schemaStart, with: try id(ofSchema: whole))
        }
        definition.replace(at: start, with: 0)
        let id: UInt16
        if let known = idsByDefinition[definition] {
            id = known
        } else {
            guard idsByDefinition.count < MCAP.channelsMax else {
                throw HistoryError(.write, draft, .channelsExhausted)
            }
            id = UInt16(idsByDefinition.count + 1)
            idsByDefinition[definition] = id
            definition.replace(at: start, with: id)
            try definition.withUnsafeBufferPointer { (buffer) throws(HistoryError) in
                let bytes = UnsafeRawBufferPointer(buffer)
                let body = UnsafeRawBufferPointer(rebasing: bytes[MCAP.recordHeaderLength...])
                guard let record = ChannelRecord(body) else { return }
                _ = interpreter.take(.channel(record, bytes))
                try self.file?.take(.channel(record, bytes))
            }
        }
        ids[file][channel] = id
        lastChannel = (file, channel, id)
        return id
    }

    private func id(ofSchema whole: [UInt8]) throws(HistoryError) -> UInt16 {
        var definition = whole
        definition.replace(at: MCAP.recordHeaderLength, with: 0)
        if let known = schemaIDs[definition] { return known }
        let id = UInt16(clamping: schemaIDs.count + 1)
        schemaIDs[definition] = id
        definition.replace(at: MCAP.recordHeaderLength, with: id)
        try definition.withUnsafeBufferPointer { (bytes) throws(HistoryError) in
            try file?.take(.schema(UnsafeRawBufferPointer(bytes)))
        }
        return id
    }

    /// Completes the file; how many messages it has.
    func finish() throws(HistoryError) -> UInt64 {
        let metadata = observer.metadata(process: process, messageCount: messageCount)
        try file.take()?.finish(with: metadata)
        return messageCount
    }

    func appear(as path: String) throws(HistoryError) {
        guard rename(draft, path) == 0 else { throw .last(.create, path) }
    }

    func discard() { unlink(draft) }
}

extension [UInt8] {
    fileprivate mutating func replace(at offset: Int, with number: UInt16) {
        self[offset] = UInt8(truncatingIfNeeded: number)
        self[offset + 1] = UInt8(truncatingIfNeeded: number >> 8)
    }
}
