import Analysis
import ArgumentParser
import Exporting
import Histories
import Recording

struct HistoryExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write recordings as JSON Lines, CSV, SQLite or CloudEvents.",
        discussion: """
            Each envelope is one turn of a conversation, in the order of recording, with what it \
            answers and the envelope that began it all. A manifest says what was written, with counts \
            and digests. The same recording, options and seed give the same files. Exit code 1 when a \
            history was damaged: what could be read is exported.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var place: String

    @Option(
        name: .shortAndLong, help: "The directory to make and write to.", completion: .directory)
    var output: String

    @Option(
        help: ArgumentHelp(
            "\(HistoryExport.Format.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "format"), transform: named)
    var format = HistoryExport.Format.jsonl

    @OptionGroup var selection: SelectionArguments

    @Flag(help: "Each record, sent and delivered, instead of each envelope once.")
    var everyRecord = false

    @Option(
        help: ArgumentHelp("Put '[redacted]' in the place of what stands here.", valueName: "path"))
    var redact: [String] = []

    @Option(
        help: ArgumentHelp(
            "Put a text here that is the same for the same value.", valueName: "path"))
    var pseudonym: [String] = []

    @Option(help: ArgumentHelp("Take out what stands here.", valueName: "path"))
    var remove: [String] = []

    @Option(
        help: ArgumentHelp(
            "Put this share of the conversations into a validation part: 0.1.", valueName: "share"))
    var validation = 0.0

    @Option(help: "What the parts and pseudonyms follow from.")
    var seed: UInt64 = 0

    private var options: ExportOptions {
        get throws {
            var options = ExportOptions()
            options.selection = try selection.selection
            options.everyRecord = everyRecord
            options.validationShare = validation
            options.seed = seed
            let rules: [([String], ExportOptions.Redaction)] = [
                (remove, .remove), (redact, .replace), (pseudonym, .pseudonym),
            ]
            for (paths, redaction) in rules {
                for path in paths {
                    do throws(PathPatternError) {
                        options.redactions.append((try PathPattern(path), redaction))
                    } catch {
                        throw ValidationError("\(error)")
                    }
                }
            }
            return options
        }
    }

    func validate() throws {
        _ = try options
        guard validation >= 0, validation < 1 else {
            throw ValidationError("--validation is a share: at least 0 and less than 1.")
        }
    }

    func run() throws {
        let files = try historyFiles(place)
        let options = try options
        let outcome: HistoryExport.Outcome
        do {
            outcome = try HistoryExport.export(files, as: format, into: output, options: options)
        } catch let error as HistoryError {
            printError("\(error)")
            throw ExitStatus.badInput.code
        } catch {
            printError("\(error)")
            throw ExitStatus.environment.code
        }
        for file in outcome.files {
            print("\(output)/\(file.name): \(file.records) records, \(file.bytes) bytes")
        }
        print("\(output)/\(HistoryExport.manifestName)")
        for note in outcome.notes { printError(note) }
        if !outcome.notes.isEmpty { throw ExitStatus.notAsExpected.code }
    }
}
