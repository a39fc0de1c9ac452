internal import Analysis
internal import Glibc
public import Histories
internal import JSON
internal import Recording

/// Writes recordings in forms that other tools read.
public enum HistoryExport {
    /// The forms.
    public enum Format: String, Sendable, CaseIterable {
        /// A JSON object a line for each turn of a conversation.
        case jsonl
        /// Comma-separated values, with a line of names.
        case csv
        /// An SQLite database.
        case sqlite
        /// CloudEvents 1.0, a JSON object a line.
        case cloudevents
    }

    /// What was written.
    public struct Outcome: Sendable {
        /// The files, the manifest aside.
        public let files: [ExportedFile]
        /// What was wrong with the histories.
        public let notes: [String]
    }

    /// The name of the file that says what the others are.
    public static let manifestName = "manifest.json"

    /// Exports recordings into a new directory.
    ///
    /// - Throws: `HistoryError` where a history cannot be read, `ExportError` where a file cannot be
    ///   written.
    public static func export(
        _ files: HistoryFiles, as format: Format, into directory: String, options: ExportOptions
    ) throws -> Outcome {
        let reader = try TurnReader(paths: files.paths, options: options)
        guard mkdir(directory, 0o755) == 0 else {
            throw ExportError(directory, String(cString: strerror(errno)))
        }
        let isDivided = options.validationShare > 0
        let writer: any ExportWriter =
            switch format {
            case .jsonl:
                try TextExport(
                    directory: directory, suffix: "jsonl", isDivided: isDivided,
                    line: TurnText.jsonLine)
            case .cloudevents:
                try TextExport(
                    directory: directory, suffix: "cloudevents.jsonl", isDivided: isDivided,
                    line: TurnText.cloudEvent)
            case .csv:
                try TextExport(
                    directory: directory, suffix: "csv", isDivided: isDivided,
                    head: TurnText.csvLine(TurnText.columns),
                    line: { TurnText.csvLine(TurnText.fields($0)) })
            case .sqlite: try DatabaseExport(directory: directory)
            }
        while let turn = try reader.next() { try writer.write(turn) }
        let written = try writer.finish()
        let manifest = try ExportFile(directory: directory, name: manifestName)
        try manifest.write(
            Self.manifest(files, format, options, written, reader.notes).canonical)
        _ = try manifest.finish()
        return Outcome(files: written, notes: reader.notes)
    }

    private static func manifest(
        _ files: HistoryFiles, _ format: Format, _ options: ExportOptions,
        _ written: [ExportedFile], _ notes: [String]
    ) -> Value {
        [
            "format": .string(format.rawValue), "place": .string(files.place),
            "histories": .array(files.paths.map(Value.string)),
            "every_record": .bool(options.everyRecord),
            "seed": .string(String(options.seed)),
            "validation_share": .double(options.validationShare),
            "redactions": .array(
                options.redactions.map { pattern, redaction in
                    ["path": .string(pattern.description), "how": .string("\(redaction)")]
                }),
            "files": .array(
                written.map { file in
                    [
                        "name": .string(file.name), "records": Value(file.records),
                        "bytes": Value(file.bytes), "digest": .string(file.digest),
                    ]
                }),
            "notes": .array(notes.map(Value.string)),
        ]
    }
}

extension ExportedFile {
    /// Says what a file is that others have written.
    init(reading path: String, name: String, records: Int) throws(ExportError) {
        let digest: (bytes: Int, digest: UInt64)
        do throws(HistoryError) {
            digest = try ContentDigest.ofFile(path)
        } catch {
            throw ExportError(path, error.description)
        }
        self.init(
            name: name, records: records, bytes: digest.bytes,
            digest: ContentDigest.text(digest.digest))
    }
}
